//! New connections, some at once: connect, one byte each way, close.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::Arguments;
use super::backend::ECHO;
use super::stats::{Failures, Latencies, Window, print, print_some};

const AT_ONCE: usize = 32;
const GIVE_UP: Duration = Duration::from_secs(5);

/// Prints `per_s`, `p50_us`, `p99_us`, and as `count` all connections, those of the warm-up
/// included.
pub async fn run(arguments: &Arguments<'_>) -> io::Result<()> {
    let address: SocketAddr = arguments.get("--connect")?;
    let window = Window::of(arguments.get("--seconds")?);
    let tasks: Vec<_> =
        (0..AT_ONCE).map(|_| tokio::spawn(one_after_the_other(address, window))).collect();
    let mut latencies = Latencies::default();
    let mut failures = Failures::default();
    let mut count = 0;
    for task in tasks {
        let (some, failed, done) = task.await?;
        latencies.merge(some);
        failures.merge(failed);
        count += done;
    }
    print("per_s", latencies.count() as f64 / window.seconds());
    print_some("p50_us", latencies.percentile(0.50));
    print_some("p99_us", latencies.percentile(0.99));
    print("count", f64::from(count));
    failures.print();
    Ok(())
}

async fn one_after_the_other(address: SocketAddr, window: Window) -> (Latencies, Failures, u32) {
    let mut latencies = Latencies::default();
    let mut failures = Failures::default();
    let mut count = 0;
    loop {
        let before = Instant::now();
        if window.is_over(before) {
            return (latencies, failures, count);
        }
        match timeout(GIVE_UP, exchange(address)).await {
            Ok(Ok(())) => {
                count += 1;
                let after = Instant::now();
                if window.contains(after) {
                    latencies.add(after - before);
                }
            }
            Ok(Err(error)) => {
                failures.add(error);
                sleep(Duration::from_millis(1)).await;
            }
            Err(late) => failures.add(late),
        }
    }
}

/// The whole life of a connection.
async fn exchange(address: SocketAddr) -> io::Result<()> {
    open(address).await.map(drop)
}

/// A connection that has been shown to work by one byte each way.
pub async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&[ECHO]).await?;
    stream.read_exact(&mut [0]).await?;
    Ok(stream)
}
