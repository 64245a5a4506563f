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

use super::allowance::{Allowance, Ending};
use super::bindings::types;
use super::blame::{Call, DeadlineKey};
use super::engine::Ticker;
use super::exports::Loaded;
use super::guest::{Guest, Worker};

/// What the calls of a plugin for a service need.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) worker: Arc<Worker>,
    pub(super) loaded: Arc<Loaded>,
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

    /// A store in which an instance can be made.
    ///
    /// # Errors
    ///
    /// If something that is granted is not there any more.
    pub(super) fn store(&self) -> Result<Store<Guest>, Failure> {
        let store = Guest::store(self.loaded.pre.engine(), &self.worker, Instant::now());
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
        let begun = Begun { deadline: guest.deadline, allowance: Arc::clone(&guest.allowance) };
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

    /// The answer, or whose fault it is that there is none. Ends the call on the instance.
    pub(super) fn judge<T>(
        &self,
        question: Question,
        guest: &Guest,
        answer: Result<Result<T, types::Failure>, Ending>,
    ) -> Result<T, Failure> {
        guest.end_call();
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => Err(self.call(question).reported(failure)),
            Err(ending) => Err(self.call(question).ended(&ending, &guest.stderr.last_lines())),
        }
    }

    /// The call, for messages about it.
    pub(super) fn call(&self, question: Question) -> Call<'_> {
        Call {
            worker: &self.worker,
            function: question.function,
            deadline: question.deadline,
            deadline_key: question.deadline_key,
        }
    }
}

/// A call that runs.
pub(super) struct Begun {
    deadline: Instant,
    allowance: Arc<Allowance>,
}
