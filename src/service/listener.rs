//! Accepts clients.
//!
//! No accept error ends a listener (rule 15): an error of one connection is skipped,
//! and when something is used up, the listener pauses, longer each time, until it is there again.
//! Clients wait in the kernel's queue meanwhile. So they do when all slots are taken, unless a client
//! that is held can be closed for one of them (`slots.rs`).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::lanes::{self, Lane};
use super::slots::Slot;
use super::{Shared, client, socket};
use crate::decide::Client;

/// The first pause after something was used up; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(5);
/// The longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(1);
/// While all slots are taken, it is seen this often whether a held client can be closed for another.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(100);

/// Accepts until `closing`, and has each client served on the lane that has the fewest.
pub(super) async fn listen(
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
    lanes: Arc<[Lane]>,
    closing: CancellationToken,
) {
    let listener = match waitable(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(
                service = %shared.config.name,
                listener = %address,
                %error,
                "the listener can't be used; restart Dormouse",
            );
            return;
        }
    };
    let mut pause = PAUSE_FIRST;
    loop {
        let accept = || match slot(&shared) {
            Some(slot) => {
                socket::accept(&listener).map(|(stream, peer)| Some((stream, peer, slot)))
            }
            None => Ok(None),
        };
        let accepted = tokio::select! {
            biased;
            accepted = listener.async_io(Interest::READABLE, accept) => accepted,
            () = closing.cancelled() => return,
        };
        match accepted {
            Ok(Some((stream, peer, slot))) => {
                pause = PAUSE_FIRST;
                let client = Client { address: peer, listener: address };
                let shared = Arc::clone(&shared);
                if let Some(lane) = lanes::emptiest(&lanes) {
                    lane.spawn(client::serve(shared, stream, client, lane.place(), slot));
                }
            }
            Ok(None) => {
                full(&shared, address);
                shared.slots.make_room();
                tokio::select! {
                    () = shared.slots.wait() => {}
                    () = tokio::time::sleep(LOOK_FOR_ROOM) => {}
                    () = closing.cancelled() => return,
                }
            }
            Err(error) => {
                let meaning = Meaning::of(&error);
                told(&shared, address, &error, meaning);
                if meaning == Meaning::OneConnection {
                    continue;
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = closing.cancelled() => return,
                }
                pause = (pause * 2).min(PAUSE_MOST);
            }
        }
    }
}

/// A slot for a client that waits to be accepted. Where all are taken, the client may still take the
/// place of one that is held: of another service first, if that holds more.
fn slot(shared: &Shared) -> Option<Slot> {
    let slots = &shared.slots;
    slots.take().or_else(|| {
        if shared.door.is_open() || slots.make_room() { None } else { slots.take_spare() }
    })
}

/// A listener that can be waited for.
///
/// Tokio's own registers each stream that it accepts with the lane that accepts it, and moving one to
/// another lane costs two more system calls. What is wanted is only to wait until a socket is readable,
/// which tokio does, safely, for what it takes to be a stream.
fn waitable(listener: TcpListener) -> io::Result<TcpStream> {
    TcpStream::from_std(OwnedFd::from(listener).into())
}

/// A client was accepted, and its lane can't take it.
pub(super) fn cannot_take(shared: &Shared, client: Client, error: &io::Error) {
    told(shared, client.listener, error, Meaning::UsedUp);
}

/// What an accept error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// One connection, which is lost. accept(2) names these errors.
    OneConnection,
    /// Something is used up: descriptors or memory.
    UsedUp,
    /// Nothing that should happen.
    Unknown,
}

impl Meaning {
    fn of(error: &io::Error) -> Meaning {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(
                Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::TIMEDOUT
                | Errno::INTR
                | Errno::AGAIN
                | Errno::PERM
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::NETDOWN
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH,
            ) => Meaning::OneConnection,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Meaning::UsedUp,
            Some(_) | None => Meaning::Unknown,
        }
    }
}

/// Clients wait because all slots are taken.
fn full(shared: &Shared, address: SocketAddr) {
    let Some(count) = shared.accept_pauses.count(Instant::now()) else { return };
    tracing::warn!(
        service = %shared.config.name,
        listener = %address,
        recent = count.recent,
        all = count.all,
        "clients have to wait: as many are served as the limit of open files allows (raise it: \
         `LimitNOFILE=` under systemd, `ulimit -n`; `dormouse check` says how many fit)",
    );
}

fn told(shared: &Shared, address: SocketAddr, error: &io::Error, meaning: Meaning) {
    let Some(count) = shared.accept_errors.count(Instant::now()) else { return };
    let what = match meaning {
        Meaning::OneConnection => "a client was lost before it was accepted",
        Meaning::UsedUp => {
            "clients have to wait: out of descriptors or memory (raise the limit of open files, \
             `LimitNOFILE=` under systemd)"
        }
        Meaning::Unknown => "accepting clients fails and is tried again",
    };
    tracing::warn!(
        service = %shared.config.name,
        listener = %address,
        %error,
        recent = count.recent,
        all = count.all,
        "{what}",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(errno: Errno) -> Meaning {
        Meaning::of(&io::Error::from_raw_os_error(errno.raw_os_error()))
    }

    #[test]
    fn rule_15_errors_of_one_connection_are_told_from_exhaustion() {
        assert_eq!(meaning(Errno::CONNABORTED), Meaning::OneConnection);
        assert_eq!(meaning(Errno::PROTO), Meaning::OneConnection);
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(meaning(errno), Meaning::UsedUp);
        }
        assert_eq!(meaning(Errno::INVAL), Meaning::Unknown);
        assert_eq!(Meaning::of(&io::Error::other("odd")), Meaning::Unknown);
    }
}
