//! Small requests and responses over connections that stay, one under way on each.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Arguments;
use super::backend::ECHO;
use super::stats::{Failures, Latencies, Window, print, print_some};

/// Bytes each way.
const SIZE: usize = 64;

/// Prints `per_s`, `p50_us`, `p99_us`, and as `count` all requests, those of the warm-up included.
pub async fn run(arguments: &Arguments<'_>) -> io::Result<()> {
    let address: SocketAddr = arguments.get("--connect")?;
    let connections: usize = arguments.get("--connections")?;
    let window = Window::of(arguments.get("--seconds")?);
    let tasks: Vec<_> = (0..connections).map(|_| tokio::spawn(client(address, window))).collect();
    let mut latencies = Latencies::default();
    let mut failures = Failures::default();
    let mut count = 0;
    for task in tasks {
        match task.await? {
            Ok((some, done)) => {
                latencies.merge(some);
                count += done;
            }
            Err(error) => failures.add(error),
        }
    }
    print("per_s", latencies.count() as f64 / window.seconds());
    print_some("p50_us", latencies.percentile(0.50));
    print_some("p99_us", latencies.percentile(0.99));
    print("count", f64::from(count));
    failures.print();
    Ok(())
}

async fn client(address: SocketAddr, window: Window) -> io::Result<(Latencies, u32)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = [ECHO; SIZE];
    let mut response = [0; SIZE];
    let mut latencies = Latencies::default();
    let mut count = 0;
    loop {
        let before = Instant::now();
        if window.is_over(before) {
            return Ok((latencies, count));
        }
        stream.write_all(&request).await?;
        stream.read_exact(&mut response).await?;
        count += 1;
        let after = Instant::now();
        if window.contains(after) {
            latencies.add(after - before);
        }
    }
}
