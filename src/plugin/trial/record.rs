//! What a plugin did in one call, taken down as it happens.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::played::{Played, PlayedCommand};
use crate::plugin::grants::Denial;
use crate::plugin::process::Output;
use crate::plugin::voice::Loudness;

/// How many lines, denials and commands of one call are kept. What is beyond is counted.
const MOST: usize = 10_000;

/// What a plugin did in one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What it said: through `log`, and on its standard output and error.
    pub lines: Vec<Line>,
    /// What it wanted and was not granted, in its order.
    pub denied: Vec<Denied>,
    /// The commands that the script had no answer for.
    pub unanswered: Vec<String>,
    /// How many entries of these lists are left out, because there were too many.
    pub left_out: usize,
    /// The CPU time that it used.
    pub cpu: Duration,
    /// The most memory that its instance had, in bytes.
    pub memory: usize,
}

/// A line that a plugin said, escaped and cut as in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: LineLevel,
    /// The line.
    pub text: String,
}

/// How much a line matters, as `log` in `wit/` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineLevel {
    /// For the plugin's author; also what it writes to its standard output.
    Debug,
    /// What an operator wants to read; also what it writes to its standard error.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
    Error,
}

impl LineLevel {
    /// The word for it, as `wit/` has it.
    pub fn word(self) -> &'static str {
        match self {
            LineLevel::Debug => "debug",
            LineLevel::Info => "info",
            LineLevel::Warning => "warning",
            LineLevel::Error => "error",
        }
    }
}

/// Something that the config does not grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// What the plugin wanted, for people: the end of the sentence "it wanted to …".
    pub wanted: String,
    /// What would allow it: a sentence, with lines of TOML where they help.
    pub remedy: String,
}

/// Takes down what the plugin of a bench does, and answers its commands if there is a script.
#[derive(Debug)]
pub(in crate::plugin) struct Recorder {
    record: Mutex<Record>,
    played: Option<Mutex<Played>>,
}

impl Recorder {
    /// A recorder that answers commands from `played`, if that is there.
    pub(super) fn new(played: Option<Vec<PlayedCommand>>) -> Recorder {
        let played = played.map(|commands| Mutex::new(Played::new(commands)));
        Recorder { record: Mutex::default(), played }
    }

    /// Begins a new record.
    pub(super) fn begin(&self) {
        *self.record() = Record::default();
    }

    /// The record since [`Recorder::begin`].
    pub(super) fn end(&self) -> Record {
        std::mem::take(&mut *self.record())
    }

    /// Takes down a line.
    pub(in crate::plugin) fn hear(&self, loudness: Loudness, line: &str) {
        let level = match loudness {
            Loudness::Debug => LineLevel::Debug,
            Loudness::Info => LineLevel::Info,
            Loudness::Warning => LineLevel::Warning,
            Loudness::Error => LineLevel::Error,
        };
        let record = &mut *self.record();
        let line = Line { level, text: line.to_owned() };
        keep(&mut record.lines, line, &mut record.left_out);
    }

    /// Takes down a denial.
    pub(in crate::plugin) fn deny(&self, denial: &Denial) {
        let denied = Denied { wanted: denial.wanted.clone(), remedy: denial.remedy.clone() };
        let record = &mut *self.record();
        keep(&mut record.denied, denied, &mut record.left_out);
    }

    /// Takes down what the call has used up.
    pub(in crate::plugin) fn measure(&self, cpu: Duration, memory: usize) {
        let mut record = self.record();
        record.cpu = cpu;
        record.memory = memory;
    }

    /// The answer to a command in place of running it; `None` if commands are run here. The error
    /// says why it could not be started.
    pub(in crate::plugin) fn play(
        &self,
        program: &str,
        arguments: &[String],
    ) -> Option<Result<Output, String>> {
        let played = self.played.as_ref()?;
        let answer =
            played.lock().unwrap_or_else(PoisonError::into_inner).answer(program, arguments);
        Some(answer.unwrap_or_else(|| {
            let words = [program].into_iter().chain(arguments.iter().map(String::as_str));
            let command = format!("{:?}", words.collect::<Vec<_>>());
            let record = &mut *self.record();
            keep(&mut record.unanswered, command.clone(), &mut record.left_out);
            Err(format!("the script has no `[[process]]` for {command}"))
        }))
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep<T>(list: &mut Vec<T>, entry: T, left_out: &mut usize) {
    if list.len() < MOST {
        list.push(entry);
    } else {
        *left_out += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_a_limit_and_counts_what_is_beyond() {
        let recorder = Recorder::new(None);
        for _ in 0..MOST + 3 {
            recorder.hear(Loudness::Info, "again");
        }
        let record = recorder.end();
        assert_eq!((record.lines.len(), record.left_out), (MOST, 3));
    }

    #[test]
    fn a_record_begins_empty() {
        let recorder = Recorder::new(None);
        recorder.hear(Loudness::Info, "before");
        recorder.measure(Duration::from_secs(1), 1);
        recorder.begin();
        assert_eq!(recorder.end(), Record::default());
    }
}
