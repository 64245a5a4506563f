//! Scripts of `dormouse plugin try --script`: what is asked of a plugin, one step after the other,
//! and what it should answer.
//!
//! ```toml
//! settings = { knocks = 2 }            # as in [plugins.NAME]; so are `allow` and `limits`
//! target = "127.0.0.1:8080"            # of the service; by default nobody listens there
//!
//! [[process]]                          # commands are answered from here, and none is run
//! program = "docker"
//! stdout = "running\n"
//!
//! [[step]]
//! call = "should-wake"
//! send = "knock\r\n"
//! expect = { answer = "refuse", log = ["first knock"] }
//! ```
//!
//! It is read as a config is: every fault has its place, and all of them are told at once.

mod command;
#[cfg(test)]
mod fuzz;
mod step;

use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use super::fault::{Fault, Problem};
use super::reader::{Table, Value};
use super::{
    Config, Faults, Grants, Limits, PluginSource, addresses, folder_of, grants, limits, read_as,
    settings, syntax, trial, values,
};

pub use command::{Command, CommandEnd};
pub use step::{ANSWERS, Call, Cause, Expected, Phase, Step};

const STEP: &str = "`[[step]]` with `call = \"start\"`";
const PROCESS: &str = "`[[process]]` with `program = \"docker\"`";

/// What is played.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The plugin with its settings, grants and limits, deciding all for one service.
    pub config: Config,
    /// What answers commands in place of running them; without any, commands are run.
    pub commands: Option<Vec<Command>>,
    /// The steps, in their order. Never empty.
    pub steps: Vec<Step>,
}

/// Reads the script at `path`, for the component at `source`.
///
/// # Errors
///
/// All faults of the file at once.
pub fn read(path: &Path, source: PluginSource) -> Result<Script, Faults> {
    let read =
        read_as(path, unreadable, |text, path, faults| understand(text, path, source, faults));
    read.map(|(script, _)| script)
}

/// The words for a config that can't be read say where configs are named.
fn unreadable(problem: Problem) -> Problem {
    let why = match problem {
        Problem::NotFound => "there is no such script".to_owned(),
        Problem::Folder => "this is a folder, not a script".to_owned(),
        Problem::TooLong { most } => format!("this is no script: it is longer than {most} bytes"),
        Problem::Unreadable { reason, .. } => format!("the script can't be read: {reason}"),
        other => return other,
    };
    Problem::NoScript { why }
}

fn understand(
    text: &str,
    path: &Path,
    source: PluginSource,
    faults: &mut Vec<Fault>,
) -> Option<Script> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        faults.extend(syntax::faults(errors, text));
        return None;
    }
    let folder = folder_of(path, faults)?;
    let mut config = trial::bare(source);
    let mut table = Table::root(tree.get_ref());
    let service = table.take_or(
        "service",
        trial::SERVICE.to_owned(),
        |value, faults| name(value, faults),
        faults,
    );
    let default = config.services[0].target.clone();
    let target = table.take_or(
        "target",
        default,
        |value, faults| {
            let text = value.text("an address", "a string, such as `\"127.0.0.1:80\"`", faults)?;
            let bad = |mistake| {
                let (key, text) = ("target", text.to_owned());
                faults.push(value.fault(Problem::BadAddress { key, text, mistake }));
            };
            addresses::target(text).map_err(bad).ok()
        },
        faults,
    );
    let settings = table.take_or("settings", settings::none(), settings::read, faults);
    let allow = table.take_or(
        "allow",
        Grants::default(),
        |value, faults| {
            let place = value.place.clone();
            let table = Table::of(value, "allow".into(), place, grants::EXAMPLE, faults)?;
            Some(grants::read(table, &folder, faults))
        },
        faults,
    );
    let limits = table.take_or(
        "limits",
        Limits::default(),
        |value, faults| {
            let place = value.place.clone();
            let table = Table::of(value, "limits".into(), place, limits::EXAMPLE, faults)?;
            limits::read(table, faults)
        },
        faults,
    );
    let commands = table.take("process");
    let is_played = commands.is_some();
    let commands = each(commands, "process", PROCESS, faults, command::read);
    let steps = table.take("step");
    if steps.as_ref().is_none_or(|steps| steps.each().is_empty()) {
        faults.push(Fault::of(Problem::NoSteps));
    }
    let steps = each(steps, "step", STEP, faults, step::read);
    table.finish(faults);

    config.services[0].name = service?;
    config.services[0].target = target?;
    config.plugins[0].settings = settings?;
    config.plugins[0].allow = allow?;
    config.plugins[0].limits = limits?;
    Some(Script { config, commands: is_played.then_some(commands), steps })
}

