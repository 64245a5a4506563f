//! What a hook prints, as lines in the log.
//!
//! The bytes are a stranger's: they may be no text, carry escape sequences for the operator's
//! terminal, never end a line, or come by the million. A line in the log is text without control
//! characters and of bounded length, and there is a bounded number of them in a second.
//!
//! Both streams are logged at the same level. Many tools print their progress to standard error, so
//! the stream says little about how bad it is; a hook that fails says so by its status, and the
//! message of that failure has the last lines of standard error.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::plugin::text::hostile;

/// The length of a line in bytes, before escaping. What is longer is cut in pieces.
const LONGEST: usize = 8 << 10;

/// How many lines of one stream are logged in a second; the others are counted.
const MOST_PER_SECOND: u32 = 1000;

/// Which stream a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
    /// Both, in the order in which they are written.
    Output,
}

/// Who prints.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) service: String,
    pub(super) plugin: String,
    pub(super) hook: String,
    pub(super) stream: Stream,
}

impl Origin {
    /// The stream's name in the log.
    pub(super) fn stream_name(&self) -> &'static str {
        match self.stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
            Stream::Output => "output",
        }
    }
}

/// Cuts what a stream gives into lines, and logs each as soon as it is complete.
pub(super) struct Lines {
    pub(super) origin: Origin,
    /// The beginning of the line that is under way; shorter than [`LONGEST`] between calls.
    pending: Vec<u8>,
    throttle: Throttle,
}

impl Lines {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, pending: Vec::new(), throttle: Throttle::new(Instant::now()) }
    }

    /// Takes what the stream gave next.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = LONGEST - self.pending.len();
            let within_reach = &bytes[..bytes.len().min(room)];
            match within_reach.iter().position(|&byte| byte == b'\n') {
                Some(end) => {
                    self.pending.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                    let whole = self.pending.strip_suffix(b"\r").unwrap_or(&self.pending).len();
                    self.log(whole);
                    self.pending.clear();
                }
                None => {
                    self.pending.extend_from_slice(within_reach);
                    bytes = &bytes[within_reach.len()..];
                    if self.pending.len() == LONGEST {
                        let piece = whole_characters(&self.pending);
                        self.log(piece);
                        self.pending.drain(..piece);
                    }
                }
            }
        }
    }

    /// The stream has ended: logs the line that was under way, and how many were left out.
    pub(super) fn finish(mut self) {
        if !self.pending.is_empty() {
            self.log(self.pending.len());
        }
        let left_out = self.throttle.left_out;
        self.log_left_out(left_out);
    }

    /// Logs the first `length` bytes of what is pending.
    fn log(&mut self, length: usize) {
        match self.throttle.admit(Instant::now()) {
            Admission::Passed { left_out_before } => {
                self.log_left_out(left_out_before);
                let Origin { service, plugin, hook, .. } = &self.origin;
                let stream = self.origin.stream_name();
                let line = printable(&self.pending[..length]);
                tracing::info!(target: "dormouse::hook", service, hook, plugin, stream, "{line}");
            }
            Admission::LeftOut => {}
        }
    }

    fn log_left_out(&self, count: u64) {
        if count == 0 {
            return;
        }
        let Origin { service, plugin, hook, .. } = &self.origin;
        let stream = self.origin.stream_name();
        tracing::warn!(
            target: "dormouse::hook", service, hook, plugin, stream,
            "{count} lines left out: the hook printed more than {MOST_PER_SECOND} in a second"
        );
    }
}

/// How many of `bytes` are whole characters: a character that is cut off at the end stays for the
/// next piece.
fn whole_characters(bytes: &[u8]) -> usize {
    let lead_of_last = bytes.iter().rposition(|&byte| byte & 0b1100_0000 != 0b1000_0000);
    match lead_of_last {
        Some(start) => match std::str::from_utf8(&bytes[start..]) {
            Err(error) if error.error_len().is_none() => start,
            _ => bytes.len(),
        },
        None => bytes.len(),
    }
}

/// Bytes as text that is safe on a terminal and in one line: `\x1b` for what is no text, escapes
/// for control characters and for those that change the direction of what follows. Tabs stay.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character != '\t' && hostile(character) {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string can't fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Lets so many lines pass in each second.
struct Throttle {
    second: Instant,
    passed: u32,
    left_out: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Admission {
    /// The line passes; so many before it did not.
    Passed { left_out_before: u64 },
    /// The line does not pass.
    LeftOut,
}

impl Throttle {
    fn new(now: Instant) -> Self {
        Self { second: now, passed: 0, left_out: 0 }
    }

    fn admit(&mut self, now: Instant) -> Admission {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.passed = 0;
        }
        if self.passed < MOST_PER_SECOND {
            self.passed += 1;
            Admission::Passed { left_out_before: std::mem::take(&mut self.left_out) }
        } else {
            self.left_out += 1;
            Admission::LeftOut
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_escapes_what_a_terminal_would_obey() {
        let line = b"ok\ttab \x1b[2J \xff\xfe bell\x07 \xe2\x80\xae reversed \xc3\xa4\xc2\x9b";
        assert_eq!(
            printable(line),
            "ok\ttab \\u{1b}[2J \\xff\\xfe bell\\u{7} \\u{202e} reversed ä\\u{9b}"
        );
    }

    #[test]
    fn a_piece_ends_between_two_characters() {
        assert_eq!(whole_characters("abcä".as_bytes()), 5);
        assert_eq!(whole_characters(&"abcä".as_bytes()[..4]), 3);
        assert_eq!(whole_characters(&"ab🐭".as_bytes()[..5]), 2);
    }

    #[test]
    fn a_piece_of_garbage_is_cut_anywhere() {
        assert_eq!(whole_characters(&[0xff; 9]), 9);
        assert_eq!(whole_characters(&[0x80; 9]), 9);
    }

    #[test]
    fn a_throttle_counts_what_it_leaves_out_and_begins_again_with_the_next_second() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        for _ in 0..MOST_PER_SECOND {
            assert_eq!(throttle.admit(start), Admission::Passed { left_out_before: 0 });
        }
        assert_eq!(throttle.admit(start), Admission::LeftOut);
        assert_eq!(throttle.admit(start), Admission::LeftOut);
        let next_second = start + Duration::from_secs(1);
        assert_eq!(throttle.admit(next_second), Admission::Passed { left_out_before: 2 });
        assert_eq!(throttle.admit(next_second), Admission::Passed { left_out_before: 0 });
    }
}
