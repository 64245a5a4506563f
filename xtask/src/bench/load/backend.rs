//! The target: echo, sink and source on one port. The first byte of a connection says which.

use std::io::{self, Read};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::Arguments;

/// First byte of a connection that only sends.
pub const UPLOAD: u8 = b'U';
/// First byte of a connection that only receives, until it hangs up.
pub const DOWNLOAD: u8 = b'D';
/// As first byte, as any other is: everything is sent back, this byte included.
pub const ECHO: u8 = b'e';

/// Bytes of one read or write in bulk, as iperf3 has it.
pub const BULK: usize = 128 << 10;

const BACKLOG: u32 = 4096;

/// Serves until its standard input ends, which it does with whoever started it.
pub fn run(arguments: &Arguments<'_>) -> io::Result<()> {
    let address: SocketAddr = arguments.get("--listen")?;
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    super::runtime()?.block_on(async {
        let listener = listen(address)?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream))),
                // Out of descriptors: some come back when connections close.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
            }
        }
    })
}

/// A listener with room for a wave of connections.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves one connection to its end.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 2048];
    let read = stream.read(&mut buffer).await?;
    match buffer[..read].first() {
        None => Ok(()),
        Some(&UPLOAD) => sink(stream).await,
        Some(&DOWNLOAD) => source(stream).await,
        Some(_) => {
            stream.write_all(&buffer[..read]).await?;
            echo(stream).await
        }
    }
}

/// Sends everything back.
pub async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 2048];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..read]).await?;
    }
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BULK];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let buffer = vec![0; BULK];
    loop {
        stream.write_all(&buffer).await?;
    }
}