/// The tables of a list, each read by `read`; those with faults are left out.
fn each<'t, T>(
    value: Option<Value<'t>>,
    name: &str,
    example: &'static str,
    faults: &mut Vec<Fault>,
    read: impl Fn(Table<'t>, &mut Vec<Fault>) -> Option<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    for (index, value) in value.iter().flat_map(Value::each).enumerate() {
        let section = format!("{name} {}", index + 1);
        let place = value.place.clone();
        let table = Table::of(&value, section, place, example, faults);
        all.extend(table.and_then(|table| read(table, faults)));
    }
    all
}

/// The name of the service.
fn name(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let name = text(value, faults)?;
    if !values::is_good_name(&name) {
        faults.push(value.fault(Problem::BadName { what: "service", name }));
        return None;
    }
    Some(name)
}

/// Any text.
fn text(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    value.text("a string", "a text in quotes", faults).map(str::to_owned)
}

/// A list of texts, or one text.
fn texts(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<Vec<String>> {
    let texts: Vec<_> = value.each().iter().map(|value| text(value, faults)).collect();
    texts.into_iter().collect()
}

/// One of some words.
fn choice(
    key: &'static str,
    choices: &'static [&'static str],
    value: &Value<'_>,
    faults: &mut Vec<Fault>,
) -> Option<&'static str> {
    let text = text(value, faults)?;
    let chosen = choices.iter().find(|choice| **choice == text);
    if chosen.is_none() {
        faults.push(value.fault(Problem::BadChoice { key, text, choices }));
    }
    chosen.copied()
}

/// Bytes: as a text under `key`, or in hexadecimal digits under `hex_key`. `Some(None)` if neither
/// is there.
fn bytes(
    table: &mut Table<'_>,
    key: &'static str,
    hex_key: &'static str,
    faults: &mut Vec<Fault>,
) -> Option<Option<Vec<u8>>> {
    match (table.take(key), table.take(hex_key)) {
        (None, None) => Some(None),
        (Some(value), None) => Some(Some(text(&value, faults)?.into_bytes())),
        (None, Some(value)) => Some(Some(hex(hex_key, &value, faults)?)),
        (Some(_), Some(value)) => {
            let section = table.section.clone();
            let problem = Problem::TwoKeys { section, first: key, second: hex_key };
            faults.push(value.fault(problem));
            None
        }
    }
}

fn hex(key: &'static str, value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<Vec<u8>> {
    let text = text(value, faults)?;
    let digits: Option<Vec<u32>> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect();
    let bytes = digits.filter(|digits| digits.len().is_multiple_of(2)).map(|digits| {
        // Each digit is below 16.
        digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    });
    if bytes.is_none() {
        faults.push(value.fault(Problem::BadHex { key, text }));
    }
    bytes
}

/// A time from 0 to `most`, which is `bounds` in words.
fn time(
    most: Duration,
    bounds: &'static str,
    value: &Value<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Duration> {
    let time = value.duration(Duration::ZERO, bounds, faults)?;
    if time > most {
        faults.push(value.out_of_range(bounds));
        return None;
    }
    Some(time)
}
