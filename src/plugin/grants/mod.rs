//! What a plugin may do outside its sandbox, and what the operator is told when it wants more.
//!
//! Every grant is checked by one function, which answers with what is granted or with a [`Denial`]:
//! here, or for requests in [`super::http`]. The guest gets the denial as an ordinary error. The operator gets
//! one warning, with the lines of TOML that would allow it.

mod commands;
mod denial;
mod folders;
#[cfg(test)]
mod for_tests;
mod network;
mod nofollow;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Plugin;

use super::counters::Counters;
use super::trial::Recorder;

pub(super) use self::commands::{command, command_variable, environment};
pub(super) use self::denial::{Denial, toml_key, toml_string};
pub use self::folders::FolderFault;
pub(super) use self::folders::open as open_folders;
pub(super) use self::network::{Protocol, address, asks_for_target, fixed, sockets, wake_on_lan};
pub(super) use self::nofollow::open as open_without_following;

/// How many different denials of one plugin are told.
const TOLD: usize = 32;

/// `plugin` wanted to keep more in its state than `limits.state` lets it.
pub(super) fn more_state(plugin: &Plugin) -> Denial {
    let limit = bytesize::ByteSize(plugin.limits.state as u64);
    Denial {
        wanted: format!("keep more than {limit} in its state"),
        remedy: format!(
            "If it needs more, raise `limits.state` in `[plugins.{}]`.",
            toml_key(&plugin.name)
        ),
    }
}

/// Tells the operator about denials, each once, and not without end.
#[derive(Debug)]
pub(super) struct Warnings {
    told: Mutex<HashSet<Denial>>,
    counters: Arc<Counters>,
    /// Who is told in the operator's place.
    recorder: Option<Arc<Recorder>>,
}

impl Warnings {
    /// No denials so far; those that come are counted. Tells `recorder` in place of the operator, if
    /// there is one: each denial, each time.
    pub(super) fn new(counters: Arc<Counters>, recorder: Option<Arc<Recorder>>) -> Warnings {
        Warnings { told: Mutex::default(), counters, recorder }
    }

    /// Counts `denial`, and warns about it, unless it was told before.
    pub(super) fn warn(&self, plugin: &Plugin, service: &str, denial: &Denial) {
        self.counters.denied();
        if let Some(recorder) = &self.recorder {
            return recorder.deny(denial);
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD || told.contains(denial) {
            return;
        }
        told.insert(denial.clone());
        let Denial { wanted, remedy } = denial;
        let (plugin, last) = (plugin.name.as_str(), told.len() == TOLD);
        tracing::warn!(plugin, service, "the plugin wanted to {wanted} and was denied. {remedy}");
        if last {
            tracing::warn!(plugin, service, "further denials of this plugin are not told");
        }
    }
}
