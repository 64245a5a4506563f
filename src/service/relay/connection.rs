//! The future of one connection: polls both directions, passes ends and failures on, and knows
//! when it is over.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::net::TcpStream;

use super::direction::Direction;
use super::pool::Paths;
use super::read::Fault;
use super::socket::Socket;
use super::{End, Outcome, Side};

/// A connection under way; see [`relay`](super::relay). Written by hand, because what it holds is
/// what an idle connection costs.
#[must_use = "nothing is passed on unless the future is polled"]
pub struct Relay {
    /// `None` once the connection is over.
    sockets: Option<Sockets>,
    to_target: Direction,
    to_client: Direction,
    paths: Paths,
}

struct Sockets {
    client: Socket,
    target: Socket,
}

impl Relay {
    pub(super) fn new(client: TcpStream, target: TcpStream, early: Vec<u8>, paths: Paths) -> Relay {
        Relay {
            sockets: Some(Sockets { client: Socket::new(client), target: Socket::new(target) }),
            to_target: Direction::new(early, &paths),
            to_client: Direction::new(Vec::new(), &paths),
            paths,
        }
    }

    /// Goes as far as it can without waiting. `Ready` when the connection is over.
    fn advance(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let Some(Sockets { client, target }) = &mut self.sockets else {
            return Poll::Ready(End::Finished);
        };
        let paths = &self.paths;

        let target_ended = match self.to_target.poll(context, client, target, paths) {
            Ok(ended) => ended,
            Err(fault) => return Poll::Ready(fault.end(Side::Client, Side::Target)),
        };
        let client_ended = match self.to_client.poll(context, target, client, paths) {
            Ok(ended) => ended,
            Err(fault) => return Poll::Ready(fault.end(Side::Target, Side::Client)),
        };

        // Closing the sockets, which follows, passes both ends on: a shutdown would be in vain.
        if self.to_target.has_ended() && self.to_client.has_ended() {
            return Poll::Ready(End::Finished);
        }
        if target_ended && let Err(error) = target.finish() {
            return Poll::Ready(Fault::Writing(error).end(Side::Client, Side::Target));
        }
        if client_ended && let Err(error) = client.finish() {
            return Poll::Ready(Fault::Writing(error).end(Side::Target, Side::Client));
        }

        // A socket that nobody waits to read from would keep its reset to itself.
        if !self.to_target.is_reading()
            && let Poll::Ready(error) = client.poll_failure(context)
        {
            return Poll::Ready(Fault::Reading(error).end(Side::Client, Side::Target));
        }
        if !self.to_client.is_reading()
            && let Poll::Ready(error) = target.poll_failure(context)
        {
            return Poll::Ready(Fault::Reading(error).end(Side::Target, Side::Client));
        }
        Poll::Pending
    }
}

impl Future for Relay {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let relay = self.get_mut();
        let Poll::Ready(end) = relay.advance(context) else {
            return Poll::Pending;
        };
        if let Some(sockets) = relay.sockets.take() {
            sockets.close(&end);
        }
        Poll::Ready(Outcome {
            to_target: relay.to_target.delivered(),
            to_client: relay.to_client.delivered(),
            end,
        })
    }
}

impl Sockets {
    /// Closes both connections, so that each side learns how the other ended.
    fn close(self, end: &End) {
        match end {
            End::Finished => {}
            End::Reset(Side::Client) | End::Failed(Side::Client, _) => self.target.reset(),
            End::Reset(Side::Target) | End::Failed(Side::Target, _) => self.client.reset(),
        }
    }
}

impl Fault {
    /// The end that it means for a connection, in the direction from `from` to `to`.
    fn end(self, from: Side, to: Side) -> End {
        let (side, error) = match self {
            Fault::Reading(error) => (from, error),
            Fault::Writing(error) => (to, error),
        };
        match error.kind() {
            // A broken pipe: the reset came before, and was told to somebody else.
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => End::Reset(side),
            _ => End::Failed(side, error),
        }
    }
}

// An idle connection must stay small: this is most of what it costs in user space.
const _: () = assert!(mem::size_of::<Relay>() <= 256);
