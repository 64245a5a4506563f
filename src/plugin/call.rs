//! One call: an instance, a deadline, and an answer or a failure.
//!
//! ```text
//! decide::Lifecycle ─┐
//! decide::Judge ─────┤   Caller::store    what the worker is granted, and its limits
//! decide::Gate ──────┼─> Caller::begin    a full allowance, and a deadline
//! decide::Idleness ──┘   Caller::wait     instantiates and calls, within the allowance
//!                        Caller::judge    an answer, a failure, a trap or late: who is to blame
//! ```
//!
//! An instance that has trapped or was interrupted can't be entered again: its store is dropped.
//! So nothing here puts an instance back; only a conversation at the gate keeps one, and only after
//! an answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::Store;

use crate::decide::{Failure, FailureKind};

use super::allowance::{Allowance, CpuSpent, Ending, is_memory_spent};
use super::bindings::types;
use super::blame::{Call, DeadlineKey};
use super::counters::End;
use super::current::Current;
use super::engine::Ticker;
use super::exports::Loaded;
use super::guest::{Guest, Worker};

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

    /// A store in which an instance of `loaded` can be made.
    ///
    /// # Errors
    ///
    /// If something that is granted is not there any more.
    pub(super) fn store(&self, loaded: &Loaded) -> Result<Store<Guest>, Failure> {
        let store = Guest::store(loaded.pre.engine(), &self.worker, Instant::now());
        store.map_err(|fault| Failure {
            kind: FailureKind::TryAgain(None),
            message: format!("{} can't be called: {fault}", self.worker.who()),
        })
    }

    /// Begins a call on the instance in `store`.
    pub(super) fn begin(&self, store: &mut Store<Guest>, question: Question) -> Begun {
        let guest = store.data_mut();
        guest.deadline = Instant::now() + question.deadline;
        // The clock may have stood still, or gone on, since the last call.
        let begun = Begun {
            question,
            deadline: guest.deadline,
            allowance: Arc::clone(&guest.allowance),
            worker: Arc::clone(&self.worker),
            ended: false,
        };
        self.worker.counters.begin();
        store.set_epoch_deadline(1);
        begun
    }

    /// Waits for `answer` as long as the call may take.
    pub(super) async fn wait<T>(
        &self,
        begun: &Begun,
        answer: impl Future<Output = wasmtime::Result<T>>,
    ) -> Result<T, Ending> {
        let _ticking = self.ticker.run();
        begun.allowance.spend(begun.deadline, answer).await
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
                Ok(answer) => (End::Answered, Ok(answer)),
                Err(failure) => (End::Nonsense, Err(failure)),
            },
            Ok(Err(failure)) => (End::Failed, Err(call.reported(failure))),
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
    ended: bool,
}

impl Begun {
    fn end(mut self, end: End) {
        self.ended = true;
        self.count(end);
    }

    fn count(&self, end: End) {
        let Worker { counters, plugin, .. } = &*self.worker;
        counters.end(plugin, self.question.function, end);
    }

    /// How a call without an answer is counted.
    fn end_of(&self, ending: &Ending) -> End {
        match ending {
            Ending::Late if self.allowance.waits_for_command() => End::LateForCommand,
            Ending::Late => End::Late,
            Ending::Trapped(error) if error.is::<CpuSpent>() => End::OutOfCpu,
            Ending::Trapped(error) if is_memory_spent(error) => End::OutOfMemory,
            Ending::Trapped(_) => End::Crashed,
        }
    }
}

impl Drop for Begun {
    /// A call that is taken back is nobody's fault; but the service takes a `start` or a `stop` back
    /// for being late, and has begun to count a moment before the call.
    fn drop(&mut self) {
        let slack = (self.question.deadline / 10).min(SLACK);
        if !self.ended && Instant::now() + slack >= self.deadline {
            self.count(self.end_of(&Ending::Late));
        }
    }
}
