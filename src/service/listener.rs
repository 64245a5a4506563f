//! Accepts clients.
//!
//! No accept error ends a listener (rule 15): an error of one connection is skipped,
//! and when something is used up, the listener pauses, longer each time, until it is there again.
//! Clients wait in the kernel's queue meanwhile.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Shared, client};
use crate::decide::Client;

/// The first pause after something was used up; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(5);
/// The longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// Accepts until `closing`, and serves each client in a task of its own.
pub(super) async fn listen(
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
    closing: CancellationToken,
) {
    let mut pause = PAUSE_FIRST;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = PAUSE_FIRST;
                let client = Client { address: peer, listener: address };
                tokio::spawn(client::serve(Arc::clone(&shared), stream, client));
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
