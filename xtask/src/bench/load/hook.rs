//! The start hook of a wake: tells the measurement that it has run.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::Arguments;

const GIVE_UP: Duration = Duration::from_secs(60);

/// With `--wait yes` it ends once the target listens, for a proxy that does not wait by itself.
pub fn run(arguments: &Arguments<'_>) -> io::Result<()> {
    let wake: SocketAddr = arguments.get("--tell")?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(wake)?;
    socket.send(b"started")?;
    if arguments.find::<String>("--wait")?.is_some() {
        socket.set_read_timeout(Some(GIVE_UP))?;
        socket.recv(&mut [0; 16])?;
    }
    Ok(())
}
