//! What is said when a call fails: whose fault it is, what happened, and what would help.
//!
//! The plugin's own failures are passed on with its name. Everything else that ends a call — a trap,
//! a budget, an answer that can't be — is the plugin's fault, [`FailureKind::Broken`], and gets a
//! sentence for an operator who did not write the plugin.

use std::time::Duration;

use humantime::format_duration;
use wasmtime::Trap;
use wasmtime_wasi::{I32Exit, ResourceTableError};

use crate::config::Limits;
use crate::decide::{Failure, FailureKind};

use super::allowance::{CpuSpent, Ending};
use super::bindings::types;
use super::grants;
use super::guest::{CROSSING, Worker};
use super::memory::{MemoriesSpent, ShareSpent, counted, is_memory_spent};
use crate::text;

/// The longest time that a plugin may ask for. Longer ones are cut to it: times are added to a
/// clock that ends somewhere.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// A call of a plugin's function, for the messages about it.
pub(super) struct Call<'a> {
    pub(super) worker: &'a Worker,
    /// The function, as `wit/` has it.
    pub(super) function: &'static str,
    /// How long it may take.
    pub(super) deadline: Duration,
    /// The key of the config that says so.
    pub(super) deadline_key: DeadlineKey,
}

/// Which key of the config sets the deadline of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeadlineKey {
    /// The plugin's `limits.call`.
    Call,
    /// The service's `start_timeout`.
    Start,
    /// The service's `stop_timeout`.
    Stop,
}

impl Call<'_> {
    /// A failure that the plugin itself reported.
    pub(super) fn reported(&self, failure: types::Failure) -> Failure {
        let kind = match failure.kind {
            types::FailureKind::WrongSettings => FailureKind::WrongSettings,
            types::FailureKind::TryAgain(after) => FailureKind::TryAgain(after.map(bounded)),
            types::FailureKind::Permanent => FailureKind::Permanent,
            types::FailureKind::Denied => FailureKind::Denied,
        };
        let words = text::lines(&failure.message, text::LONGEST);
        let message = match (&self.worker.plugin.hooks_of, words.is_empty()) {
            // Its messages speak of the hooks, which are the user's own.
            (Some(_), false) => words,
            (_, false) => format!("{}: {words}", self.worker.who()),
            (_, true) => {
                format!("{} failed in `{}` and did not say why", self.worker.who(), self.function)
            }
        };
        Failure { kind, message }
    }

    /// An answer that can't be: `what` goes on after "the plugin `x`".
    pub(super) fn broken(&self, what: &str) -> Failure {
        Failure {
            kind: FailureKind::Broken,
            message: format!("{} {what}. {}", self.worker.who(), self.plugins_fault()),
        }
    }

    /// A call that ended without an answer. `last_words` are the last lines of the guest's stderr.
    pub(super) fn ended(&self, ending: &Ending, last_words: &[String]) -> Failure {
        let (function, limits) = (self.function, &self.worker.plugin.limits);
        let (what, remedy) = match ending {
            Ending::Cancelled => return self.cancelled(),
            Ending::Late => (self.late(), self.deadline_remedy()),
            Ending::Trapped(error) if error.is::<CpuSpent>() => (
                format!(
                    "used up the CPU time of a call ({}) in `{function}`",
                    format_duration(limits.cpu)
                ),
                format!("If it needs more, raise {}", self.limit("cpu")),
            ),
            Ending::Trapped(error) if is_memory_spent(error) => (
                format!(
                    "needs more memory in `{function}` than the {} that it may have",
                    memory(limits)
                ),
                format!("If it needs more, raise {}", self.limit("memory")),
            ),
            Ending::Trapped(error)
                if error.is::<MemoriesSpent>() || counted(error) == Some("memory") =>
            {
                (
                    format!("wanted more than {} linear memories in `{function}`", limits.memories),
                    format!("If it needs more, raise {}", self.limit("memories")),
                )
            }
            Ending::Trapped(error) if error.is::<ShareSpent>() => (
                format!(
                    "got no linear memory in `{function}`: its calls hold {} of those that this \
                     process can have (`vm.max_map_count`), which is its share",
                    error.downcast_ref::<ShareSpent>().map_or(0, |spent| spent.0)
                ),
                format!("Lower `max_gates` of its services, or {}", self.limit("memories")),
            ),
            Ending::Trapped(error) if let Some(count) = counted(error) => (
                format!("wanted more {count}s in `{function}` than one component may have"),
                format!("If it needs more, raise {}", self.limit(&format!("{count}s"))),
            ),
            Ending::Trapped(error) if holds_too_much(error) => (
                format!(
                    "wanted more than {} sockets, files and streams at once in `{function}`",
                    limits.handles
                ),
                format!("If it needs more, raise {}", self.limit("handles")),
            ),
            Ending::Trapped(error) => (trapped(function, error), self.plugins_fault()),
        };
        let mut message = format!("{} {what}. {remedy}", self.worker.who());
        if !last_words.is_empty() && !matches!(ending, Ending::Late) {
            message.push_str(". The last lines on its standard error:\n");
            message.push_str(&last_words.join("\n"));
        }
        Failure { kind: FailureKind::Broken, message: text::lines(&message, 2 * text::LONGEST) }
    }

    /// A call whose answer is not wanted any more.
    fn cancelled(&self) -> Failure {
        Failure {
            kind: FailureKind::TryAgain(None),
            message: format!("`{}` of {} was cancelled", self.function, self.worker.who()),
        }
    }

    fn late(&self) -> String {
        format!("did not return from `{}` within {}", self.function, format_duration(self.deadline))
    }

    fn deadline_remedy(&self) -> String {
        let service = grants::toml_key(&self.worker.service.name);
        match self.deadline_key {
            DeadlineKey::Call => format!("If it needs longer, raise {}", self.limit("call")),
            DeadlineKey::Start => {
                format!("If it needs longer, raise `start_timeout` in `[services.{service}]`")
            }
            DeadlineKey::Stop => {
                format!("If it needs longer, raise `stop_timeout` in `[services.{service}]`")
            }
        }
    }

    /// A limit of this plugin, and where it is written.
    fn limit(&self, key: &str) -> String {
        match &self.worker.plugin.hooks_of {
            Some(_) => {
                format!("`limits.{key}`, for which `hooks` has to become a `[plugins.NAME]`")
            }
            None => {
                format!(
                    "`limits.{key}` in `[plugins.{}]`",
                    grants::toml_key(&self.worker.plugin.name)
                )
            }
        }
    }

    fn plugins_fault(&self) -> String {
        match &self.worker.plugin.hooks_of {
            Some(_) => "This is a fault of Dormouse: please report it".to_owned(),
            None => "This is a fault of the plugin: report it to its author".to_owned(),
        }
    }
}

