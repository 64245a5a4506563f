//! One direction of a connection: reads from one side, carries what the other has not accepted
//! yet, and ends.
//!
//! ```text
//!             ┌──────────── large read ───────────▶┐
//!          Copying                             Splicing ── end of file ──▶ Ended
//!             └◀─────────── small read ────────────┘                         ▲
//!             └─────────────────────────── end of file ──────────────────────┘
//! ```
//!
//! Nothing is read while something is carried. So a direction holds one read at most, and a reader
//! that is slower than its writer slows that writer down, as it would without a proxy.

use std::io;
use std::mem;
use std::task::{Context, Poll};

use super::copy::{self, Kept};
use super::pool::Paths;
use super::read::{Fault, Received};
use super::socket::Socket;
#[cfg(target_os = "linux")]
use super::splice::{self, Piped};

/// How many reads are made before others get a turn.
///
/// Tokio's own budget (128 operations) must last for both directions, or the second would starve.
const READS_PER_TURN: usize = 4;

/// A read of so many bytes is worth a pipe for the next.
#[cfg(target_os = "linux")]
const LARGE_READ: usize = 32 << 10;

/// A read through a pipe of less than this would have been cheaper as a copy.
#[cfg(target_os = "linux")]
const SMALL_READ: usize = 4 << 10;

/// The state of one direction.
pub(super) struct Direction {
    reading: Reading,
    carried: Carried,
    delivered: u64,
}

/// How the next bytes are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Copying,
    #[cfg(target_os = "linux")]
    Splicing,
    /// Nothing more will come.
    Ended,
}

/// What was read and not yet written.
enum Carried {
    Nothing,
    Kept(Kept),
    #[cfg(target_os = "linux")]
    Piped(Piped),
}

impl Direction {
    /// A direction that begins with the bytes `early`.
    pub(super) fn new(early: Vec<u8>, paths: &Paths) -> Direction {
        let carried = match early.is_empty() {
            true => Carried::Nothing,
            false => Carried::Kept(Kept::new(paths.adopt_buffer(early))),
        };
        Direction { reading: Reading::Copying, carried, delivered: 0 }
    }

    /// Goes as far as it can, or as far as is fair to others. True if it has ended just now: that
    /// is the caller's to pass on. Otherwise, unless it ended before, the task will be woken.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Socket,
        to: &mut Socket,
        paths: &Paths,
    ) -> Result<bool, Fault> {
        if self.has_ended() {
            return Ok(false);
        }
        for _ in 0..READS_PER_TURN {
            if self.deliver(context, to, paths).map_err(Fault::Writing)?.is_pending() {
                return Ok(false);
            }
            if self.receive(context, from, to, paths)?.is_pending() {
                return Ok(false);
            }
            if self.has_ended() {
                return Ok(true);
            }
        }
        context.waker().wake_by_ref();
        Ok(false)
    }

    /// Whether everything was delivered, and nothing more will come.
    pub(super) fn has_ended(&self) -> bool {
        self.reading == Reading::Ended
    }

    /// Whether it waits for bytes to read, and hears of it if the side that it reads from fails.
    pub(super) fn is_reading(&self) -> bool {
        !self.has_ended() && self.carried.is_empty()
    }

    /// How many bytes were written.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Writes what is carried. `Ready` when that is nothing any more.
    fn deliver(
        &mut self,
        context: &mut Context<'_>,
        to: &mut Socket,
        paths: &Paths,
    ) -> io::Result<Poll<()>> {
        while !self.carried.is_empty() {
            let written = match &mut self.carried {
                Carried::Nothing => Poll::Ready(0),
                Carried::Kept(kept) => kept.poll_write(context, to)?,
                #[cfg(target_os = "linux")]
                Carried::Piped(piped) => piped.poll_write(context, to)?,
            };
            match written {
                Poll::Ready(accepted) => self.delivered += accepted as u64,
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        mem::replace(&mut self.carried, Carried::Nothing).give_back(paths);
        Ok(Poll::Ready(()))
    }

    /// Reads once, with nothing carried, and writes as much of it as is accepted at once.
    fn receive(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Socket,
        to: &mut Socket,
        paths: &Paths,
    ) -> Result<Poll<()>, Fault> {
        #[cfg(target_os = "linux")]
        if self.reading == Reading::Splicing
            && let Some(received) = splice::receive(context, from, to, paths)?
        {
            return Ok(self.note(received, Carried::Piped, paths));
        }
        let received = copy::receive(context, from, to, paths)?;
        Ok(self.note(received, Carried::Kept, paths))
    }

    /// Takes note of a read: counts it, carries its rest, and chooses how to read next.
    fn note<Rest>(
        &mut self,
        received: Received<Rest>,
        carry: impl FnOnce(Rest) -> Carried,
        paths: &Paths,
    ) -> Poll<()> {
        match received {
            Received::Nothing => return Poll::Pending,
            Received::End => self.reading = Reading::Ended,
            Received::Bytes { read, written, rest } => {
                self.delivered += written as u64;
                if let Some(rest) = rest {
                    self.carried = carry(rest);
                }
                self.choose(read, paths);
            }
        }
        Poll::Ready(())
    }

    /// Chooses how to read next, by how much there was this time.
    fn choose(&mut self, read: usize, paths: &Paths) {
        #[cfg(target_os = "linux")]
        match self.reading {
            Reading::Copying if read >= LARGE_READ && paths.splices() => {
                self.reading = Reading::Splicing;
            }
            Reading::Splicing if read < SMALL_READ => self.reading = Reading::Copying,
            Reading::Copying | Reading::Splicing | Reading::Ended => {}
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (read, paths);
    }
}

impl Carried {
    fn is_empty(&self) -> bool {
        match self {
            Carried::Nothing => true,
            Carried::Kept(kept) => kept.is_empty(),
            #[cfg(target_os = "linux")]
            Carried::Piped(piped) => piped.is_empty(),
        }
    }

    /// Gives back what held the bytes.
    fn give_back(self, paths: &Paths) {
        match self {
            Carried::Nothing => {}
            Carried::Kept(kept) => kept.give_back(paths),
            #[cfg(target_os = "linux")]
            Carried::Piped(piped) => piped.give_back(paths),
        }
    }
}
