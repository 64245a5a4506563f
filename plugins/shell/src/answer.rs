//! What the end of a hook means for the decision that it makes.

use std::fmt::Write as _;

use crate::bindings::dormouse::plugin::process::{Exit, Output};
use crate::bindings::dormouse::plugin::types::{Failure, FailureKind, Milliseconds};
use crate::bindings::exports::dormouse::plugin::gate::Verdict;
use crate::bindings::exports::dormouse::plugin::idleness::IdlenessAnswer;
use crate::bindings::exports::dormouse::plugin::readiness::ReadinessAnswer;
use crate::hook::{Hook, Name};
use crate::text::printable;

/// How long a target stays up before `should_sleep` is asked again.
const STAY_AWAKE: Milliseconds = 60_000;

/// How many of the last lines of a hook are quoted, and how many bytes of them.
const QUOTED_LINES: usize = 5;
const QUOTED_BYTES: usize = 1024;

/// The answer of `start` and `stop`.
pub(crate) fn done(hook: &Hook, output: &Output) -> Result<(), Failure> {
    match output.exit {
        Exit::Status(0) => Ok(()),
        Exit::Status(_) | Exit::Signal(_) | Exit::TimedOut => Err(failure(hook, output)),
    }
}

/// The answer of `ready`.
pub(crate) fn readiness(hook: &Hook, output: &Output) -> Result<ReadinessAnswer, Failure> {
    match output.exit {
        Exit::Status(0) => Ok(ReadinessAnswer::Ready(None)),
        Exit::Status(status) => Ok(ReadinessAnswer::NotYet(
            last_lines(output, 1).pop().unwrap_or_else(|| format!("the ready hook says {status}")),
        )),
        Exit::Signal(_) | Exit::TimedOut => Err(failure(hook, output)),
    }
}

/// The answer of `should_wake`.
pub(crate) fn verdict(hook: &Hook, output: &Output) -> Result<Verdict, Failure> {
    match output.exit {
        Exit::Status(0) => Ok(Verdict::Wake),
        Exit::Status(_) => Ok(Verdict::Refuse),
        Exit::Signal(_) | Exit::TimedOut => Err(failure(hook, output)),
    }
}

/// The answer of `should_sleep`.
pub(crate) fn idleness(hook: &Hook, output: &Output) -> Result<IdlenessAnswer, Failure> {
    match output.exit {
        Exit::Status(0) => Ok(IdlenessAnswer::Sleep),
        Exit::Status(_) => Ok(IdlenessAnswer::StayAwake(STAY_AWAKE)),
        Exit::Signal(_) | Exit::TimedOut => Err(failure(hook, output)),
    }
}

/// Says which command failed, how, what would help, and what it said itself.
fn failure(hook: &Hook, output: &Output) -> Failure {
    let name = hook.name;
    let mut message = match output.exit {
        Exit::Status(status) => format!("the {name} hook `{hook}` failed with status {status}"),
        Exit::Signal(signal) => format!("the {name} hook `{hook}` was ended by signal {signal}"),
        Exit::TimedOut => format!("the {name} hook `{hook}` did not return in time and was ended"),
    };
    message.push_str(hint(name, &output.exit));
    let quoted = last_lines(output, QUOTED_LINES);
    if !quoted.is_empty() {
        message.push_str(". Its last lines:");
        for line in quoted {
            // Writing to a string can't fail.
            let _ = write!(message, "\n  {line}");
        }
    }
    Failure { kind: FailureKind::TryAgain(None), message }
}

/// What would help, where that is known.
fn hint(name: Name, exit: &Exit) -> &'static str {
    match (exit, name) {
        (Exit::TimedOut, Name::Start) => {
            ". A start hook has to return once the server is launched. If it runs the server \
             itself, have it put the server in the background (`server &`, `systemctl start`, \
             `docker start`); if the server only takes long, raise `start_timeout`"
        }
        (Exit::TimedOut, Name::Stop) => {
            ". A stop hook has to return once the server is down or certain to go down. If the \
             server takes long to end, raise `stop_timeout`, or have the hook only ask it to end"
        }
        (Exit::TimedOut, Name::Ready | Name::ShouldWake | Name::ShouldSleep) => {
            ". Such a hook has to answer at once: it is asked again"
        }
        (Exit::Status(126), _) => " (a shell's word for: found, but not executable)",
        (Exit::Status(127), _) => " (a shell's word for: command not found)",
        (Exit::Status(_) | Exit::Signal(_), _) => "",
    }
}

