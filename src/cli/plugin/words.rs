//! The words for what plugins are asked and answer, for times and for bytes.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::script::{self, Call};
use crate::decide::{Cause, Client, FailureKind, Phase, Readiness, SleepVerdict, Verdict};
use crate::plugin::trial::{Answer, Question};

/// How many bytes of a client or a plugin are shown.
const MOST_SHOWN: usize = 200;

/// Bytes from the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

/// The bytes that a text with escapes means: `\n`, `\r`, `\t`, `\0`, `\\` and `\xFE`.
pub(super) fn bytes(text: &str) -> Result<Bytes, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escaped)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let mut letters = escaped.chars();
        bytes.push(match letters.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = letters.by_ref().take(2).collect();
                let is_whole =
                    digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let byte = u8::from_str_radix(&digits, 16).ok().filter(|_| is_whole);
                byte.ok_or_else(|| format!("`\\x{digits}` is no byte: two hexadecimal digits are"))?
            }
            Some(other) => return Err(format!("there is no escape `\\{other}`; `\\\\` is a `\\`")),
            None => return Err("a `\\` at the end escapes nothing; `\\\\` is a `\\`".to_owned()),
        });
        rest = letters.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(Bytes(bytes))
}

/// The address of a client, from the command line.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let remedy =
        "this must be an IP address with a port, such as 192.0.2.1:50000 or [2001:db8::1]:50000";
    text.parse().map_err(|_| remedy.to_owned())
}

/// Bytes as a text in quotes, with escapes that [`bytes`] understands; cut where it is long.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(MOST_SHOWN)];
    let mut text = String::from("\"");
    for chunk in shown.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                letter if letter.is_ascii_control() => {
                    text.push_str(&format!("\\x{:02x}", u32::from(letter)));
                }
                letter => text.push(letter),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text.push('"');
    if shown.len() < bytes.len() {
        text.push('…');
    }
    crate::text::printable(&text).into_owned()
}

/// How many bytes, in words.
pub(super) fn count(bytes: usize) -> String {
    if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") }
}

/// A time as people read it: two digits behind the point, in the unit that fits.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if time >= Duration::from_secs(1) {
        format!("{seconds:.2} s")
    } else if time >= Duration::from_millis(1) {
        format!("{:.2} ms", seconds * 1e3)
    } else {
        format!("{:.0} µs", seconds * 1e6)
    }
}

/// Milliseconds, for programs.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The answer in one word, as scripts have it.
pub(super) fn answer(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done => "done",
        Answer::Readiness(Readiness::Ready(_)) => "ready",
        Answer::Readiness(Readiness::NotYet(_)) => "not-yet",
        Answer::Reply(reply) => match reply.verdict {
            Verdict::Wake => "wake",
            Verdict::More => "more",
            Verdict::Refuse => "refuse",
            Verdict::WakeAndClose => "wake-and-close",
        },
        Answer::Sleep(SleepVerdict::Sleep) => "sleep",
        Answer::Sleep(SleepVerdict::StayAwake(_)) => "stay-awake",
    }
}

/// The kind of a failure in one word, as scripts have it.
pub(super) fn kind(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::WrongSettings => "wrong-settings",
        FailureKind::TryAgain(_) => "try-again",
        FailureKind::Permanent => "permanent",
        FailureKind::Denied => "denied",
        FailureKind::Broken => "broken",
    }
}

/// What is asked, in one line.
pub(super) fn question(question: &Question) -> String {
    let function = question.function();
    match question {
        Question::Start(Cause::Client(client)) | Question::Stop(Cause::Client(client)) => {
            format!("{function} (cause: client {})", client.address)
        }
        Question::Start(cause) | Question::Stop(cause) => {
            format!("{function} (cause: {})", cause.word())
        }
        Question::Ready { attempt } => format!("{function} (attempt {attempt})"),
        Question::ShouldWake { client, phase, sent } if sent.is_empty() => {
            format!("{function} ({phase}; {client} is silent)")
        }
        Question::ShouldWake { client, phase, sent } => {
            format!("{function} ({phase}; {client} sends {})", quoted(sent))
        }
        Question::ShouldSleep { idle_for } => {
            format!("{function} (idle for {})", humantime::format_duration(*idle_for))
        }
    }
}

/// The question that a call of a script, or of the command line, is.
pub(super) fn of_call(call: &Call) -> Question {
    match call {
        Call::Start(cause) => Question::Start(of_cause(*cause)),
        Call::Stop(cause) => Question::Stop(of_cause(*cause)),
        Call::Ready(attempt) => Question::Ready { attempt: *attempt },
        Call::ShouldWake { client, phase, send } => Question::ShouldWake {
            client: *client,
            phase: match phase {
                script::Phase::Asleep => Phase::Asleep,
                script::Phase::Starting => Phase::Starting,
                script::Phase::Stopping => Phase::Stopping,
            },
            sent: send.clone(),
        },
        Call::ShouldSleep(idle_for) => Question::ShouldSleep { idle_for: *idle_for },
    }
}

fn of_cause(cause: script::Cause) -> Cause {
    match cause {
        // Whoever starts a target has no listener at hand: a client's own address will do.
        script::Cause::Client(address) => Cause::Client(Client { address, listener: address }),
        script::Cause::Operator => Cause::Operator,
        script::Cause::Cooldown => Cause::Cooldown,
        script::Cause::Exit => Cause::Exit,
        script::Cause::FailedStart => Cause::FailedStart,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    #[test]
    fn escapes_mean_bytes() {
        assert_eq!(bytes(r"a\r\n\t\0\\\xfe\x01ä").unwrap().0, b"a\r\n\t\0\\\xfe\x01\xc3\xa4");
        assert_eq!(bytes("").unwrap().0, b"");
    }

    #[test]
    fn escapes_that_there_are_not_are_told() {
        for text in [r"\q", r"\", r"\x", r"\xf", r"\xzz", r"\x+1"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_shown_so_that_they_can_be_written_again() {
        let all: Vec<u8> = (0..=127).chain(128..=255).collect();
        for chunk in all.chunks(64) {
            let shown = quoted(chunk);
            let inner = shown.trim_matches('"').replace("\\\"", "\"");
            assert_eq!(bytes(&inner).unwrap().0, chunk, "{shown}");
        }
    }

    #[test]
    fn many_bytes_are_cut() {
        assert_eq!(quoted(&[b'a'; 500]).chars().count(), MOST_SHOWN + 3);
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        assert_eq!(time(Duration::from_micros(12)), "12 µs");
        assert_eq!(time(Duration::from_micros(1234)), "1.23 ms");
        assert_eq!(time(Duration::from_millis(2346)), "2.35 s");
    }
}
