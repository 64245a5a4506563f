//! A relay between two sockets of the test's own, over loopback.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use dormouse::config::Relay;
use dormouse::service::relay::{Mode, Outcome, Paths, Side, relay};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A relay under way, with the ends of the client and of the target in the test's hands.
pub(crate) struct Wire {
    pub(crate) client: TcpStream,
    pub(crate) target: TcpStream,
    pub(crate) relay: JoinHandle<Outcome>,
    pub(crate) paths: Paths,
}

impl Wire {
    /// Connects both and relays between them.
    pub(crate) async fn new(mode: Mode) -> Wire {
        Wire::with(&Paths::new(mode, Relay::default().memory), b"").await
    }

    /// The same with these paths, and bytes that were read from the client before.
    pub(crate) async fn with(paths: &Paths, early: &[u8]) -> Wire {
        let (client, client_inside) = pair().await;
        let (target_inside, target) = pair().await;
        let relay = tokio::spawn(relay(client_inside, target_inside, early.to_vec(), paths));
        Wire { client, target, relay, paths: paths.clone() }
    }

    /// Waits for the end of the relay, with both sockets still open.
    pub(crate) async fn outcome(&mut self) -> Outcome {
        timeout(PATIENCE, &mut self.relay).await.expect("the relay has to end").expect("no panic")
    }

    /// Splits off this side's end; the other one comes second.
    pub(crate) fn ends(&mut self, side: Side) -> (&mut TcpStream, &mut TcpStream) {
        match side {
            Side::Client => (&mut self.client, &mut self.target),
            Side::Target => (&mut self.target, &mut self.client),
        }
    }

    /// Resets this side's connection and leaves the other's end.
    pub(crate) fn reset(self, side: Side) -> (TcpStream, JoinHandle<Outcome>) {
        let (gone, left) = match side {
            Side::Client => (self.client, self.target),
            Side::Target => (self.target, self.client),
        };
        gone.set_zero_linger().expect("a socket that works");
        (left, self.relay)
    }
}

/// Two sockets that are connected to each other: whoever connected, and whoever accepted.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (connected.expect("a connection"), accepted.expect("a connection").0)
}

/// Bytes that look random and are the same in every run.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}

/// Writes `bytes` in pieces whose sizes `piece` gives, and ends.
pub(crate) async fn send_in_pieces(
    mut to: impl AsyncWriteExt + Unpin,
    bytes: &[u8],
    mut piece: impl FnMut() -> usize,
) {
    let mut left = bytes;
    while !left.is_empty() {
        let (now, later) = left.split_at(piece().clamp(1, left.len()));
        timeout(PATIENCE, to.write_all(now)).await.expect("it has to go on").expect("written");
        left = later;
    }
    to.shutdown().await.expect("ended");
}

/// Everything up to the end.
pub(crate) async fn read_to_end(mut from: impl AsyncReadExt + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    timeout(PATIENCE, from.read_to_end(&mut bytes)).await.expect("an end").expect("no error");
    bytes
}

/// Sends `bytes` to one end and expects them at the other.
pub(crate) async fn pass(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    let mut arrived = vec![0; bytes.len()];
    let both = async {
        let (sent, read) = tokio::join!(from.write_all(bytes), to.read_exact(&mut arrived));
        sent.and(read.map(drop))
    };
    timeout(PATIENCE, both).await.expect("bytes have to pass").expect("no error");
    assert!(arrived == bytes, "other bytes arrived");
}

/// Reads until the connection fails, and says how.
pub(crate) async fn await_failure(stream: &mut TcpStream) -> io::ErrorKind {
    let mut buffer = vec![0; 64 << 10];
    let failure = async {
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return io::ErrorKind::UnexpectedEof,
                Ok(_) => {}
                Err(error) => return error.kind(),
            }
        }
    };
    timeout(PATIENCE, failure).await.expect("the connection has to fail")
}

/// Writes until nothing more is accepted for some time: all that is between both ends is full.
/// Says how many bytes that took.
pub(crate) async fn fill(stream: &mut TcpStream) -> usize {
    let piece = vec![7; 64 << 10];
    let mut written = 0;
    while let Ok(more) = timeout(Duration::from_millis(200), stream.write(&piece)).await {
        written += more.expect("written");
        assert!(written < 1 << 30, "bytes vanish without end");
    }
    written
}

/// Keeps the kernel's own buffers from growing.
pub(crate) fn shrink(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(128 << 10).expect("set");
    socket.set_recv_buffer_size(128 << 10).expect("set");
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("it never came true: {what}"));
}

/// Bytes without end from one socket to another, as fast as they are read, by threads of its own.
/// It stops when it is dropped.
pub(crate) struct Flood {
    state: Arc<State>,
    threads: Vec<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    arrived: AtomicU64,
}

impl Flood {
    /// Waits until it is under way; the sockets can be used the other way round meanwhile.
    pub(crate) async fn new(from: &TcpStream, to: &TcpStream) -> Flood {
        let state = Arc::<State>::default();
        let (mut from, mut to) = (clone(from), clone(to));
        let shared = state.clone();
        let writer = thread::spawn(move || {
            let piece = vec![9; 256 << 10];
            let mut works = true;
            while works && !shared.stop.load(Ordering::Relaxed) {
                works = go_on(from.write(&piece)).is_some();
            }
        });
        let shared = state.clone();
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 256 << 10];
            while !shared.stop.load(Ordering::Relaxed)
                && let Some(read) = go_on(to.read(&mut buffer))
            {
                shared.arrived.fetch_add(read as u64, Ordering::Relaxed);
            }
        });
        let flood = Flood { state, threads: vec![writer, reader] };
        until("megabytes arrive", || flood.state.arrived.load(Ordering::Relaxed) > 4 << 20).await;
        flood
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The same socket for a thread that knows nothing of tokio. It doesn't block.
fn clone(stream: &TcpStream) -> std::net::TcpStream {
    stream.as_fd().try_clone_to_owned().expect("a descriptor").into()
}

/// How many bytes it was; 0 after a short rest if the socket wasn't ready, `None` if it failed.
fn go_on(result: io::Result<usize>) -> Option<usize> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            thread::sleep(Duration::from_micros(50));
            Some(0)
        }
        result => result.ok(),
    }
}
