//! Several attempts to connect, side by side; the first that succeeds wins.
//!
//! The addresses of a name are tried as RFC 8305 ("Happy Eyeballs") says: one that keeps silent, such
//! as an IPv6 address without a route back, costs a quarter of a second instead of the whole
//! `connect_timeout`.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::connect::{Attempt, connect};
use super::error::DialError;
use super::ready::quiet_time;
use crate::config::Target;
use crate::service::socket::Keepalive;

/// How long an address has, before the next one is tried beside it (RFC 8305, section 5).
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How addresses are tried.
pub(super) struct Terms {
    /// For the messages of errors.
    pub(super) target: Target,
    /// When a connection must be there.
    pub(super) deadline: Instant,
    pub(super) keepalive: Option<Keepalive>,
    pub(super) check: Check,
}

/// When a connection counts as made: see [`stays_open`].
#[derive(Clone, Copy)]
pub(super) enum Check {
    /// As soon as it is there.
    Connected,
    /// When it has stayed open for this time.
    StaysOpen(Duration),
    /// When it has stayed open for [`quiet_time`] in a start that began then.
    StaysOpenInStart(Instant),
}

/// Futures that run side by side within one task. There are few of them, so all are polled at once.
pub(super) struct SideBySide<'a, T> {
    running: Vec<Pin<Box<dyn Future<Output = T> + Send + 'a>>>,
}

impl<'a, T> SideBySide<'a, T> {
    pub(super) fn new() -> Self {
        SideBySide { running: Vec::new() }
    }

    pub(super) fn push(&mut self, future: impl Future<Output = T> + Send + 'a) {
        self.running.push(Box::pin(future));
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn drop_oldest(&mut self) {
        if !self.running.is_empty() {
            drop(self.running.remove(0));
        }
    }

    pub(super) fn clear(&mut self) {
        self.running.clear();
    }

    /// What the next one that ends returns. Waits for ever if none is running.
    pub(super) async fn next(&mut self) -> T {
        poll_fn(|context| {
            for index in 0..self.running.len() {
                if let Poll::Ready(output) = self.running[index].as_mut().poll(context) {
                    drop(self.running.remove(index));
                    return Poll::Ready(output);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Connects to the first of `addresses` that accepts. They are tried in this order, each as soon as
/// the one before has failed or has had its [`CONNECTION_ATTEMPT_DELAY`].
///
/// # Errors
///
/// None accepted. Of several failures it is the one that tells the most.
pub(super) async fn race(
    addresses: &[SocketAddr],
    terms: &Terms,
) -> Result<(TcpStream, SocketAddr), DialError> {
    let mut untried = addresses.iter().copied();
    let mut attempts = SideBySide::new();
    let mut failure: Option<DialError> = None;
    let mut next_start = Instant::now();
    loop {
        let now = Instant::now();
        if now >= next_start
            && let Some(address) = untried.next()
        {
            attempts.push(attempt(address, terms));
            next_start = now + CONNECTION_ATTEMPT_DELAY;
        }
        if attempts.is_empty() {
            let nothing = || DialError::other(&terms.target, io::ErrorKind::NotFound.into());
            return Err(failure.unwrap_or_else(nothing));
        }
        tokio::select! {
            biased;
            ended = attempts.next() => match ended {
                Ok(won) => return Ok(won),
                Err(error) => {
                    if failure.as_ref().is_none_or(|other| error.kind() > other.kind()) {
                        failure = Some(error);
                    }
                    next_start = Instant::now();
                }
            },
            () = sleep_until(next_start), if untried.len() > 0 => {}
        }
    }
}

async fn attempt(address: SocketAddr, terms: &Terms) -> Result<(TcpStream, SocketAddr), DialError> {
    let first = Attempt::begin(address, terms.keepalive);
    let connected = connect(first, address, terms.deadline, terms.keepalive).await;
    let stream = connected.map_err(|error| DialError::new(&terms.target, address, error))?;
    let quiet = match terms.check {
        Check::Connected => return Ok((stream, address)),
        Check::StaysOpen(quiet) => quiet,
        Check::StaysOpenInStart(began) => quiet_time(began.elapsed()),
    };
    match stays_open(&stream, quiet).await {
        Ok(()) => Ok((stream, address)),
        Err(error) => Err(DialError::closed_at_once(&terms.target, address, error)),
    }
}

/// Waits until the other end has sent something, or has kept the connection open for `quiet`. Reads
/// nothing.
///
/// A proxy in front of the target, such as Docker's, accepts before the target listens, and closes
/// once its own attempt to connect has failed.
///
/// # Errors
///
/// The other end has closed or reset the connection, and has sent nothing.
async fn stays_open(stream: &TcpStream, quiet: Duration) -> io::Result<()> {
    // A peek takes back tokio's readiness only where the socket had nothing: so the next reader waits
    // for what is new, and finds what is there.
    match timeout(quiet, stream.peek(&mut [0])).await {
        Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(Ok(_)) | Err(_) => Ok(()),
        Ok(Err(error)) => Err(error),
    }
}