/// The last lines that a hook printed to standard error, or to standard output if it kept silent
/// there: not empty, without control characters, and short enough to be quoted.
fn last_lines(output: &Output, count: usize) -> Vec<String> {
    let lines = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(QUOTED_BYTES)..]);
        let lines = text.lines().map(|line| printable(line.trim()));
        let mut lines = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>();
        lines.split_off(lines.len().saturating_sub(count))
    };
    let errors = lines(&output.stderr);
    if errors.is_empty() { lines(&output.stdout) } else { errors }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(name: Name) -> Hook {
        Hook { name, program: "/srv/hook.sh".into(), arguments: vec!["now".into()] }
    }

    fn output(exit: Exit, stderr: &str) -> Output {
        Output { exit, stdout: b"progress\n".to_vec(), stderr: stderr.as_bytes().to_vec() }
    }

    fn message<T>(answer: Result<T, Failure>) -> String {
        answer.err().map(|failure| failure.message).unwrap_or_default()
    }

    #[test]
    fn status_0_is_yes() {
        let zero = output(Exit::Status(0), "");
        assert!(done(&hook(Name::Start), &zero).is_ok());
        assert!(matches!(readiness(&hook(Name::Ready), &zero), Ok(ReadinessAnswer::Ready(None))));
        assert!(matches!(verdict(&hook(Name::ShouldWake), &zero), Ok(Verdict::Wake)));
        assert!(matches!(idleness(&hook(Name::ShouldSleep), &zero), Ok(IdlenessAnswer::Sleep)));
    }

    #[test]
    fn every_other_status_is_no() {
        for status in [1, 2, 255, -1] {
            let other = output(Exit::Status(status), "");
            assert!(done(&hook(Name::Stop), &other).is_err());
            let ready = readiness(&hook(Name::Ready), &other);
            assert!(matches!(ready, Ok(ReadinessAnswer::NotYet(_))));
            assert!(matches!(verdict(&hook(Name::ShouldWake), &other), Ok(Verdict::Refuse)));
            let idle = idleness(&hook(Name::ShouldSleep), &other);
            assert!(matches!(idle, Ok(IdlenessAnswer::StayAwake(60_000))));
        }
    }

    #[test]
    fn a_hook_that_was_killed_or_timed_out_gave_no_answer() {
        for exit in [Exit::Signal(9), Exit::TimedOut] {
            let ended = output(exit, "");
            assert!(done(&hook(Name::Start), &ended).is_err());
            assert!(readiness(&hook(Name::Ready), &ended).is_err());
            assert!(verdict(&hook(Name::ShouldWake), &ended).is_err());
            assert!(idleness(&hook(Name::ShouldSleep), &ended).is_err());
        }
    }

    #[test]
    fn a_failure_has_the_command_the_status_and_the_last_lines_of_its_errors() {
        let errors = "one\ntwo\nthree\n\n\tfour\x1b[2J\nfive\r\nsix\n";
        assert_eq!(
            message(done(&hook(Name::Start), &output(Exit::Status(3), errors))),
            "the start hook `/srv/hook.sh now` failed with status 3. Its last lines:\n  two\n  \
             three\n  four[2J\n  five\n  six"
        );
    }

    #[test]
    fn a_failure_without_errors_has_the_last_lines_of_the_output() {
        assert_eq!(
            message(done(&hook(Name::Stop), &output(Exit::Signal(9), " \n"))),
            "the stop hook `/srv/hook.sh now` was ended by signal 9. Its last lines:\n  progress"
        );
    }

    #[test]
    fn a_failure_quotes_no_more_than_a_kibibyte() {
        let errors = "ü".repeat(5000);
        let message = message(done(&hook(Name::Start), &output(Exit::Status(1), &errors)));
        assert!(message.len() < 1200, "{} bytes", message.len());
        assert!(message.ends_with("üüü"));
    }

    #[test]
    fn a_start_hook_that_times_out_is_told_about_the_background() {
        let silent = Output { exit: Exit::TimedOut, stdout: vec![], stderr: vec![] };
        assert_eq!(
            message(done(&hook(Name::Start), &silent)),
            "the start hook `/srv/hook.sh now` did not return in time and was ended. A start hook \
             has to return once the server is launched. If it runs the server itself, have it put \
             the server in the background (`server &`, `systemctl start`, `docker start`); if the \
             server only takes long, raise `start_timeout`"
        );
    }

    #[test]
    fn a_stop_hook_that_times_out_is_told_when_to_return() {
        let silent = Output { exit: Exit::TimedOut, stdout: vec![], stderr: vec![] };
        assert_eq!(
            message(done(&hook(Name::Stop), &silent)),
            "the stop hook `/srv/hook.sh now` did not return in time and was ended. A stop hook \
             has to return once the server is down or certain to go down. If the server takes long \
             to end, raise `stop_timeout`, or have the hook only ask it to end"
        );
    }

    #[test]
    fn the_words_of_a_shell_for_a_missing_command_are_translated() {
        let silent = Output { exit: Exit::Status(127), stdout: vec![], stderr: vec![] };
        assert_eq!(
            message(done(&hook(Name::Start), &silent)),
            "the start hook `/srv/hook.sh now` failed with status 127 (a shell's word for: command \
             not found)"
        );
    }

    #[test]
    fn a_target_that_is_not_ready_says_how_far_it_is() {
        let mut not_yet = output(Exit::Status(1), "");
        not_yet.stdout = b"loading world\n42 %\n".to_vec();
        let answer = readiness(&hook(Name::Ready), &not_yet);
        assert!(matches!(answer, Ok(ReadinessAnswer::NotYet(text)) if text == "42 %"));
        not_yet.stdout.clear();
        let answer = readiness(&hook(Name::Ready), &not_yet);
        assert!(
            matches!(answer, Ok(ReadinessAnswer::NotYet(text)) if text == "the ready hook says 1")
        );
    }
}
