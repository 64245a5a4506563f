//! A guest's standard output and error: cut into lines, and said in the log.
//!
//! The last lines of the standard error are kept as well: where a panic or a traceback ends a call,
//! they are the best account of what happened.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::voice::{Loudness, Voice};
use crate::text;

/// How many of the last lines are kept.
const KEPT: usize = 5;

/// How many bytes a guest may write at once.
const PERMIT: usize = 64 << 10;

/// One of the two streams. Clones write to the same lines.
#[derive(Clone)]
pub(super) struct Stream(Arc<Mutex<Lines>>);

struct Lines {
    voice: Arc<Voice>,
    loudness: Loudness,
    /// The beginning of a line whose end has not come yet, at most [`text::LONGEST`] bytes.
    begun: Vec<u8>,
    last: VecDeque<String>,
}

impl Stream {
    /// A stream whose lines `voice` says.
    pub(super) fn new(voice: &Arc<Voice>, loudness: Loudness) -> Stream {
        Stream(Arc::new(Mutex::new(Lines {
            voice: Arc::clone(voice),
            loudness,
            begun: Vec::new(),
            last: VecDeque::with_capacity(KEPT),
        })))
    }

    /// Says a last line that has no end.
    pub(super) fn end_call(&self) {
        let mut lines = self.lines();
        if !lines.begun.is_empty() {
            lines.end_line();
        }
    }

    /// The last lines that were written, escaped.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.lines().last.iter().cloned().collect()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn write(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.push(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.push(bytes);
    }

    /// What is beyond the longest line is not kept.
    fn push(&mut self, bytes: &[u8]) {
        let room = text::LONGEST.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) {
        let line = text::line(&String::from_utf8_lossy(&self.begun), text::LONGEST);
        self.begun.clear();
        self.voice.say(self.loudness, &line);
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

/// For guests of WASI 0.2.
#[async_trait]
impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lines().write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

/// For guests of WASI 0.3.
impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.lines().write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::process::log_rate::LogRate;

    fn stream() -> Stream {
        let rate = Arc::new(Mutex::new(LogRate::new(1 << 20, std::time::Instant::now())));
        Stream::new(&Arc::new(Voice::new("p", "s", 1000, &rate)), Loudness::Info)
    }

    #[test]
    fn the_last_lines_are_kept_whatever_pieces_they_come_in() {
        let stream = stream();
        for piece in ["one\ntw", "o\n\u{1b}[31mth", "ree", "\nfour\nfive\nsix\nsev"] {
            stream.lines().write(piece.as_bytes());
        }
        stream.end_call();
        let expected = [r"\u{1b}[31mthree", "four", "five", "six", "sev"];
        assert_eq!(stream.last_lines(), expected);
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_a_long_one() {
        let stream = stream();
        for _ in 0..100 {
            stream.lines().write(&[b'a'; 1000]);
        }
        assert_eq!(stream.lines().begun.len(), text::LONGEST);
    }
}
