//! One connection to Dormouse.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::PATIENCE;

/// A client. It hangs up when it is dropped.
pub(crate) struct Client {
    stream: TcpStream,
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The other end was done.
    Closed,
    /// The other end broke it off.
    Reset,
}

impl Client {
    /// Connects, which has to succeed.
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).expect("a connection")
    }

    /// Connects, if somebody listens.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Client> {
        Client::new(TcpStream::connect_timeout(&address, PATIENCE)?)
    }

    /// Connects from an address of this machine, which has to succeed.
    pub(crate) fn connect_from(source: Ipv4Addr, address: SocketAddr) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((source, 0)).into()).expect("an address of ours");
        socket.connect_timeout(&address.into(), PATIENCE).expect("a connection");
        Client::new(socket.into()).expect("a socket")
    }

    fn new(stream: TcpStream) -> io::Result<Client> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream })
    }

    /// Sends all of it.
    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) {
        (&self.stream).write_all(bytes.as_ref()).expect("a connection that takes bytes");
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("a connection that is open");
    }

    /// Sends a text to an echo server, and waits for all of it to come back.
    pub(crate) fn ask(&self, text: &str) {
        self.send(text);
        self.expect(text);
    }

    /// The same for a client that may be closed instead.
    pub(crate) fn try_ask(&self, text: &str) -> bool {
        let mut bytes = vec![0; text.len()];
        let asked = (&self.stream).write_all(text.as_bytes());
        asked.and_then(|()| (&self.stream).read_exact(&mut bytes)).is_ok()
    }

    /// Waits for this text.
    pub(crate) fn expect(&self, text: &str) {
        let mut bytes = vec![0; text.len()];
        let read = (&self.stream).read_exact(&mut bytes);
        read.unwrap_or_else(|error| panic!("no `{text}` came back: {error}"));
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }

    /// Everything that comes up to the end, and how it ends.
    pub(crate) fn rest(&self) -> (Vec<u8>, Ending) {
        let mut bytes = Vec::new();
        let ending = match (&self.stream).read_to_end(&mut bytes) {
            Ok(_) => Ending::Closed,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ending::Reset,
            Err(error) => panic!("the connection did not come to an end: {error}"),
        };
        (bytes, ending)
    }

    /// Waits until the connection is over, and nothing may come before that.
    pub(crate) fn expect_end(&self) -> Ending {
        let (bytes, ending) = self.rest();
        assert_eq!(String::from_utf8_lossy(&bytes), "");
        ending
    }

    /// Whether the connection is open and nothing has come.
    pub(crate) fn is_waiting(&self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("a socket");
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Breaks the connection off.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    /// The client's own end.
    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("an address")
    }
}