/// Whether a call ended because the table of the instance's resources is full.
fn holds_too_much(error: &wasmtime::Error) -> bool {
    let full = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(ResourceTableError::Full))
    };
    error.chain().any(full)
}

/// A time that a plugin has asked for.
pub(super) fn bounded(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds).min(LONGEST_WAIT)
}

fn memory(limits: &Limits) -> bytesize::ByteSize {
    bytesize::ByteSize(limits.memory as u64)
}

/// What a trap means, going on after "the plugin `x`".
fn trapped(function: &str, error: &wasmtime::Error) -> String {
    if let Some(I32Exit(status)) = error.downcast_ref() {
        return format!(
            "ended itself with exit status {status} in `{function}` instead of answering"
        );
    }
    let reason = match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => "it gave up with a panic or an abort".to_owned(),
        Some(Trap::StackOverflow) => "its recursion went deeper than its stack".to_owned(),
        Some(Trap::MemoryOutOfBounds | Trap::HeapMisaligned) => {
            "it used memory that it does not have".to_owned()
        }
        Some(Trap::IntegerDivisionByZero) => "it divided by zero".to_owned(),
        Some(Trap::IntegerOverflow | Trap::BadConversionToInteger) => {
            "a number was too large for it".to_owned()
        }
        Some(Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature) => {
            "it called a function that is not there".to_owned()
        }
        Some(Trap::CannotBlockSyncTask) => {
            "it waited for an `async` function, which a plain function can't".to_owned()
        }
        Some(trap) => trap.to_string(),
        None => {
            let reason = text::line(&error.root_cause().to_string(), 1024);
            if reason.contains("fuel allocated for hostcalls") {
                return format!(
                    "handed over more than {CROSSING} bytes at once in `{function}`, which is the most \
                     that it may"
                );
            }
            if reason.contains("utf-8") {
                return format!(
                    "answered in `{function}` with a text that is not UTF-8 ({reason})"
                );
            }
            reason
        }
    };
    format!("crashed in `{function}`: {reason}")
}
