//! The portable path: reads into a buffer of the thread's, writes from it at once, and keeps only
//! what was refused.

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll};

use super::buffers::{BUFFER, Buffer};
use super::pool::Paths;
use super::read::{Fault, Received};
use super::socket::Socket;

thread_local! {
    /// The buffer to read into: one for each thread, so that a connection needs none of its own.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes that were read and not yet written.
pub(super) struct Kept {
    buffer: Buffer,
    written: usize,
}

/// Reads once and writes as much of it as is accepted.
pub(super) fn receive(
    context: &mut Context<'_>,
    from: &mut Socket,
    to: &mut Socket,
    paths: &Paths,
) -> Result<Received<Kept>, Fault> {
    with_scratch(|scratch| {
        let room = paths.room_to_keep();
        let read = match from.poll_read(context, &mut scratch[..room]).map_err(Fault::Reading)? {
            Poll::Pending => return Ok(Received::Nothing),
            Poll::Ready(0) => return Ok(Received::End),
            Poll::Ready(read) => read,
        };
        let mut written = 0;
        while written < read {
            match write(context, to, &scratch[written..read]).map_err(Fault::Writing)? {
                Poll::Pending => break,
                Poll::Ready(accepted) => written += accepted,
            }
        }
        let rest = &scratch[written..read];
        let rest = (!rest.is_empty()).then(|| Kept::new(paths.lend_buffer(rest)));
        Ok(Received::Bytes { read, written, rest })
    })
}

impl Kept {
    /// Bytes of which none are written yet.
    pub(super) fn new(buffer: Buffer) -> Kept {
        Kept { buffer, written: 0 }
    }

    /// Whether everything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.written == self.buffer.bytes().len()
    }

    /// Writes some of it, and says how much.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        to: &mut Socket,
    ) -> io::Result<Poll<usize>> {
        let written = write(context, to, &self.buffer.bytes()[self.written..])?;
        if let Poll::Ready(accepted) = written {
            self.written += accepted;
        }
        Ok(written)
    }

    /// Gives the buffer back.
    pub(super) fn give_back(self, paths: &Paths) {
        paths.take_buffer_back(self.buffer);
    }
}

/// Writes some of `bytes`, of which there are some.
fn write(context: &mut Context<'_>, to: &mut Socket, bytes: &[u8]) -> io::Result<Poll<usize>> {
    match to.poll_write(context, bytes) {
        Poll::Pending => Ok(Poll::Pending),
        Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
        Poll::Ready(Ok(accepted)) => Ok(Poll::Ready(accepted)),
        Poll::Ready(Err(error)) => Err(error),
    }
}

/// Calls `work` with this thread's buffer.
fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with(|cell| {
        let mut scratch = cell.take();
        scratch.resize(BUFFER, 0);
        let result = work(&mut scratch);
        cell.set(scratch);
        result
    })
}
