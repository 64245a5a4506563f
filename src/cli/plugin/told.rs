//! A decision as people read it: a block of rows.

use std::fmt::Write as _;

use bytesize::ByteSize;
use humantime::format_duration;

use super::words;
use crate::config::Limits;
use crate::decide::{FailureKind, Readiness, SleepVerdict};
use crate::plugin::trial::{Answer, LineLevel, Question, Trial};
use crate::text::printable;

/// Gives words a colour, or leaves them as they are.
#[derive(Clone, Copy)]
pub(super) struct Paint {
    /// Whether there are colours.
    pub(super) colour: bool,
}

impl Paint {
    /// Something that went well.
    pub(super) fn good(self, text: &str) -> String {
        self.with("\x1b[1;32m", text)
    }

    /// Something that went wrong.
    pub(super) fn bad(self, text: &str) -> String {
        self.with("\x1b[1;31m", text)
    }

    /// Something that may be wrong.
    pub(super) fn odd(self, text: &str) -> String {
        self.with("\x1b[33m", text)
    }

    /// Something that is there for order.
    pub(super) fn dim(self, text: &str) -> String {
        self.with("\x1b[2m", text)
    }

    fn with(self, style: &str, text: &str) -> String {
        if self.colour { format!("{style}{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The block about one decision: what was asked, then a row for each thing that there is to say.
pub(super) fn block(question: &Question, trial: &Trial, limits: &Limits, paint: Paint) -> String {
    let mut text = words::question(question) + "\n";
    for (name, values) in rows(trial, limits, paint) {
        for (line, value) in values.iter().enumerate() {
            let name = if line == 0 { name } else { "" };
            // Writing to a string can't fail.
            let _ = writeln!(text, "  {}{value}", paint.dim(&format!("{name:<10}")));
        }
    }
    text
}

fn rows(trial: &Trial, limits: &Limits, paint: Paint) -> Vec<(&'static str, Vec<String>)> {
    let mut rows = Vec::new();
    match &trial.answer {
        Ok(answer) => {
            rows.push(("answer", vec![paint.good(words::answer(answer))]));
            details(answer, &mut rows);
        }
        Err(failure) => {
            let kind = match failure.kind {
                FailureKind::TryAgain(Some(after)) => {
                    format!("try-again, after {}", format_duration(after))
                }
                kind => words::kind(kind).to_owned(),
            };
            rows.push(("failure", vec![paint.bad(&kind)]));
            rows.push(("", failure.message.lines().map(|line| printable(line).into()).collect()));
        }
    }
    let record = &trial.record;
    let lines = record.lines.iter().map(|line| {
        let level = format!("{:<7}", line.level.word());
        let level = match line.level {
            LineLevel::Debug | LineLevel::Info => paint.dim(&level),
            LineLevel::Warning => paint.odd(&level),
            LineLevel::Error => paint.bad(&level),
        };
        format!("{level}  {}", printable(&line.text))
    });
    rows.push(("log", lines.collect()));
    let denied = record.denied.iter().flat_map(|denied| {
        let wanted = paint.bad(&printable(&format!("it may not {}", denied.wanted)));
        [wanted, printable(&denied.remedy).into_owned()]
    });
    rows.push(("denied", denied.collect()));
    let unanswered = record.unanswered.iter().map(|command| {
        paint.bad(&printable(&format!("the script has no `[[process]]` for {command}")))
    });
    rows.push(("process", unanswered.collect()));
    if record.left_out > 0 {
        rows.push(("", vec![paint.odd(&format!("{} more are left out", record.left_out))]));
    }
    rows.push(("time", vec![words::time(trial.time)]));
    let cpu = format!("{} of {}", words::time(record.cpu), format_duration(limits.cpu));
    rows.push(("cpu", vec![cpu]));
    let memory = format!("{} of {}", size(record.memory), size(limits.memory));
    rows.push(("memory", vec![memory]));
    rows
}

/// What an answer says beside its word.
fn details(answer: &Answer, rows: &mut Vec<(&'static str, Vec<String>)>) {
    match answer {
        Answer::Done | Answer::Sleep(SleepVerdict::Sleep) => {}
        Answer::Readiness(Readiness::Ready(None)) => {}
        Answer::Readiness(Readiness::Ready(Some(address))) => {
            rows.push(("address", vec![printable(address).into_owned()]));
        }
        Answer::Readiness(Readiness::NotYet(progress)) => {
            let progress = if progress.is_empty() { "(not said)" } else { progress };
            rows.push(("progress", vec![printable(progress).into_owned()]));
        }
        Answer::Reply(reply) => {
            if !reply.send.is_empty() {
                let count = words::count(reply.send.len());
                rows.push(("sends", vec![format!("{} ({count})", words::quoted(&reply.send))]));
            }
            rows.push(("consumes", vec![words::count(reply.consumed)]));
        }
        Answer::Sleep(SleepVerdict::StayAwake(time)) => {
            rows.push(("for", vec![format_duration(*time).to_string()]));
        }
    }
}

/// A size for people.
pub(super) fn size(bytes: usize) -> String {
    ByteSize(bytes as u64).to_string()
}
