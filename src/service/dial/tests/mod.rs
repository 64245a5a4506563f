#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

mod own;
mod race;
mod ready;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, TcpStream};

use super::connect::is_connected_to_itself;
use super::resolver::Resolver;
use super::{DialError, DialErrorKind, Dialer, OwnListeners};
use crate::config::Target;
use crate::service::socket::{self, Keepalive};

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_connection_sends_at_once_and_notices_a_silent_end() {
    let listener = listener().await;
    let keepalive = Keepalive::after(Duration::from_secs(60));
    let dialer = Dialer::new(target_of(&listener), PATIENCE, Some(keepalive));
    let stream = dialer.dial().await.expect("a connection");
    let socket = SockRef::from(&stream);
    assert!(socket.tcp_nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 6);
}

#[tokio::test]
async fn keepalive_can_be_off() {
    let listener = listener().await;
    let stream = Dialer::new(target_of(&listener), PATIENCE, None).dial().await.unwrap();
    assert!(!SockRef::from(&stream).keepalive().unwrap());
}

#[tokio::test]
async fn nobody_listening_is_a_refusal() {
    let target = target_of(&listener().await);
    let error = Dialer::new(target.clone(), PATIENCE, None).dial().await.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::Refused);
    assert!(error.blames_target());
    assert_eq!(error.to_string(), format!("the target `{target}` refused the connection"));
}

#[tokio::test]
async fn a_target_that_keeps_silent_times_out() {
    let silent = Silent::new();
    let address = silent.address;
    let before = Instant::now();
    let dialer = Dialer::new(target(address), Duration::from_millis(100), None);
    let error = dialer.dial().await.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::TimedOut);
    assert!(error.blames_target());
    assert_eq!(error.to_string(), format!("the target `{address}` did not answer in time"));
    assert!(before.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_name_is_resolved_and_each_of_its_addresses_tried() {
    // Where `localhost` is `::1` as well, that one refuses.
    let listener = listener().await;
    let target = Target { host: "localhost".into(), ..target_of(&listener) };
    let stream = Dialer::new(target, PATIENCE, None).dial().await.expect("a connection");
    assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
}

#[tokio::test]
async fn a_name_that_is_no_name_does_not_resolve() {
    // Labels have at most 63 characters, so that nobody has to be asked.
    let host = "x".repeat(64);
    let target = Target { host: host.clone(), port: 1 };
    let error = Dialer::new(target, PATIENCE, None).dial().await.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::Unresolved);
    assert!(error.blames_target());
    let message = error.to_string();
    assert!(message.starts_with(&format!("the name `{host}` of the target can't be resolved: ")));
    assert!(message.ends_with("; check its spelling, and the name server of this machine"));
}

#[tokio::test]
async fn the_target_may_move_and_come_back() {
    let (here, there) = (listener().await, listener().await);
    let dialer = Dialer::new(target_of(&here), PATIENCE, None);
    dialer.set(Some(target_of(&there)));
    assert_eq!(dialer.target(), target_of(&there));
    let moved = dialer.dial().await.unwrap();
    assert_eq!(moved.peer_addr().unwrap(), there.local_addr().unwrap());
    dialer.set(None);
    let back = dialer.dial().await.unwrap();
    assert_eq!(back.peer_addr().unwrap(), here.local_addr().unwrap());
}

#[tokio::test]
async fn a_socket_that_is_connected_to_itself_is_found_out() {
    let socket = socket::open(loopback(0)).unwrap();
    socket.bind(&loopback(0).into()).unwrap();
    let itself = socket.local_addr().unwrap().as_socket().unwrap();
    let _ = socket.connect(&itself.into());
    let stream = TcpStream::from_std(socket.into()).unwrap();
    stream.writable().await.unwrap();
    assert!(is_connected_to_itself(&stream, itself).unwrap());

    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    assert!(!is_connected_to_itself(&stream, address).unwrap());
}

/// A dialer for a name whose first lookups meet a lack of descriptors.
fn in_need(lookups: usize, then: SocketAddr) -> Dialer {
    let left = AtomicUsize::new(lookups);
    let lookup = move |_: &Target| {
        let is_in_need = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        if is_in_need { Err(Errno::MFILE.into()) } else { Ok(vec![then]) }
    };
    let target = Target { host: "vm.example".into(), port: then.port() };
    Dialer::with(Resolver::new(target, Arc::default(), Arc::new(lookup)), PATIENCE, None)
}

#[tokio::test]
async fn a_name_that_we_can_not_look_up_for_want_of_descriptors_is_no_sleeping_target() {
    let error = in_need(9, loopback(9)).dial().await.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::Exhausted);
    assert!(!error.blames_target());
    assert!(error.to_string().contains("the limit of open files is too low"), "{error}");
}

