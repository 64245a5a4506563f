//! Pipes to splice through: made when one is needed, kept for the next, never more than allowed.
//!
//! A pipe is better the larger it is. Linux gives a user without privileges at most
//! `fs.pipe-max-size` for one (1 MiB by default), and 64 MiB for all of them together
//! (`fs.pipe-user-pages-soft`); beyond that, pipes hold no more than two pages. So a pipe that
//! came out too small is given up, as is one for which there are no descriptors, and for some
//! time nobody asks for another.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

use super::counted::Counted;

/// The size that is asked for, in bytes.
pub(super) const PIPE: usize = 1 << 20;

/// A pipe smaller than this, in bytes, is no better than copying.
const LEAST: usize = 64 << 10;

/// How many unused pipes are kept for later.
const SPARE: usize = 16;

/// After a pipe was refused, so many requests are declined before the system is asked again.
const DECLINED: usize = 1000;

/// Where pipes come from and go back to.
#[derive(Debug)]
pub(super) struct Pipes {
    allowed: usize,
    open: Arc<AtomicUsize>,
    spare: Mutex<Vec<Pipe>>,
    to_decline: AtomicUsize,
}

/// An empty pipe, or one whose owner knows what is in it. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    capacity: u32,
    _counted: Counted,
}

impl Pipes {
    /// No pipes yet, and never more than `allowed` at once.
    pub(super) fn new(allowed: usize) -> Pipes {
        Pipes {
            allowed,
            open: Arc::default(),
            spare: Mutex::default(),
            to_decline: AtomicUsize::new(0),
        }
    }

    /// An empty pipe, unless there are none left.
    pub(super) fn take(&self) -> Option<Pipe> {
        let spare = self.spare().pop();
        spare.or_else(|| self.make())
    }

    /// Takes back a pipe, which must be empty.
    pub(super) fn put(&self, pipe: Pipe) {
        let mut spare = self.spare();
        if spare.len() < SPARE {
            spare.push(pipe);
        }
    }

    /// How many pipes are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many pipes are open, and how many of them are unused.
    pub(super) fn count(&self) -> (usize, usize) {
        let spare = self.spare();
        (self.open(), spare.len())
    }

    fn make(&self) -> Option<Pipe> {
        let decline = |left: usize| left.checked_sub(1);
        if self.to_decline.fetch_update(Ordering::Relaxed, Ordering::Relaxed, decline).is_ok() {
            return None;
        }
        let counted = Counted::new(&self.open, 1);
        if self.open() > self.allowed {
            return None;
        }
        let pipe = Pipe::open(counted);
        if pipe.is_none() {
            self.to_decline.store(DECLINED, Ordering::Relaxed);
        }
        pipe
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Pipe>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipe {
    /// The end that bytes come out of.
    pub(super) fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// The end that bytes go into.
    pub(super) fn writer(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }

    /// How many bytes it holds at most.
    pub(super) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    fn open(counted: Counted) -> Option<Pipe> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        let mut wanted = PIPE;
        while wanted >= LEAST && fcntl_setpipe_size(&writer, wanted).is_err() {
            wanted /= 2;
        }
        let capacity = fcntl_getpipe_size(&writer).ok()?;
        if capacity < LEAST {
            return None;
        }
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        Some(Pipe { reader, writer, capacity, _counted: counted })
    }
}
