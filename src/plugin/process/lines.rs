//! What a hook prints, as lines in the log.
//!
//! The bytes are a stranger's: they may be no text, carry escape sequences for the operator's
//! terminal, never end a line, or come by the million. A line in the log is text without control
//! characters and of bounded length, and there is a bounded number of them, and of bytes, in a second.
//!
//! Both streams are logged at the same level. Many tools print their progress to standard error, so
//! the stream says little about how bad it is; a hook that fails says so by its status, and the
//! message of that failure has the last lines of standard error.

use std::time::Instant;

use super::log_rate::{Admission, LogRate, MAX_LINES_PER_SECOND};
use crate::text;

/// The length of a line in bytes, before escaping. What is longer is cut in pieces.
const LONGEST: usize = 8 << 10;

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
    rate: LogRate,
    max_bytes: usize,
}

impl Lines {
    /// Lines of `origin`, of which at most `max_bytes` are logged in a second.
    pub(super) fn new(origin: Origin, max_bytes: usize) -> Self {
        let rate = LogRate::new(max_bytes, Instant::now());
        Self { origin, pending: Vec::new(), rate, max_bytes }
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
        let left_out = self.rate.left_out();
        self.log_left_out(left_out);
    }

    /// Logs the first `length` bytes of what is pending.
    fn log(&mut self, length: usize) {
        match self.rate.admit(length, Instant::now()) {
            Admission::Passed { left_out_before } => {
                self.log_left_out(left_out_before);
                let Origin { service, plugin, hook, .. } = &self.origin;
                let stream = self.origin.stream_name();
                let line = text::bytes(&self.pending[..length]);
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
            "{count} lines left out: the hook printed more than {MAX_LINES_PER_SECOND} lines or {} in a \
             second (`limits.log_bytes`)",
            bytesize::ByteSize(self.max_bytes as u64)
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

#[cfg(test)]
#[path = "lines/fuzz.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

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
}
