//! What all connections share: the choice of the path, and the memory for bytes under way.
//!
//! The limit bounds what is held of bytes that one side has sent and the other has not accepted:
//! in buffers, and in pipes. Up to half of it may go into pipes; without one, a direction copies.
//! When it is used up, a direction reads no more than [`LEAST`](buffers::LEAST) bytes at a time:
//! it goes on, and holds no more than that.

use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use super::buffers::{self, BUFFER, Buffer, Buffers};
#[cfg(target_os = "linux")]
use super::pipes::{PIPE, Pipe, Pipes};

/// How bytes are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By copying, always.
    Copy,
    /// By copying what is small and splicing what is large, where the system can.
    Adaptive,
}

/// The paths that bytes may take, and the memory for them: made once, and shared by all
/// connections. A clone is another handle to the same.
#[derive(Clone, Debug)]
pub struct Paths(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// In bytes.
    limit: usize,
    buffers: Buffers,
    #[cfg(target_os = "linux")]
    pipes: Pipes,
    /// Whether large reads are spliced.
    #[cfg(target_os = "linux")]
    splices: AtomicBool,
}

/// What is in use at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The size of the buffers that hold bytes which a side has not accepted.
    pub buffer_bytes: usize,
    /// How many pipes hold such bytes, or are about to.
    pub pipes: usize,
    /// How many pipes are open and unused.
    pub spare_pipes: usize,
}

impl Paths {
    /// Paths that carry in this mode, with so many bytes for what is under way.
    pub fn new(mode: Mode, limit: usize) -> Paths {
        Paths::with_pipes(mode, limit, usize::MAX)
    }

    /// How many pipes there are at most, with so many bytes for what is under way.
    pub fn most_pipes(limit: usize) -> usize {
        #[cfg(target_os = "linux")]
        return limit / 2 / PIPE;
        #[cfg(not(target_os = "linux"))]
        {
            let _ = limit;
            0
        }
    }

    /// The same with so many pipes at most: each takes two descriptors.
    pub fn with_pipes(mode: Mode, limit: usize, pipes: usize) -> Paths {
        #[cfg(not(target_os = "linux"))]
        let _ = (mode, pipes);
        Paths(Arc::new(Shared {
            limit,
            buffers: Buffers::default(),
            #[cfg(target_os = "linux")]
            pipes: Pipes::new(Paths::most_pipes(limit).min(pipes)),
            #[cfg(target_os = "linux")]
            splices: AtomicBool::new(mode == Mode::Adaptive),
        }))
    }

    /// What is in use now.
    pub fn usage(&self) -> Usage {
        let buffer_bytes = self.0.buffers.lent();
        #[cfg(target_os = "linux")]
        {
            let (open, spare_pipes) = self.0.pipes.count();
            Usage { buffer_bytes, pipes: open - spare_pipes, spare_pipes }
        }
        #[cfg(not(target_os = "linux"))]
        Usage { buffer_bytes, ..Usage::default() }
    }

    /// How many bytes may be read, given that all of them may have to be kept. At least one.
    pub(super) fn room_to_keep(&self) -> usize {
        let used = self.0.buffers.lent();
        #[cfg(target_os = "linux")]
        let used = used + self.0.pipes.open() * PIPE;
        if used + BUFFER <= self.0.limit { BUFFER } else { buffers::LEAST }
    }

    /// A buffer with these bytes.
    pub(super) fn lend_buffer(&self, bytes: &[u8]) -> Buffer {
        self.0.buffers.take(bytes)
    }

    /// A buffer that was filled elsewhere.
    pub(super) fn adopt_buffer(&self, bytes: Vec<u8>) -> Buffer {
        self.0.buffers.adopt(bytes)
    }

    /// Takes a buffer back.
    pub(super) fn take_buffer_back(&self, buffer: Buffer) {
        self.0.buffers.put(buffer);
    }
}

#[cfg(target_os = "linux")]
impl Paths {
    /// Whether large reads are spliced.
    pub(super) fn splices(&self) -> bool {
        self.0.splices.load(Ordering::Relaxed)
    }

    /// Splices no more: the system doesn't.
    pub(super) fn stop_splicing(&self) {
        self.0.splices.store(false, Ordering::Relaxed);
    }

    /// An empty pipe, unless there are none left.
    pub(super) fn lend_pipe(&self) -> Option<Pipe> {
        if self.splices() { self.0.pipes.take() } else { None }
    }

    /// Takes a pipe back, which must be empty.
    pub(super) fn take_pipe_back(&self, pipe: Pipe) {
        self.0.pipes.put(pipe);
    }
}
