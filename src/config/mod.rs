//! What a user may write, turned into what the program relies on.
//!
//! The file goes through three hands: the `toml` crate makes a tree in which each value knows its
//! place; [`reader`] walks it, notes everything that is wrong, and goes on; `service` and `plugin`
//! build the [`Config`] of [`model`], in which every reference leads somewhere and every value is
//! within bounds. [`fault`] has the words for what is wrong, [`render`] the way they look.
//!
//! The flags of the tool that this one grew from take the short way: [`from_flags`].

mod addresses;
mod commands;
mod deciders;
mod fault;
mod flags;
mod folders;
#[cfg(test)]
mod fuzz;
mod grants;
mod hooks;
mod http_grant;
mod http_path;
mod limits;
mod machine;
mod model;
mod overlaps;
mod plugin;
mod reach;
mod reader;
mod render;
mod routes;
pub mod script;
mod service;
mod settings;
mod syntax;
pub mod trial;
mod values;
mod wording;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use addresses::AddressMistake;
pub use fault::{Fault, Problem, Severity, Span};
pub use flags::{Flags, from_flags};
pub use hooks::{HookProblem, problem_with};
pub use http_grant::{HttpGrant, HttpMistake, HttpServer};
pub use http_path::{HttpPath, PathMistake};
pub use model::*;
pub use overlaps::Overlap;
pub use plugin::BUILTINS;
pub use reach::ReachMistake;
pub use render::{Faults, message};
pub use values::{DurationMistake, ProgramMistake};
pub use wording::EXAMPLE;

use crate::files::access::{self, AccessError};

use folders::Surroundings;
use machine::Machine;
use plugin::Plugins;
use reader::{Table, Value};
use service::Services;
use toml::de::DeTable;
use values::Folder;

/// An example of the table `relay`.
const RELAY: &str = "a table, such as `{ memory = \"256MiB\" }`";

/// An example of the table `compile`.
const COMPILE: &str = "a table, such as `{ cpu = \"10m\", memory = \"8GiB\" }`";

/// How long open connections may finish, if the config does not say.
const DRAIN: Duration = Duration::from_secs(5);

/// Where a config is looked for if none is named.
const PLACES: [&str; 2] = ["dormouse.toml", "/etc/dormouse/dormouse.toml"];

/// The most bytes of a config, so that `--config /dev/zero` ends.
const MOST_BYTES: u64 = 4 << 20;

/// The config file to read: the one that is named, or the first that is there of
/// `./dormouse.toml` and `/etc/dormouse/dormouse.toml`.
///
/// # Errors
///
/// None is named, and none is there.
pub fn locate(given: Option<&Path>) -> Result<PathBuf, Faults> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    // One that is there and can't be read is to be told of, not passed over.
    let is_there = |place: &&&str| !matches!(Path::new(place).try_exists(), Ok(false));
    PLACES.iter().find(is_there).map(PathBuf::from).ok_or_else(|| {
        let looked = PLACES.iter().map(|place| format!("`{place}`")).collect();
        Faults::without_file(vec![Fault::of(Problem::NoneFound { looked })])
    })
}

/// Reads the config file at `path`. Beside it come warnings, which may be none.
///
/// # Errors
///
/// All faults of the file at once, warnings among them.
pub fn read(path: &Path) -> Result<(Config, Faults), Faults> {
    read_to(path, Depth::Text)
}

/// Reads the config file at `path` as [`read`] does, and looks closer: names of targets are looked
/// up, which takes two seconds at most, and there are warnings about what may go wrong later.
///
/// # Errors
///
/// All faults of the file at once, warnings among them.
pub fn examine(path: &Path) -> Result<(Config, Faults), Faults> {
    read_to(path, Depth::Surroundings)
}

/// What a config is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// What it says, and the addresses of this machine.
    Text,
    /// Name servers, the kernel's settings and the scripts of hooks as well.
    Surroundings,
}

fn read_to(path: &Path, depth: Depth) -> Result<(Config, Faults), Faults> {
    let understand = |text: &str, path: &Path, faults: &mut Vec<Fault>| {
        understand(text, path, &mut Machine::local(), depth, faults)
    };
    read_as(path, |problem| problem, understand)
}

/// Reads the file at `path` as what `understand` makes of its text: `None` only if there are faults.
/// `unreadable` has the last word on why it can't be read at all.
fn read_as<T>(
    path: &Path,
    unreadable: impl FnOnce(Problem) -> Problem,
    understand: impl FnOnce(&str, &Path, &mut Vec<Fault>) -> Option<T>,
) -> Result<(T, Faults), Faults> {
    let shown = path.display().to_string();
    let bytes = match load(path) {
        Ok(bytes) => bytes,
        Err(problem) => {
            let fault = Fault::of(unreadable(problem));
            return Err(Faults::in_file(&shown, "", vec![fault]));
        }
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let start = error.utf8_error().valid_up_to();
            let place = start..start + char::REPLACEMENT_CHARACTER.len_utf8();
            let text = String::from_utf8_lossy(error.as_bytes());
            let fault = Fault::at(place, Problem::NotUtf8);
            return Err(Faults::in_file(&shown, &text, vec![fault]));
        }
    };
    let mut faults = Vec::new();
    let understood = understand(&text, path, &mut faults);
    judged(understood, Faults::in_file(&shown, &text, faults))
}

/// What was understood, with its warnings, unless something is wrong.
fn judged<T>(understood: Option<T>, faults: Faults) -> Result<(T, Faults), Faults> {
    let is_bad = faults.iter().any(|fault| fault.severity() == Severity::Error);
    match understood {
        Some(understood) if !is_bad => Ok((understood, faults)),
        _ => Err(faults),
    }
}

