//! Commands that are answered from a script in place of being run.

use crate::plugin::process::{Exit, Output};

/// What a script says about a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayedCommand {
    /// The program, as the plugin names it.
    pub program: String,
    /// The arguments, or `None` for any.
    pub arguments: Option<Vec<String>>,
    /// How it ends.
    pub end: PlayedEnd,
    /// What it writes to its standard output.
    pub stdout: Vec<u8>,
    /// What it writes to its standard error.
    pub stderr: Vec<u8>,
}

/// How a command of a script ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayedEnd {
    /// As a process may end.
    Exit(Exit),
    /// It can't be started, for this reason.
    Failed(String),
}

/// The commands of a script, and which of them have answered.
#[derive(Debug)]
pub(super) struct Played {
    commands: Vec<(PlayedCommand, bool)>,
}

impl Played {
    pub(super) fn new(commands: Vec<PlayedCommand>) -> Played {
        Played { commands: commands.into_iter().map(|command| (command, false)).collect() }
    }

    /// What comes of a command: the first that fits and has not answered; if all have, the last
    /// that fits, again. `None` if none fits. The error is the reason why it can't be started.
    pub(super) fn answer(
        &mut self,
        program: &str,
        arguments: &[String],
    ) -> Option<Result<Output, String>> {
        let fits = |command: &PlayedCommand| {
            command.program == program
                && command.arguments.as_ref().is_none_or(|wanted| wanted == arguments)
        };
        let fresh = self.commands.iter().position(|(command, used)| !used && fits(command));
        let index = fresh.or_else(|| self.commands.iter().rposition(|(command, _)| fits(command)));
        let (command, used) = self.commands.get_mut(index?)?;
        *used = true;
        Some(match &command.end {
            PlayedEnd::Failed(reason) => Err(reason.clone()),
            PlayedEnd::Exit(exit) => Ok(Output {
                exit: *exit,
                stdout: command.stdout.clone(),
                stderr: command.stderr.clone(),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(program: &str, arguments: Option<&[&str]>, status: i32) -> PlayedCommand {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        PlayedCommand {
            program: program.to_owned(),
            arguments: arguments.map(owned),
            end: PlayedEnd::Exit(Exit::Status(status)),
            stdout: Vec::new(),
            stderr: Vec::new(),
        }
    }

    fn status(played: &mut Played, program: &str, arguments: &[&str]) -> Option<i32> {
        let arguments: Vec<_> = arguments.iter().map(|word| (*word).to_owned()).collect();
        match played.answer(program, &arguments)?.ok()?.exit {
            Exit::Status(status) => Some(status),
            Exit::Signal(_) | Exit::TimedOut => None,
        }
    }

    #[test]
    fn commands_answer_one_after_the_other_and_the_last_again_and_again() {
        let mut played = Played::new(vec![command("a", None, 1), command("a", None, 2)]);
        let statuses = [(); 4].map(|()| status(&mut played, "a", &[]));
        assert_eq!(statuses, [Some(1), Some(2), Some(2), Some(2)]);
    }

    #[test]
    fn arguments_fit_exactly_or_are_left_out() {
        let mut played = Played::new(vec![command("a", Some(&["x"]), 1), command("b", None, 2)]);
        assert_eq!(status(&mut played, "a", &["x"]), Some(1));
        assert_eq!(status(&mut played, "a", &[]), None);
        assert_eq!(status(&mut played, "a", &["x", "y"]), None);
        assert_eq!(status(&mut played, "b", &["x"]), Some(2));
        assert_eq!(status(&mut played, "c", &[]), None);
    }
}
