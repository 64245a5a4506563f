//! `dormouse plugin`: tools for people who write plugins, and for those who are given one.
//!
//! ```text
//! new ─── templates       a folder to begin with
//! wit                     the interface, as files
//! inspect                 what a component is, costs and will need
//! try ─── bench           one decision, or a script of several, once or at each change (watch)
//!           ├ told, json  a decision for people, for programs
//!           ├ compare     a decision beside what a script expects
//!           └ words       the words for answers, times and bytes
//! ```

mod arguments;
mod bench;
mod compare;
mod inspect;
mod json;
mod new;
mod told;
mod watch;
mod wit;
mod words;

use std::io::{self, Write as _};

use tokio::runtime::{Builder, Runtime};

use super::{Complaint, Failure};

pub(super) use arguments::PluginCommand;

/// Does what the command says.
pub(super) fn execute(command: &PluginCommand) -> Result<(), Failure> {
    match command {
        PluginCommand::New(arguments) => {
            new::execute(&arguments.name, arguments.language, arguments.folder.as_deref())
        }
        PluginCommand::Wit(arguments) => wit::execute(&arguments.folder, arguments.force),
        PluginCommand::Inspect(arguments) => inspect::execute(&arguments.file, arguments.json),
        PluginCommand::Try(arguments) => bench::execute(arguments),
    }
}

/// A runtime for one call after the other.
fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::from(Complaint::new(format!("plugins can't be run: {error}"))))
}

/// Writes to stdout.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
