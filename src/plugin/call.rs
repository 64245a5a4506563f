//! One call: an instance, a deadline, and an answer or a failure.
//!
//! ```text
//! decide::Lifecycle ─┐
//! decide::Judge ─────┤   Caller::store    what the worker is granted, and its limits
//! decide::Gate ──────┼─> Caller::begin    a full allowance, and a deadline
//! decide::Idleness ──┘   Caller::wait     instantiates and calls, within the allowance, until the
//!                                         answer is there or cancelled; ends its commands
//!                        Caller::judge    an answer, a failure, a trap or late: who is to blame
//! ```
//!
//! However a call ends, its answer comes when no process group lives any more that runs on its behalf:
//! what follows it must not run beside them. Only a call that is dropped ends them in the background.
//!
//! An instance that has trapped or was interrupted can't be entered again: its store is dropped.
//! So nothing here puts an instance back; only a conversation at the gate keeps one, and only after
//! an answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmtime::Store;

use crate::decide::{CALL_VARIABLE, CallContext, Failure, FailureKind};

use super::allowance::{Allowance, CpuSpent, Ending};
use super::bindings::types;
use super::blame::{Call, DeadlineKey};
use super::counters::End;
use super::current::Current;
use super::engine::Ticker;
use super::exports::Loaded;
use super::guest::{Guest, Worker};
use super::journal::Noted;
use super::memory::{is_count_spent, is_memory_spent};
use super::process::Scope;

/// How much earlier than its deadline a call may have been taken back for being late.
const SLACK: Duration = Duration::from_secs(1);

/// What the calls of a plugin for a service need.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) worker: Arc<Worker>,
    pub(super) current: Arc<Current>,
    pub(super) ticker: Arc<Ticker>,
    /// The service as `wit/` has it.
    pub(super) service: Arc<types::Service>,
}

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Question {
    /// The function, as `wit/` has it.
    pub(super) function: &'static str,
    pub(super) deadline: Duration,
    pub(super) deadline_key: DeadlineKey,
}

impl Caller {
    /// A question whose answer may take as long as the plugin's `limits.call`.
    pub(super) fn question(&self, function: &'static str) -> Question {
        let deadline = self.worker.plugin.limits.call;
        Question { function, deadline, deadline_key: DeadlineKey::Call }
    }

    /// Makes a call on the thread of the plugin. Dropping the future ends the call there.
    ///
    /// # Errors
    ///
    /// What the call answers, and if all threads of the plugin hang.
    pub(super) async fn on_its_thread<T, F>(
        &self,
        call: impl FnOnce(Caller) -> F,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let threads = &self.worker.resources.threads;
        if let Some(count) = threads.stuck() {
            return Err(self.stuck(count));
        }
        threads.run(call(self.clone())).await
    }

    fn stuck(&self, count: usize) -> Failure {
        Failure {
            kind: FailureKind::TryAgain(None),
            message: format!(
                "{} can't be called: all {count} threads that may wait for files on its behalf hang \
                 (`limits.threads`). Is there a file system that does not answer in its `allow.read` or \
                 `allow.write`, or a named pipe that no program opens?",
                self.worker.who()
            ),
        }
    }

    /// A store in which an instance of `loaded` can be made.
    pub(super) fn store(&self, loaded: &Loaded) -> Store<Guest> {
        Guest::store(loaded.pre.engine(), &self.worker, Instant::now())
    }

    /// Begins a call on the instance in `store`.
    pub(super) fn begin(
        &self,
        store: &mut Store<Guest>,
        question: Question,
        context: CallContext,
    ) -> Begun {
        let CallContext { cancelled, journal } = context;
        let guest = store.data_mut();
        guest.deadline = Instant::now() + question.deadline;
        guest.mark = journal.mark().to_owned();
        guest.scope = Scope::observed_by(Arc::new(Noted(journal)));
        // The clock may have stood still, or gone on, since the last call.
        let begun = Begun {
            question,
            deadline: guest.deadline,
            allowance: Arc::clone(&guest.allowance),
            worker: Arc::clone(&self.worker),
            scope: guest.scope.clone(),
            mark: guest.mark.clone(),
            cancelled,
            ended: false,
        };
        self.worker.counters.begin();
        store.set_epoch_deadline(1);
        begun
    }

