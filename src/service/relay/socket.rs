//! One of the two sockets of a connection: tokio's stream, and a way to hear of a reset while
//! nobody reads.
//!
//! Tokio tells a task about a socket only what the task waits for, and a task can only wait for
//! what isn't already there. A reset makes a socket readable and writable. So while a direction is
//! stuck (its writer accepts nothing, and bytes to read are there already) or has ended (the end
//! of file stays readable for ever), a reset by the side that it reads from goes unnoticed, for as
//! long as the other side keeps silent; a target would be kept awake by nobody.
//!
//! [`Socket::poll_failure`] therefore hides from tokio that the socket is writable, and waits for
//! it to become so "again", which a reset brings about. [`Socket::poll_write`] knows of that and
//! goes by the socket itself then.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A connected socket.
pub(super) struct Socket {
    stream: TcpStream,
    /// Tokio may believe that the socket isn't writable although it is.
    hidden: bool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Socket {
        Socket { stream, hidden: false }
    }

    /// Reads into `buffer`; 0 bytes are the end.
    ///
    /// A read that doesn't fill the buffer is known to have emptied the socket: no second call is
    /// made to learn that.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Writes some of `bytes`.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.hidden {
            match SockRef::from(&self.stream).send(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.hidden = false,
                result => return Poll::Ready(result),
            }
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    /// Reads in whichever way `read` does. Unlike [`Socket::poll_read`], this takes the socket for
    /// emptied only once `read` would block.
    #[cfg(target_os = "linux")]
    pub(super) fn poll_read_with<T>(
        &mut self,
        context: &mut Context<'_>,
        mut read: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_io(Interest::READABLE, || read(&self.stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Writes in whichever way `write` does.
    #[cfg(target_os = "linux")]
    pub(super) fn poll_write_with<T>(
        &mut self,
        context: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        if self.hidden {
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.hidden = false,
                result => return Poll::Ready(result),
            }
        }
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_io(Interest::WRITABLE, || write(&self.stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Tells the peer that nothing more will come.
    pub(super) fn finish(&self) -> io::Result<()> {
        match SockRef::from(&self.stream).shutdown(Shutdown::Write) {
            // Reset meanwhile: whoever reads from it or watches it is told so.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Closes the connection with a reset.
    pub(super) fn reset(self) {
        // It fails for a socket that is broken already; then there is nobody to tell.
        let _ = self.stream.set_zero_linger();
    }

    /// Waits for the socket to fail. To be asked while nobody reads from it.
    pub(super) fn poll_failure(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            if let Err(error) = ready!(self.stream.poll_write_ready(context)) {
                return Poll::Ready(error);
            }
            if self.is_closed() {
                // Without an error it has ended both ways, and can no longer be reset.
                return match self.stream.take_error() {
                    Ok(None) => Poll::Pending,
                    Ok(Some(error)) | Err(error) => Poll::Ready(error),
                };
            }
            self.hide();
        }
    }

    /// Whether the kernel has told that nothing can be written any more.
    fn is_closed(&self) -> bool {
        let ready = pin!(self.stream.ready(Interest::WRITABLE));
        let now = ready.poll(&mut Context::from_waker(Waker::noop()));
        matches!(now, Poll::Ready(Ok(ready)) if ready.is_write_closed())
    }

    /// Makes tokio believe that the socket isn't writable until it hears otherwise.
    fn hide(&mut self) {
        self.hidden = true;
        let _: io::Result<()> =
            self.stream.try_io(Interest::WRITABLE, || Err(io::ErrorKind::WouldBlock.into()));
    }
}
