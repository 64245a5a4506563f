//! Buffers for bytes that one side has sent and the other has not accepted yet.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::counted::Counted;

/// The size of a read in the portable path, and of what may have to be kept of it, in bytes.
pub(super) const BUFFER: usize = 256 << 10;

/// How many bytes are read at a time, and kept, when memory is used up.
pub(super) const LEAST: usize = 2 << 10;

/// So many bytes or fewer get a buffer of just their size, and more a whole one.
const SMALL: usize = 64 << 10;

/// How many unused whole buffers are kept for later.
const SPARE: usize = 8;

/// Where buffers come from and go back to.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The size of all that are lent, in bytes.
    lent: Arc<AtomicUsize>,
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Bytes on loan. Dropping it frees them.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    _counted: Counted,
}

impl Buffers {
    /// The size of all buffers that are lent, in bytes.
    pub(super) fn lent(&self) -> usize {
        self.lent.load(Ordering::Relaxed)
    }

    /// A buffer with these bytes.
    pub(super) fn take(&self, bytes: &[u8]) -> Buffer {
        if bytes.len() <= SMALL {
            return self.adopt(bytes.to_vec());
        }
        let spare = self.spare().pop();
        let mut buffer = spare.unwrap_or_else(|| Vec::with_capacity(BUFFER));
        buffer.extend_from_slice(bytes);
        self.adopt(buffer)
    }

    /// A buffer that was filled elsewhere.
    pub(super) fn adopt(&self, bytes: Vec<u8>) -> Buffer {
        let counted = Counted::new(&self.lent, bytes.capacity());
        Buffer { bytes, _counted: counted }
    }

    /// Takes a buffer back.
    pub(super) fn put(&self, buffer: Buffer) {
        let mut bytes = buffer.bytes;
        if bytes.capacity() != BUFFER {
            return;
        }
        bytes.clear();
        let mut spare = self.spare();
        if spare.len() < SPARE {
            spare.push(bytes);
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// What is in it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