/// The folder of `path`, to which the paths in it are relative.
fn folder_of(path: &Path, faults: &mut Vec<Fault>) -> Option<Folder> {
    let folder = path.parent().unwrap_or(Path::new("."));
    Folder::new(folder).map_err(|reason| faults.push(Fault::of(Problem::BadFolder { reason }))).ok()
}

/// The bytes of the file.
fn load(path: &Path) -> Result<Vec<u8>, Problem> {
    let problem = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Problem::NotFound,
        io::ErrorKind::IsADirectory => Problem::Folder,
        kind => Problem::Unreadable {
            reason: error.to_string(),
            denied: kind == io::ErrorKind::PermissionDenied,
        },
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(problem)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(problem)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Problem::TooLong { most: MOST_BYTES });
    }
    Ok(bytes)
}

/// The config that `text` means. `None` only if there are faults.
fn understand(
    text: &str,
    path: &Path,
    machine: &mut Machine,
    depth: Depth,
    faults: &mut Vec<Fault>,
) -> Option<Config> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What comes after a mistake like that is a guess, so nothing is said about it.
        faults.extend(syntax::faults(errors, text));
        return None;
    }
    let folder = folder_of(path, faults)?;
    let surroundings = Surroundings::of_process();
    let mut table = Table::root(tree.get_ref());
    let drain = table.take_or(
        "drain",
        DRAIN,
        |value, faults| value.duration(Duration::ZERO, "at most 365d", faults),
        faults,
    );
    let place = |value: &Value<'_>, faults: &mut Vec<Fault>| directory(value, &folder, faults);
    let place_of_state = Table::root(tree.get_ref()).take("state_dir").map(|value| value.place);
    let state_dir = table.take_or("state_dir", surroundings.state(), place, faults);
    let cache_dir = table.take_or("cache_dir", surroundings.cache(), place, faults);
    let relay = table.take_or(
        "relay",
        Relay::default(),
        |value, faults| {
            let table = Table::of(value, "relay".into(), value.place.clone(), RELAY, faults)?;
            relay(table, faults)
        },
        faults,
    );
    let compile = table.take_or(
        "compile",
        CompileLimits::default(),
        |value, faults| {
            let place = value.place.clone();
            let table = Table::of(value, "compile".into(), place, COMPILE, faults)?;
            compile(table, faults)
        },
        faults,
    );
    let mut plugins = Plugins::read(table.take("plugins"), &folder, faults);
    let mut services = Services::new(&folder);
    let read = services.read(table.take("services"), &mut plugins, faults);
    let (services, routes) = (read, services.routes);
    table.finish(faults);
    let plugins = plugins.finish(faults);
    routes::find_loops(&routes, machine, faults);
    let is_good = !faults.iter().any(|fault| fault.severity() == Severity::Error);
    if depth == Depth::Surroundings && is_good {
        let names = routes::names_to_look_up(&routes);
        if !names.is_empty() {
            machine.look_up(names);
            routes::find_loops(&routes, machine, faults);
        }
        routes::advise(&routes, &services, &plugins, machine, faults);
    }
    let config = Config {
        drain: drain?,
        relay: relay?,
        state_dir: state_dir?,
        cache_dir: cache_dir?,
        compile: compile?,
        services,
        plugins,
    };
    faults.extend(unsafe_folder(&config.state_dir, place_of_state, depth));
    overlaps::find(&config, path, tree.get_ref(), &folder, faults);
    Some(config)
}

/// `state_dir` holds the records of processes that Dormouse ends, and the key of its cache: an error
/// if others may write to it. Root may check the config of a service that runs as another user.
fn unsafe_folder(state_dir: &Path, place: Option<Span>, depth: Depth) -> Option<Fault> {
    let error = access::check_shared(state_dir).err()?;
    let is_of_service = depth == Depth::Surroundings
        && matches!(error, AccessError::Foreign(_))
        && rustix::process::geteuid().is_root();
    let severity = if is_of_service { Severity::Warning } else { Severity::Error };
    let (reason, remedy) = (error.to_string(), error.remedy());
    let problem = Problem::UnsafeFolder { key: "state_dir", reason, remedy, severity };
    Some(Fault { place, problem })
}

/// `relay`: how bytes are passed on.
fn relay(mut table: Table<'_>, faults: &mut Vec<Fault>) -> Option<Relay> {
    let memory = table.take_or(
        "memory",
        Relay::default().memory,
        |value, faults| value.size("memory", 1 << 20..=64 << 30, "from 1MiB to 64GiB", faults),
        faults,
    );
    table.finish(faults);
    Some(Relay { memory: memory? })
}

/// `compile`: what compiling one plugin may use up.
fn compile(mut table: Table<'_>, faults: &mut Vec<Fault>) -> Option<CompileLimits> {
    let default = CompileLimits::default();
    let cpu = table.take_or(
        "cpu",
        default.cpu,
        |value, faults| value.duration(Duration::from_secs(1), "from 1s to 365d", faults),
        faults,
    );
    let memory = table.take_or(
        "memory",
        default.memory,
        |value, faults| value.size("memory", 64 << 20..=64 << 30, "from 64MiB to 64GiB", faults),
        faults,
    );
    table.finish(faults);
    Some(CompileLimits { cpu: cpu?, memory: memory? })
}

/// A folder, relative to that of the config.
fn directory(value: &Value<'_>, folder: &Folder, faults: &mut Vec<Fault>) -> Option<PathBuf> {
    let text = value.text("a path", "a string, such as `\"/var/lib/dormouse\"`", faults)?;
    if let Some(mistake) = folder.program(text).err() {
        let (key, text) = (value.key.clone(), text.to_owned());
        faults.push(value.fault(Problem::BadProgram { key, text, mistake }));
        return None;
    }
    Some(folder.path(text))
}
