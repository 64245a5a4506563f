//! What is wrong with a command line, beyond what clap says.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Failure;
use super::arguments::{Arguments, Command};

/// The failure of flags that describe a service beside a command that does not take them.
pub(super) fn both(flags: &[&str], command: &Command) -> Failure {
    conflict(&flags.join("`, `"), command.word())
}

/// The failure of flags without which no service is described.
pub(super) fn missing(given: &[&str], missing: &[&str]) -> Failure {
    if given.is_empty() {
        let message = "there is nothing to do without a command, such as `dormouse demo`";
        return wrong(ErrorKind::MissingSubcommand, message);
    }
    let missing = missing.join("\n  ");
    let message = format!("one service needs these flags as well:\n  {missing}");
    wrong(ErrorKind::MissingRequiredArgument, &message)
}

/// A better word than clap's where an unknown flag is a known one in the wrong place, or the
/// beginning of several.
pub(super) fn explain(error: clap::Error, arguments: &[OsString]) -> Failure {
    better(&error, arguments).unwrap_or_else(|| Failure::Usage(Box::new(error)))
}

fn better(error: &clap::Error, arguments: &[OsString]) -> Option<Failure> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let name = unknown.strip_prefix("--").filter(|name| !name.is_empty())?;
    let mut definition = Arguments::command();
    // Adds `--help` and `--version`.
    definition.build();
    let meant: Vec<_> = definition
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .filter(|long| long.starts_with(name))
        .map(|long| format!("--{long}"))
        .collect();
    let command = arguments.iter().filter_map(|argument| argument.to_str()).find(|argument| {
        definition.get_subcommands().any(|command| command.get_name() == *argument)
    });
    if command.is_none() && name == "config" {
        let message = format!("`{unknown}` stands behind a command: `dormouse run --config FILE`");
        return Some(wrong(ErrorKind::UnknownArgument, &message));
    }
    match (meant.as_slice(), command) {
        ([], _) => None,
        ([first, ..], Some(command)) => Some(conflict(first, command)),
        ([_], None) => None,
        (several, None) => {
            let message = format!("`{unknown}` could be `{}`", several.join("` or `"));
            Some(wrong(ErrorKind::UnknownArgument, &message))
        }
    }
}

fn conflict(flags: &str, command: &str) -> Failure {
    let message = format!(
        "`{flags}` can't be used with `{command}`\n\n  \
         The flags describe one service, and no command stands beside them;\n  \
         `run` and `check` read their services from a config file. Choose one of the two."
    );
    wrong(ErrorKind::ArgumentConflict, &message)
}

/// A failure in clap's form: message, usage, where to read more.
fn wrong(kind: ErrorKind, message: &str) -> Failure {
    Failure::Usage(Box::new(Arguments::command().error(kind, message)))
}

/// The same for a command behind another, such as `plugin try`: the usage is that command's.
pub(super) fn wrong_behind(path: &[&str], kind: ErrorKind, message: &str) -> Failure {
    let mut definition = Arguments::command();
    // Gives each command the words before it.
    definition.build();
    let mut command = &definition;
    for name in path {
        command = command.find_subcommand(name).unwrap_or(command);
    }
    Failure::Usage(Box::new(command.clone().error(kind, message)))
}
