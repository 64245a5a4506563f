//! Bulk in one direction, over some connections at once.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Arguments;
use super::backend::{BULK, DOWNLOAD, UPLOAD};
use super::stats::{Failures, Window, print};

/// Bytes that one connection moved.
#[derive(Default)]
struct Moved {
    counted: u64,
    total: u64,
}

impl Moved {
    fn add(&mut self, bytes: usize, at: Instant, window: Window) {
        self.total += bytes as u64;
        if window.contains(at) {
            self.counted += bytes as u64;
        }
    }
}

/// Prints `gbit_s`, and as `bytes` all that were moved, those of the warm-up included.
pub async fn run(arguments: &Arguments<'_>) -> io::Result<()> {
    let address: SocketAddr = arguments.get("--connect")?;
    let direction: String = arguments.get("--direction")?;
    let connections: usize = arguments.get("--connections")?;
    let window = Window::of(arguments.get("--seconds")?);
    let tasks: Vec<_> = (0..connections)
        .map(|_| match direction.as_str() {
            "up" => tokio::spawn(upload(address, window)),
            _ => tokio::spawn(download(address, window)),
        })
        .collect();

    let mut sum = Moved::default();
    let mut failures = Failures::default();
    for task in tasks {
        match task.await? {
            Ok(moved) => {
                sum.counted += moved.counted;
                sum.total += moved.total;
            }
            Err(error) => failures.add(error),
        }
    }
    print("gbit_s", sum.counted as f64 * 8.0 / 1e9 / window.seconds());
    print("bytes", sum.total as f64);
    failures.print();
    Ok(())
}

async fn upload(address: SocketAddr, window: Window) -> io::Result<Moved> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&[UPLOAD]).await?;
    let buffer = vec![0; BULK];
    let mut moved = Moved::default();
    loop {
        let written = stream.write(&buffer).await?;
        let now = Instant::now();
        moved.add(written, now, window);
        if window.is_over(now) {
            return Ok(moved);
        }
    }
}

async fn download(address: SocketAddr, window: Window) -> io::Result<Moved> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&[DOWNLOAD]).await?;
    let mut buffer = vec![0; BULK];
    let mut moved = Moved::default();
    loop {
        let read = stream.read(&mut buffer).await?;
        let now = Instant::now();
        if window.is_over(now) {
            return Ok(moved);
        }
        if read == 0 {
            return Err(io::Error::other("closed before its time"));
        }
        moved.add(read, now, window);
    }
}
