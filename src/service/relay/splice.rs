//! The path for large reads on Linux: pages move from one socket to the other through a pipe, and
//! are not looked at.
//!
//! A pipe is borrowed for a read and given back as soon as it is empty, most often within the same
//! call. So there are never more pipes in use than connections that have bytes under way.

use std::io;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use super::pipes::Pipe;
use super::pool::Paths;
use super::read::{Fault, Received};
use super::socket::Socket;

/// Bytes that were read and not yet written, in a pipe.
pub(super) struct Piped {
    pipe: Pipe,
    bytes: usize,
}

/// Reads once and writes as much of it as is accepted. `None` if there is no pipe to be had; then
/// nothing was read.
pub(super) fn receive(
    context: &mut Context<'_>,
    from: &mut Socket,
    to: &mut Socket,
    paths: &Paths,
) -> Result<Option<Received<Piped>>, Fault> {
    let Some(pipe) = paths.lend_pipe() else {
        return Ok(None);
    };
    let read = match read(context, from, &pipe) {
        Poll::Ready(Ok(Some(read))) if read > 0 => read,
        other => {
            paths.take_pipe_back(pipe);
            return match other {
                Poll::Pending => Ok(Some(Received::Nothing)),
                Poll::Ready(Ok(Some(_))) => Ok(Some(Received::End)),
                Poll::Ready(Ok(None)) => {
                    paths.stop_splicing();
                    Ok(None)
                }
                Poll::Ready(Err(error)) => Err(Fault::Reading(error)),
            };
        }
    };
    let mut piped = Piped { pipe, bytes: read };
    while !piped.is_empty() {
        if piped.poll_write(context, to).map_err(Fault::Writing)?.is_pending() {
            let written = read - piped.bytes;
            return Ok(Some(Received::Bytes { read, written, rest: Some(piped) }));
        }
    }
    piped.give_back(paths);
    Ok(Some(Received::Bytes { read, written: read, rest: None }))
}

impl Piped {
    /// Whether everything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Writes some of it, and says how much.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        to: &mut Socket,
    ) -> io::Result<Poll<usize>> {
        let written = to.poll_write_with(context, |stream| {
            Ok(splice(self.pipe.reader(), None, stream, None, self.bytes, flags())?)
        });
        match written {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(accepted)) => {
                self.bytes -= accepted;
                Ok(Poll::Ready(accepted))
            }
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// Gives the pipe back once it is empty.
    pub(super) fn give_back(self, paths: &Paths) {
        if self.is_empty() {
            paths.take_pipe_back(self.pipe);
        }
    }
}

/// Reads into an empty pipe. `None` if the system can't or won't do that.
fn read(
    context: &mut Context<'_>,
    from: &mut Socket,
    pipe: &Pipe,
) -> Poll<io::Result<Option<usize>>> {
    from.poll_read_with(context, |stream| {
        match splice(stream, None, pipe.writer(), None, pipe.capacity(), flags()) {
            Ok(read) => Ok(Some(read)),
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::NOMEM) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
}

fn flags() -> SpliceFlags {
    SpliceFlags::NONBLOCK | SpliceFlags::MOVE
}
