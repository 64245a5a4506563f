//! Connections that do nothing, until standard input ends.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::Arguments;
use super::connections::open;
use super::stats::{Failures, print};

/// How many are being opened at once.
const AT_ONCE: usize = 64;
const GIVE_UP: Duration = Duration::from_secs(20);
/// How long they are held at most.
const HOLD: Duration = Duration::from_secs(60);

/// Prints `count` once they all stand, and an empty line that says that there is no more to come.
pub async fn run(arguments: &Arguments<'_>) -> io::Result<()> {
    let address: SocketAddr = arguments.get("--connect")?;
    let wanted: usize = arguments.get("--connections")?;
    let left = Rc::new(Cell::new(wanted));
    let here = LocalSet::new();
    let (held, failures) = here
        .run_until(async {
            let openers: Vec<_> = (0..AT_ONCE)
                .map(|_| tokio::task::spawn_local(open_some(address, Rc::clone(&left))))
                .collect();
            let mut held = Vec::with_capacity(wanted);
            let mut failures = Failures::default();
            for opener in openers {
                let (streams, failed) = opener.await?;
                held.extend(streams);
                failures.merge(failed);
            }
            io::Result::Ok((held, failures))
        })
        .await?;
    print("count", held.len() as f64);
    failures.print();
    println!();
    io::stdout().flush()?;

    let released = tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()));
    let _ = timeout(HOLD, released).await;
    // At once: the runtime would wait for the thread that reads standard input.
    std::process::exit(0);
}

async fn open_some(address: SocketAddr, left: Rc<Cell<usize>>) -> (Vec<TcpStream>, Failures) {
    let mut streams = Vec::new();
    let mut failures = Failures::default();
    while let Some(rest) = left.get().checked_sub(1) {
        left.set(rest);
        match timeout(GIVE_UP, open(address)).await {
            Ok(Ok(stream)) => streams.push(stream),
            Ok(Err(error)) => failures.add(error),
            Err(late) => failures.add(late),
        }
    }
    (streams, failures)
}
