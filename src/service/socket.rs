//! Socket options: how listeners are opened, and how a silent peer is found to be gone.
//!
//! A client that vanished without a word (power cut, lost NAT entry) must not keep a target awake
//! for ever. TCP asks a silent peer for a sign of life after `idle`, then each `interval`, and
//! gives the connection up after so many `probes` in vain.
//!
//! A peer that vanished with bytes under way is found by their retransmission instead: Linux gives
//! up after some fifteen minutes (`net.ipv4.tcp_retries2`). `TCP_USER_TIMEOUT` would shorten that,
//! but it also ends a connection whose peer is well and only doesn't read for that long, such as a
//! client that was paused. So it isn't set.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
#[cfg(not(target_os = "linux"))]
use std::os::fd::OwnedFd;
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// How many connections may wait to be accepted. The kernel's own limit (`net.core.somaxconn`)
/// may be lower.
pub const BACKLOG: i32 = 4096;

/// How many probes in vain end a connection.
const PROBES: u32 = 6;

/// When a silent peer is asked for a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    idle: Duration,
    interval: Duration,
}

impl Keepalive {
    /// The first probe comes after `idle`, rounded up to seconds, and all others within as long
    /// again. So a peer that is gone is found after twice that time.
    pub fn after(idle: Duration) -> Keepalive {
        // The bounds are the kernel's.
        let seconds = idle.as_secs() + u64::from(idle.subsec_nanos() > 0);
        let idle = Duration::from_secs(seconds.clamp(1, 32_767));
        let interval = Duration::from_secs((idle.as_secs() / u64::from(PROBES)).max(1));
        Keepalive { idle, interval }
    }

    /// How long a peer that is gone goes unnoticed.
    pub fn patience(&self) -> Duration {
        self.idle + self.interval * PROBES
    }

    fn options(self) -> TcpKeepalive {
        TcpKeepalive::new().with_time(self.idle).with_interval(self.interval).with_retries(PROBES)
    }
}

/// Opens a listener that accepts connections. Its options hold for them as well: Linux copies
/// them, and each option saved is a system call less for each client.
///
/// An IPv6 address stands for IPv6 alone, so that `0.0.0.0` and `[::]` can have the same port.
///
/// # Errors
///
/// The address can't be used (it is taken, not ours, or not permitted), or the process is out of
/// descriptors.
pub fn listen(address: SocketAddr, keepalive: Option<Keepalive>) -> io::Result<TcpListener> {
    let socket = open(address)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Without it, connections of an earlier Dormouse that linger would keep the address taken.
    socket.set_reuse_address(true)?;
    prepare(SockRef::from(&socket), keepalive)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts a client of a listener. Its socket doesn't block.
///
/// # Errors
///
/// Those of accept(2).
pub(super) fn accept(listener: &impl AsFd) -> io::Result<(TcpStream, SocketAddr)> {
    #[cfg(target_os = "linux")]
    let (accepted, peer) = {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (accepted, peer) = acceptfrom_with(listener, flags)?;
        (accepted, peer.and_then(|peer| SocketAddr::try_from(peer).ok()))
    };
    #[cfg(not(target_os = "linux"))]
    let (accepted, peer) = {
        let (accepted, peer) = SockRef::from(listener).accept()?;
        accepted.set_nonblocking(true)?;
        (OwnedFd::from(accepted), peer.as_socket())
    };
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((accepted.into(), peer))
}

/// A socket that doesn't block, of the family of `address`.
pub(super) fn open(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    #[cfg(target_os = "linux")]
    return Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP));
    #[cfg(not(target_os = "linux"))]
    {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

/// Sets what both a client's and a target's socket have.
pub(super) fn prepare(socket: SockRef<'_>, keepalive: Option<Keepalive>) -> io::Result<()> {
    // What is passed on has waited for others on its way already.
    socket.set_tcp_nodelay(true)?;
    match keepalive {
        Some(keepalive) => socket.set_tcp_keepalive(&keepalive.options()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn accepted_sockets_have_the_options_of_their_listener() {
        let keepalive = Keepalive::after(MINUTE);
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = listen(address.parse().unwrap(), Some(keepalive)) else {
                assert!(address.starts_with('['), "only IPv6 may be missing");
                continue;
            };
            let accepted = accept(&listener);
            let socket = SockRef::from(&accepted);
            assert!(socket.tcp_nodelay().unwrap());
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), MINUTE);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 6);
        }
    }

    #[test]
    fn without_keepalive_silent_peers_are_left_alone() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), None).unwrap();
        assert!(!SockRef::from(&accept(&listener)).keepalive().unwrap());
    }

    #[test]
    fn both_families_can_have_the_same_port() {
        let first = listen("0.0.0.0:0".parse().unwrap(), None).unwrap();
        let port = first.local_addr().unwrap().port();
        match listen(SocketAddr::from(([0u16; 8], port)), None) {
            Ok(second) => assert_eq!(second.local_addr().unwrap().port(), port),
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::AddrInUse),
        }
    }

    #[test]
    fn an_address_that_is_taken_is_an_error() {
        let first = listen("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let error = listen(first.local_addr().unwrap(), None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn keepalive_times_are_what_the_kernel_takes() {
        for (idle, first, interval, patience) in [
            (Duration::from_secs(60), 60, 10, 120),
            (Duration::from_millis(1), 1, 1, 7),
            (Duration::from_millis(2500), 3, 1, 9),
            (Duration::from_secs(1_000_000), 32_767, 5_461, 65_533),
        ] {
            let keepalive = Keepalive::after(idle);
            assert_eq!(keepalive.idle, Duration::from_secs(first), "{idle:?}");
            assert_eq!(keepalive.interval, Duration::from_secs(interval), "{idle:?}");
            assert_eq!(keepalive.patience(), Duration::from_secs(patience), "{idle:?}");
        }
    }

    fn accept(listener: &TcpListener) -> TcpStream {
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        listener.accept().unwrap().0
    }
}
