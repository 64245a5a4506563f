//! The command line: one file a command, and one place where errors are told.
//!
//! Data goes to stdout, everything else to stderr. The exit status is 0 if all went well, 2 for
//! wrong usage, and 1 for anything else that failed. Nothing below this module prints an error or
//! ends the process: commands return a [`Failure`].

mod arguments;
mod check;
mod completions;
mod demo;
mod failure;
mod open_files;
mod plugin;
mod plugins;
mod run;
mod signals;
mod usage;

use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, Config, Faults};
use crate::plugin as host;
use crate::telemetry::{self, Format};

pub use check::Exports;
pub use failure::{Complaint, Failure};

use arguments::{Invocation, Source, Task};

/// Does what the arguments of this process say.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == host::COMPILE_WORD) {
        return host::run_compiler(arguments);
    }
    let done = arguments::read(std::env::args_os()).and_then(|invocation| execute(&invocation));
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    };
    telemetry::finish();
    code
}

fn execute(invocation: &Invocation) -> Result<(), Failure> {
    telemetry::start(invocation.log);
    match &invocation.task {
        Task::Proxy(source) => run::execute(config_of(source, invocation)?),
        Task::Demo(part) => {
            if demo::play(part)? {
                return Ok(());
            }
            demo::execute()
        }
        Task::Plugin(command) => plugin::execute(command),
        Task::Check { config } => check::execute(config.as_deref(), plugins::exports),
        Task::Completions { shell } => completions::execute(*shell),
    }
}

/// The config that somebody wants to run.
fn config_of(source: &Source, invocation: &Invocation) -> Result<Config, Failure> {
    match source {
        Source::Flags(flags) => config::from_flags(flags).map_err(Failure::BadFlags),
        Source::File(path) => {
            let (config, warnings) = load(path.as_deref())?;
            match invocation.log.format {
                Format::Text => warn(&warnings),
                Format::Json => warnings.lines().for_each(|line| tracing::warn!("{line}")),
            }
            Ok(config)
        }
    }
}

/// Reads the config file that is named, or the one that is found.
fn load(given: Option<&Path>) -> Result<(Config, Faults), Failure> {
    let path = config::locate(given).map_err(Failure::BadConfig)?;
    config::read(&path).map_err(Failure::BadConfig)
}

/// Tells of what is odd about a config that can be used.
fn warn(warnings: &Faults) {
    if !warnings.is_empty() {
        telemetry::say(&(warnings.render(telemetry::stderr_has_colour()) + "\n"));
    }
}
