//! What a guest says in Dormouse's log: through `log.write`, and on its standard output and error.
//!
//! All three share one allowance of lines a call, and one of bytes a second with all other calls of
//! the plugin, and all go through [`text`](crate::text).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::process::log_rate::{Admission, LogRate};
use super::trial::Recorder;
use crate::text;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loudness {
    /// For the plugin's author.
    Debug,
    /// What an operator wants to read.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
    Error,
}

/// The voice of one instance.
#[derive(Debug)]
pub(super) struct Voice {
    plugin: String,
    service: String,
    /// How many lines a call may say.
    limit: usize,
    /// How many lines this call wanted to say.
    said: AtomicUsize,
    /// How much the plugin may log in a second.
    rate: Arc<Mutex<LogRate>>,
    /// Who takes the lines in place of the log.
    recorder: Option<Arc<Recorder>>,
}

impl Voice {
    /// A voice that says at most `limit` lines a call, and as much as the `rate` of the plugin lets it.
    pub(super) fn new(
        plugin: &str,
        service: &str,
        limit: usize,
        rate: &Arc<Mutex<LogRate>>,
    ) -> Voice {
        Voice {
            plugin: plugin.to_owned(),
            service: service.to_owned(),
            limit,
            said: AtomicUsize::new(0),
            rate: Arc::clone(rate),
            recorder: None,
        }
    }

    /// The same voice, heard by `recorder` in place of the log, if there is one.
    pub(super) fn heard_by(self, recorder: Option<&Arc<Recorder>>) -> Voice {
        Voice { recorder: recorder.cloned(), ..self }
    }

    /// Writes one line, unless the call has said too much already.
    pub(super) fn say(&self, loudness: Loudness, line: &str) {
        if self.said.fetch_add(1, Ordering::Relaxed) < self.limit {
            self.write(loudness, &text::line(line, text::LONGEST));
        }
    }

    /// Ends the call: says how many lines were left out, and gives the next call a full allowance.
    /// Answers with that number.
    pub(super) fn end_call(&self) -> usize {
        let left_out = self.said.swap(0, Ordering::Relaxed).saturating_sub(self.limit);
        if left_out > 0 {
            let limit = self.limit;
            self.write(
                Loudness::Warning,
                &format!(
                    "{left_out} more lines of this plugin were left out: a call may log {limit} \
                     (`limits.log_lines`)"
                ),
            );
        }
        left_out
    }

    fn write(&self, loudness: Loudness, line: &str) {
        if let Some(recorder) = &self.recorder {
            return recorder.hear(loudness, line);
        }
        let (plugin, service) = (self.plugin.as_str(), self.service.as_str());
        let admission = {
            let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.admit(line.len(), Instant::now())
        };
        match admission {
            Admission::LeftOut => return,
            Admission::Passed { left_out_before: 0 } => {}
            Admission::Passed { left_out_before: lost } => tracing::warn!(
                plugin,
                service,
                lost,
                "lines of this plugin were left out: it logs more than `limits.log_bytes` or 1000 lines \
                 in a second"
            ),
        }
        match loudness {
            Loudness::Debug => tracing::debug!(plugin, service, "{line}"),
            Loudness::Info => tracing::info!(plugin, service, "{line}"),
            Loudness::Warning => tracing::warn!(plugin, service, "{line}"),
            Loudness::Error => tracing::error!(plugin, service, "{line}"),
        }
    }
}