#[tokio::test]
async fn a_probe_that_finds_no_descriptor_is_no_answer_and_is_tried_again() {
    let here = listener().await;
    let probed = in_need(2, here.local_addr().unwrap()).probe().await.unwrap();
    assert_eq!(probed.peer_addr().unwrap(), here.local_addr().unwrap());
}

#[test]
fn a_lack_of_ours_is_not_taken_for_a_sleeping_target() {
    let target = Target { host: "mc.example".into(), port: 25565 };
    for (errno, kind, message) in [
        (
            Errno::MFILE,
            DialErrorKind::Exhausted,
            "no connection to the target `mc.example:25565` (127.0.0.1:25565) can be opened: Too \
             many open files (os error 24); the limit of open files is too low for so many \
             connections (`ulimit -n`, or `LimitNOFILE=` in a systemd unit)",
        ),
        (
            Errno::ADDRNOTAVAIL,
            DialErrorKind::Exhausted,
            "no connection to the target `mc.example:25565` (127.0.0.1:25565) can be opened: \
             Cannot assign requested address (os error 99); all local ports towards it are in \
             use (`net.ipv4.ip_local_port_range`)",
        ),
        (
            Errno::NOMEM,
            DialErrorKind::Exhausted,
            "no connection to the target `mc.example:25565` (127.0.0.1:25565) can be opened: \
             Cannot allocate memory (os error 12); the machine has too little memory for so many \
             connections",
        ),
        (
            Errno::PERM,
            DialErrorKind::Other,
            "the connection to the target `mc.example:25565` (127.0.0.1:25565) failed: Operation \
             not permitted (os error 1)",
        ),
    ] {
        let error = DialError::new(&target, loopback(25565), io::Error::from(errno));
        assert_eq!(error.kind(), kind, "{errno}");
        assert!(!error.blames_target(), "{errno}");
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_host_that_is_down_is_taken_for_a_sleeping_target() {
    for (errno, kind) in [
        (Errno::HOSTUNREACH, DialErrorKind::Unreachable),
        (Errno::NETUNREACH, DialErrorKind::Unreachable),
        (Errno::TIMEDOUT, DialErrorKind::TimedOut),
        (Errno::CONNRESET, DialErrorKind::Refused),
    ] {
        let target = target(loopback(1));
        let error = DialError::new(&target, loopback(1), io::Error::from(errno));
        assert_eq!(error.kind(), kind, "{errno}");
        assert!(error.blames_target(), "{errno}");
    }
}

/// A listener whose queue is full: the kernel swallows all packets to it.
struct Silent {
    address: SocketAddr,
    listener: Socket,
    /// Two connections fill the queue.
    _waiting: [Socket; 2],
}

impl Silent {
    fn new() -> Silent {
        Silent::at(loopback(0)).unwrap()
    }

    fn at(address: SocketAddr) -> io::Result<Silent> {
        let listener = socket::open(address)?;
        listener.bind(&address.into())?;
        listener.listen(0)?;
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let waiting = [0, 1].map(|_| {
            let socket = socket::open(address).unwrap();
            let _ = socket.connect(&address.into());
            socket
        });
        Ok(Silent { address, listener, _waiting: waiting })
    }

    /// Empties the queue. From here on the listener accepts, and keeps its connections open.
    fn answer(self) -> TcpListener {
        let mut waiting = Vec::new();
        while let Ok((accepted, _)) = self.listener.accept() {
            waiting.push(accepted);
        }
        assert!(!waiting.is_empty(), "nobody was in the queue");
        self.listener.listen(socket::BACKLOG).unwrap();
        TcpListener::from_std(self.listener.into()).unwrap()
    }
}

/// A dialer for a name, with `lookup` instead of a name server.
fn named(
    connect_timeout: Duration,
    lookup: impl Fn() -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
) -> Dialer {
    named_beside(OwnListeners::default(), connect_timeout, lookup)
}

fn named_beside(
    own: OwnListeners,
    connect_timeout: Duration,
    lookup: impl Fn() -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
) -> Dialer {
    let target = Target { host: "mc.example".into(), port: 25565 };
    let lookup = Arc::new(move |_: &Target| lookup());
    Dialer::with(Resolver::new(target, Arc::new(own), lookup), connect_timeout, None)
}

async fn listener() -> TcpListener {
    TcpListener::bind(loopback(0)).await.expect("a port")
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn target_of(listener: &TcpListener) -> Target {
    target(listener.local_addr().expect("its address"))
}

fn target(address: SocketAddr) -> Target {
    Target { host: address.ip().to_string(), port: address.port() }
}
