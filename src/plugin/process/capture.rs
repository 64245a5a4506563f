//! Reads one output stream of a hook: lines to the log, the last bytes to whoever asked.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::CancellationToken;

use super::lines::Lines;

/// How much is read at once: what a pipe holds unless somebody asked for more.
const CHUNK: usize = 64 << 10;

/// The largest pipe that a process may ask for. So much can be in it when a hook exits.
const LARGEST_PIPE: usize = 1 << 20;

/// One output stream that is being read.
pub(super) struct Capture {
    pipe: Receiver,
    tail: Tail,
    lines: Lines,
}

/// What a stream has given when its hook has exited.
pub(super) struct Captured {
    /// The last bytes.
    pub(super) tail: Vec<u8>,
    /// The stream, if somebody other than the hook still holds it.
    pub(super) leftover: Option<Leftover>,
}

/// A stream that outlives its hook.
pub(super) struct Leftover {
    /// The reading end of the pipe.
    pub(super) pipe: OwnedFd,
    /// The log lines, with the beginning of the line that is under way.
    pub(super) lines: Lines,
}

impl Capture {
    /// Begins to read `pipe`; `limit` is the number of bytes to keep.
    pub(super) fn new(pipe: OwnedFd, limit: usize, lines: Lines) -> io::Result<Self> {
        Ok(Self { pipe: Receiver::from_owned_fd(pipe)?, tail: Tail::new(limit), lines })
    }

    /// Reads until the stream ends, or until the hook has `exited` and what it printed is read.
    pub(super) async fn read_until(mut self, exited: &CancellationToken) -> Captured {
        let mut chunk = vec![0; CHUNK];
        let has_ended = loop {
            tokio::select! {
                biased;
                () = exited.cancelled() => break self.read_the_rest(&mut chunk),
                read = self.pipe.read(&mut chunk) => match read {
                    Ok(0) | Err(_) => break true,
                    Ok(length) => self.take(&chunk[..length]),
                },
            }
        };
        let tail = self.tail.into_bytes();
        if has_ended {
            self.lines.finish();
            return Captured { tail, leftover: None };
        }
        let leftover = match self.pipe.into_nonblocking_fd() {
            Ok(pipe) => Some(Leftover { pipe, lines: self.lines }),
            Err(_) => None,
        };
        Captured { tail, leftover }
    }

    /// Reads what is there already; says whether the stream has ended.
    ///
    /// It asks the kernel rather than the runtime, which may not have heard of the last bytes yet.
    fn read_the_rest(&mut self, chunk: &mut [u8]) -> bool {
        let mut length_of_rest = 0;
        while length_of_rest < LARGEST_PIPE {
            match rustix::io::read(&self.pipe, &mut *chunk) {
                Ok(0) => return true,
                Ok(length) => {
                    length_of_rest += length;
                    self.take(&chunk[..length]);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        false
    }

    fn take(&mut self, bytes: &[u8]) {
        self.tail.push(bytes);
        self.lines.push(bytes);
    }
}

/// The last bytes of a stream.
struct Tail {
    bytes: VecDeque<u8>,
    limit: usize,
}

impl Tail {
    fn new(limit: usize) -> Self {
        Self { bytes: VecDeque::new(), limit }
    }

    fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(self.limit)..];
        let surplus = (self.bytes.len() + kept.len()).saturating_sub(self.limit);
        self.bytes.drain(..surplus);
        self.bytes.extend(kept);
    }

    fn into_bytes(self) -> Vec<u8> {
        self.bytes.into()
    }
}

#[cfg(test)]
#[path = "capture/fuzz.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::Tail;

    #[test]
    fn a_tail_keeps_the_last_bytes_however_they_come_in() {
        for size in 1..=9 {
            let mut tail = Tail::new(4);
            for part in b"abcdefgh".chunks(size) {
                tail.push(part);
            }
            assert_eq!(tail.into_bytes(), b"efgh", "in parts of {size}");
        }
    }

    #[test]
    fn a_tail_of_nothing_keeps_nothing() {
        let mut tail = Tail::new(0);
        tail.push(b"abc");
        assert_eq!(tail.into_bytes(), b"");
    }
}
