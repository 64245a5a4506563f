//! `[[process]]`: what comes of a command, without its being run.

use super::super::fault::{Fault, Problem};
use super::super::reader::{Table, Value};
use super::{bytes, text, texts};

/// What comes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program, as the plugin names it.
    pub program: String,
    /// The arguments, or `None` for any.
    pub arguments: Option<Vec<String>>,
    /// How it ends.
    pub end: CommandEnd,
    /// What it writes to its standard output.
    pub stdout: Vec<u8>,
    /// What it writes to its standard error.
    pub stderr: Vec<u8>,
}

/// How a command ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// Its time is up.
    TimedOut,
    /// It can't be started, for this reason.
    Failed(String),
}

pub(super) fn read(mut table: Table<'_>, faults: &mut Vec<Fault>) -> Option<Command> {
    let program = table.require("program", "\"docker\"", text, faults);
    let arguments =
        table.take_or("arguments", None, |value, faults| texts(value, faults).map(Some), faults);
    let end = end(&mut table, faults);
    let stdout = bytes(&mut table, "stdout", "stdout_hex", faults);
    let stderr = bytes(&mut table, "stderr", "stderr_hex", faults);
    table.finish(faults);
    Some(Command {
        program: program?,
        arguments: arguments?,
        end: end?,
        stdout: stdout?.unwrap_or_default(),
        stderr: stderr?.unwrap_or_default(),
    })
}

/// `status`, `signal`, `timed_out` or `failed`; none of them means status 0.
fn end(table: &mut Table<'_>, faults: &mut Vec<Fault>) -> Option<CommandEnd> {
    let mut ends: Vec<(&'static str, Value<'_>)> = Vec::new();
    for key in ["status", "signal", "timed_out", "failed"] {
        ends.extend(table.take(key).map(|value| (key, value)));
    }
    match ends.as_slice() {
        [] => Some(CommandEnd::Status(0)),
        [("status", value)] => {
            Some(CommandEnd::Status(status(value, 255, "from 0 to 255", faults)?))
        }
        [("signal", value)] => {
            let signal = status(value, 64, "from 1 to 64", faults)?;
            if signal == 0 {
                faults.push(value.out_of_range("from 1 to 64"));
                return None;
            }
            Some(CommandEnd::Signal(signal))
        }
        [("failed", value)] => Some(CommandEnd::Failed(text(value, faults)?)),
        [(_, value)] => {
            let timed_out = value.flag(faults)?;
            Some(if timed_out { CommandEnd::TimedOut } else { CommandEnd::Status(0) })
        }
        [(first, _), (second, value), ..] => {
            let section = table.section.clone();
            faults.push(value.fault(Problem::TwoKeys { section, first, second }));
            None
        }
    }
}

/// A number from 0 to `most`.
fn status(
    value: &Value<'_>,
    most: i32,
    bounds: &'static str,
    faults: &mut Vec<Fault>,
) -> Option<i32> {
    let Some(number) = value.inner.as_integer() else {
        faults.push(value.wrong_type("a whole number", "a number without quotes, such as `1`"));
        return None;
    };
    let status = i32::from_str_radix(number.as_str(), number.radix()).ok();
    let status = status.filter(|status| (0..=most).contains(status));
    if status.is_none() {
        faults.push(value.out_of_range(bounds));
    }
    status
}
