//! One connection to one address.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::Errno;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use crate::service::socket::{self, Keepalive};

/// How often a connect without a free port is tried again. Ports come back as connections end.
const RETRIES: u32 = 4;

/// How long the first retry waits. Each waits twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// A connection that was begun.
#[derive(Debug)]
pub(super) struct Attempt {
    stream: TcpStream,
    is_connected: bool,
}

impl Attempt {
    /// Asks for a connection to `address`, without waiting for it.
    pub(super) fn begin(address: SocketAddr, keepalive: Option<Keepalive>) -> io::Result<Attempt> {
        let socket = socket::open(address)?;
        socket::prepare(SockRef::from(&socket), keepalive)?;
        if let Err(error) = socket.connect(&address.into())
            && Errno::from_io_error(&error) != Some(Errno::INPROGRESS)
        {
            return Err(error);
        }
        // On one machine the other end has answered by now. To see that here saves the task a turn.
        let is_connected = socket.peer_addr().is_ok();
        let stream = TcpStream::from_std(socket.into())?;
        if is_connected {
            refuse_itself(&stream, address)?;
        }
        Ok(Attempt { stream, is_connected })
    }

    /// The connection, if it is there already.
    pub(super) fn connected(self) -> Result<TcpStream, Attempt> {
        if self.is_connected { Ok(self.stream) } else { Err(self) }
    }

    async fn finish(self, address: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
        let stream = match self.connected() {
            Ok(stream) => return Ok(stream),
            Err(Attempt { stream, .. }) => stream,
        };
        timeout_at(deadline, stream.writable()).await??;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        refuse_itself(&stream, address)?;
        Ok(stream)
    }
}

/// Connects to `address` until `deadline`, going on from a first attempt.
///
/// # Errors
///
/// Those of the system; `ENETUNREACH` also where it says `EADDRNOTAVAIL` but isn't out of ports.
pub(super) async fn connect(
    first: io::Result<Attempt>,
    address: SocketAddr,
    deadline: Instant,
    keepalive: Option<Keepalive>,
) -> io::Result<TcpStream> {
    let mut attempt = first;
    let mut wait = FIRST_WAIT;
    for _ in 0..RETRIES {
        let error = match attempt {
            Ok(attempt) => match attempt.finish(address, deadline).await {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::AddrNotAvailable {
            return Err(error);
        }
        if !has_route(address) {
            return Err(Errno::NETUNREACH.into());
        }
        sleep(wait).await;
        wait *= 2;
        attempt = Attempt::begin(address, keepalive);
    }
    attempt?.finish(address, deadline).await
}

/// Fails for a socket that is connected to itself: nobody listens there.
fn refuse_itself(stream: &TcpStream, address: SocketAddr) -> io::Result<()> {
    if is_connected_to_itself(stream, address)? {
        let _ = stream.set_zero_linger();
        return Err(Errno::CONNREFUSED.into());
    }
    Ok(())
}

/// Whether the system chose, for our end of a connection to one of our own ports, that very port,
/// and so connected the socket to itself.
pub(super) fn is_connected_to_itself(stream: &TcpStream, address: SocketAddr) -> io::Result<bool> {
    Ok(address.port() >= lowest_own_port() && stream.local_addr()? == address)
}

/// Whether there is a way to `address`. Sends nothing.
fn has_route(address: SocketAddr) -> bool {
    let own = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    UdpSocket::bind(own).and_then(|socket| socket.connect(address)).is_ok()
}

/// The lowest port that the system chooses for our end of a connection.
fn lowest_own_port() -> u16 {
    static LOWEST: OnceLock<u16> = OnceLock::new();
    *LOWEST.get_or_init(|| {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let lowest = range.ok().and_then(|range| range.split_whitespace().next()?.parse().ok());
        lowest.unwrap_or(0)
    })
}
