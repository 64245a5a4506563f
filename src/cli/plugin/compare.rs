//! A decision beside what a script expects of it.

use std::fmt::Write as _;

use humantime::format_duration;

use super::told::Paint;
use super::words;
use crate::config::script::Expected;
use crate::decide::{Readiness, SleepVerdict};
use crate::plugin::trial::{Answer, Trial};
use crate::text::printable;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// What differs: a key of `expect`, or what was not expected at all.
    what: &'static str,
    expected: String,
    found: Vec<String>,
}

impl Difference {
    fn new(what: &'static str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Difference { what, expected: expected.into(), found: vec![found.into()] }
    }

    /// Two rows: what was expected, and what was found.
    pub(super) fn rows(&self, paint: Paint) -> String {
        let mut rows = String::new();
        let mut row = |what: &str, word: &str, value: &str| {
            let _ = writeln!(rows, "      {what:<10}{word:<10}{}", printable(value));
        };
        row(self.what, "expected", &self.expected);
        let nothing = ["nothing".to_owned()];
        let found = if self.found.is_empty() { &nothing[..] } else { &self.found };
        for (line, found) in found.iter().enumerate() {
            row("", if line == 0 { "found" } else { "" }, found);
        }
        let rows: Vec<_> = rows.lines().map(|row| paint.bad(row)).collect();
        rows.join("\n") + "\n"
    }
}

/// Everything in `trial` that is not as `expected`.
pub(super) fn differences(expected: &Expected, trial: &Trial) -> Vec<Difference> {
    let mut differences = Vec::new();
    match &trial.answer {
        Ok(answer) => of_answer(expected, answer, &mut differences),
        Err(failure) if !expected.fails() => {
            let wanted = expected.answer.unwrap_or("an answer");
            let found = format!("a failure ({}): {}", words::kind(failure.kind), failure.message);
            differences.push(Difference::new("answer", wanted, found));
        }
        Err(failure) => {
            if let Some(part) = &expected.failure
                && !failure.message.contains(part)
            {
                let found = failure.message.clone();
                differences.push(Difference::new("failure", within(part), found));
            }
            let found = words::kind(failure.kind);
            if let Some(kind) = expected.kind
                && kind != found
            {
                differences.push(Difference::new("kind", kind, found));
            }
        }
    }
    let record = &trial.record;
    let lines: Vec<_> = record.lines.iter().map(|line| line.text.clone()).collect();
    if let Some(missing) = first_missing(&expected.log, &lines) {
        differences.push(Difference { what: "log", expected: within(missing), found: lines });
    }
    let denied: Vec<_> = record.denied.iter().map(|denied| denied.wanted.clone()).collect();
    if let Some(missing) = first_missing(&expected.denied, &denied) {
        let expected = within(missing);
        differences.push(Difference { what: "denied", expected, found: denied });
    } else if expected.denied.is_empty() && !denied.is_empty() {
        let expected = "nothing".to_owned();
        let found =
            record.denied.iter().map(|denied| format!("{}. {}", denied.wanted, denied.remedy));
        differences.push(Difference { what: "denied", expected, found: found.collect() });
    }
    if !record.unanswered.is_empty() {
        let expected = "a `[[process]]` for each command".to_owned();
        let found = record.unanswered.clone();
        differences.push(Difference { what: "process", expected, found });
    }
    differences
}

fn of_answer(expected: &Expected, answer: &Answer, differences: &mut Vec<Difference>) {
    let mut differs = |what, wanted: String, found: String| {
        if wanted != found {
            differences.push(Difference::new(what, wanted, found));
        }
    };
    let found = words::answer(answer);
    if expected.fails() {
        differs("answer", "a failure".to_owned(), found.to_owned());
        return;
    }
    if let Some(wanted) = expected.answer {
        differs("answer", wanted.to_owned(), found.to_owned());
    }
    if let Some(wanted) = &expected.address {
        let found = match answer {
            Answer::Readiness(Readiness::Ready(Some(address))) => address.clone(),
            _ => "none".to_owned(),
        };
        differs("address", wanted.clone(), found);
    }
    if let Some(part) = &expected.progress {
        let found = match answer {
            Answer::Readiness(Readiness::NotYet(progress)) => progress.clone(),
            _ => "none".to_owned(),
        };
        if !found.contains(part) {
            differs("progress", within(part), found);
        }
    }
    if let Answer::Reply(reply) = answer {
        if let Some(wanted) = &expected.send
            && *wanted != reply.send
        {
            let (wanted, found) = around_the_difference(wanted, &reply.send);
            differs("send", wanted, found);
        }
        if let Some(wanted) = expected.consumed {
            differs("consumed", words::count(wanted), words::count(reply.consumed));
        }
    }
    if let Some(wanted) = expected.stay {
        let found = match answer {
            Answer::Sleep(SleepVerdict::StayAwake(time)) => format_duration(*time).to_string(),
            _ => "none".to_owned(),
        };
        differs("stay", format_duration(wanted).to_string(), found);
    }
}

/// Two texts of bytes that differ, from where they begin to.
fn around_the_difference(wanted: &[u8], found: &[u8]) -> (String, String) {
    /// How many bytes before are shown as well.
    const BEFORE: usize = 20;
    let same = wanted.iter().zip(found).take_while(|(wanted, found)| wanted == found).count();
    let start = if same > 2 * BEFORE { same - BEFORE } else { 0 };
    let shown = |bytes: &[u8]| {
        let dots = if start > 0 { "…" } else { "" };
        let place = if start > 0 { format!(" from byte {start}") } else { String::new() };
        format!("{dots}{}{place} ({})", words::quoted(&bytes[start..]), words::count(bytes.len()))
    };
    (shown(wanted), shown(found))
}

fn within(part: &str) -> String {
    format!("something with {part:?}")
}

/// The first of `parts` that is in no text behind those that have the parts before.
fn first_missing<'p>(parts: &'p [String], texts: &[String]) -> Option<&'p str> {
    let mut texts = texts.iter();
    let missing = parts.iter().find(|part| !texts.any(|text| text.contains(part.as_str())));
    missing.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn parts_are_found_in_their_order() {
        let texts = owned(&["one knock", "two knocks", "open"]);
        assert_eq!(first_missing(&owned(&["one", "open"]), &texts), None);
        assert_eq!(first_missing(&owned(&["open", "one"]), &texts), Some("one"));
        assert_eq!(first_missing(&owned(&["one", "one"]), &texts), Some("one"));
        assert_eq!(first_missing(&[], &texts), None);
    }

    #[test]
    fn long_bytes_are_shown_from_where_they_differ() {
        let wanted = [&[b'a'; 100][..], b"X"].concat();
        let found = [&[b'a'; 100][..], b"Y"].concat();
        let (wanted, found) = around_the_difference(&wanted, &found);
        assert_eq!(wanted, "…\"aaaaaaaaaaaaaaaaaaaaX\" from byte 80 (101 bytes)");
        assert_eq!(found, "…\"aaaaaaaaaaaaaaaaaaaaY\" from byte 80 (101 bytes)");
    }
}