    /// Waits for `answer` as long as the call may take and is wanted. Then ends the commands that still
    /// run on its behalf, and waits until they are gone.
    pub(super) async fn wait<T>(
        &self,
        begun: &Begun,
        answer: impl Future<Output = wasmtime::Result<T>>,
    ) -> Result<T, Ending> {
        let answer = {
            let _ticking = self.ticker.run();
            let spent = begun.allowance.spend(begun.deadline, &begun.scope, answer);
            tokio::select! {
                biased;
                () = begun.cancelled.cancelled() => Err(begun.cancellation()),
                answer = spent => answer,
            }
        };
        // The guest's future is dropped by now: none of its code runs any more.
        begun.scope.end();
        begun.scope.ended().await;
        if begun.cancelled.is_cancelled() || matches!(answer, Err(Ending::Late)) {
            begun.worker.runner.end_marked(CALL_VARIABLE, &begun.mark).await;
        }
        answer
    }

    /// The answer, as `check` understands it, or whose fault it is that there is none. Ends the call
    /// on the instance.
    pub(super) fn judge<T, U>(
        &self,
        begun: Begun,
        guest: &Guest,
        answer: Result<Result<T, types::Failure>, Ending>,
        check: impl FnOnce(&Call<'_>, T) -> Result<U, Failure>,
    ) -> Result<U, Failure> {
        guest.end_call();
        let question = begun.question;
        let call = Call {
            worker: &self.worker,
            function: question.function,
            deadline: question.deadline,
            deadline_key: question.deadline_key,
        };
        let (end, answer) = match answer {
            Ok(Ok(answer)) => match check(&call, answer) {
                Ok(answer) => (Some(End::Answered), Ok(answer)),
                Err(failure) => (Some(End::Nonsense), Err(failure)),
            },
            Ok(Err(failure)) => (Some(End::Failed), Err(call.reported(failure))),
            Err(ending) => {
                (begun.end_of(&ending), Err(call.ended(&ending, &guest.stderr.last_lines())))
            }
        };
        begun.end(end);
        answer
    }
}

/// What a version that is loaded makes of a decision. It is there: a version that lacks what a
/// service relies on is never taken up.
pub(super) fn functions<T>(found: &Option<T>) -> wasmtime::Result<&T> {
    found.as_ref().ok_or_else(|| wasmtime::Error::msg("the decision is not exported"))
}

/// A call that runs. It is counted by how it ends, and if it is dropped, by that.
pub(super) struct Begun {
    question: Question,
    deadline: Instant,
    allowance: Arc<Allowance>,
    worker: Arc<Worker>,
    /// The commands that run on its behalf.
    scope: Scope,
    /// What its processes have in their environment; empty if they have nothing.
    mark: String,
    cancelled: CancellationToken,
    ended: bool,
}

impl Begun {
    fn end(mut self, end: Option<End>) {
        self.ended = true;
        if let Some(end) = end {
            self.count(end);
        }
    }

    fn count(&self, end: End) {
        if end == End::Late {
            self.worker.resources.threads.probe();
        }
        let Worker { counters, plugin, .. } = &*self.worker;
        counters.end(plugin, self.question.function, end);
    }

    /// How a call without an answer is counted, if it is.
    fn end_of(&self, ending: &Ending) -> Option<End> {
        match ending {
            Ending::Cancelled => None,
            Ending::Late if self.allowance.waits_for_command() => Some(End::LateForCommand),
            Ending::Late => Some(End::Late),
            Ending::Trapped(error) if error.is::<CpuSpent>() => Some(End::OutOfCpu),
            Ending::Trapped(error) if is_memory_spent(error) || is_count_spent(error) => {
                Some(End::OutOfMemory)
            }
            Ending::Trapped(_) => Some(End::Crashed),
        }
    }

    /// The end of a call that is cancelled or dropped now. That is nobody's fault; but the service
    /// cancels a `start` or a `stop` for being late, and has begun to count a moment before the call.
    fn cancellation(&self) -> Ending {
        let slack = (self.question.deadline / 10).min(SLACK);
        if Instant::now() + slack >= self.deadline { Ending::Late } else { Ending::Cancelled }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.scope.end();
        if !self.ended {
            self.worker.resources.threads.probe();
        }
        if !self.ended
            && let Some(end) = self.end_of(&self.cancellation())
        {
            self.count(end);
        }
    }
}
