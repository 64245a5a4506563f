//! A hook: a command that makes one decision.

use std::fmt;

use crate::bindings::dormouse::plugin::process::{self, Command, Output, ProcessError};
use crate::bindings::dormouse::plugin::types::{Failure, FailureKind};
use crate::environment::Environment;
use crate::text::printable;

/// The name of a hook, in the settings and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Start,
    Stop,
    Ready,
    ShouldWake,
    ShouldSleep,
}

impl Name {
    pub(crate) const ALL: [Name; 5] =
        [Name::Start, Name::Stop, Name::Ready, Name::ShouldWake, Name::ShouldSleep];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Name::Start => "start",
            Name::Stop => "stop",
            Name::Ready => "ready",
            Name::ShouldWake => "should_wake",
            Name::ShouldSleep => "should_sleep",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A command that makes one decision.
#[derive(Debug, PartialEq)]
pub(crate) struct Hook {
    pub(crate) name: Name,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
}

impl Hook {
    /// Runs it. How long it may take is Dormouse's to say: the call that it answers has a deadline.
    pub(crate) fn run(
        &self,
        environment: Environment,
        stdin: Option<Vec<u8>>,
    ) -> Result<Output, Failure> {
        let command = Command {
            program: self.program.clone(),
            arguments: self.arguments.clone(),
            environment: environment.into_variables(),
            stdin,
            timeout: None,
            label: self.name.to_string(),
        };
        process::run(&command).map_err(|error| self.could_not_run(error))
    }

    fn could_not_run(&self, error: ProcessError) -> Failure {
        let (kind, why) = match error {
            ProcessError::Denied(why) => (FailureKind::Denied, why),
            ProcessError::Failed(why) => (FailureKind::TryAgain(None), why),
        };
        Failure { kind, message: format!("the {} hook did not run: {why}", self.name) }
    }
}

/// The command as it may stand in a message.
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.program))?;
        self.arguments.iter().try_for_each(|argument| {
            let is_plain = !argument.is_empty() && !argument.contains(char::is_whitespace);
            let argument = printable(argument);
            if is_plain { write!(f, " {argument}") } else { write!(f, " '{argument}'") }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_in_a_message_shows_where_arguments_begin_and_end() {
        let arguments = ["start", "a b", "", "\x1b[2J"].map(String::from).to_vec();
        let hook = Hook { name: Name::Start, program: "/usr/bin/docker".into(), arguments };
        assert_eq!(hook.to_string(), r"/usr/bin/docker start 'a b' '' [2J");
    }

    #[test]
    fn a_denial_stays_one_and_all_else_may_be_tried_again() {
        let hook = Hook { name: Name::Ready, program: "/ready.sh".into(), arguments: vec![] };
        let denied = hook.could_not_run(ProcessError::Denied("no grant".into()));
        assert!(matches!(denied.kind, FailureKind::Denied));
        assert_eq!(denied.message, "the ready hook did not run: no grant");
        let failed = hook.could_not_run(ProcessError::Failed("it is a folder".into()));
        assert!(matches!(failed.kind, FailureKind::TryAgain(None)));
        assert_eq!(failed.message, "the ready hook did not run: it is a folder");
    }
}
