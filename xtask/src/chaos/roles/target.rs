//! A target: sends back what it receives.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::{Site, keeper, milliseconds};

/// How long the port may be taken: by a target that is about to end.
const BIND_TIME: Duration = Duration::from_secs(2);

const STACK: usize = 64 << 10;
const BUFFER: usize = 16 << 10;

/// Listens after `delay`, and ends after `life`, both in milliseconds.
pub fn run(site: &Site, delay: &str, life: &str) -> Result<(), String> {
    let life = if life == "for-ever" { None } else { Some(milliseconds(life)?) };
    sleep(milliseconds(delay)?);
    let listener = bind(site.port)?;
    let begin = Instant::now();
    thread::spawn(move || accept(&listener));
    let keeper = keeper(&site.folder);
    while keeper.is_some_and(|keeper| keeper.lives()) {
        let left = life.map(|life| life.saturating_sub(begin.elapsed()));
        if left == Some(Duration::ZERO) {
            break;
        }
        sleep(left.unwrap_or(Duration::MAX).min(Duration::from_secs(1)));
    }
    Ok(())
}

fn bind(port: u16) -> Result<TcpListener, String> {
    let begin = Instant::now();
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok(listener),
            Err(error) if begin.elapsed() > BIND_TIME => {
                return Err(format!("can't listen on {port}: {error}"));
            }
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
}

fn accept(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        // Without a thread the connection is closed, which a client takes for chaos.
        let _ = thread::Builder::new().stack_size(STACK).spawn(move || echo(stream));
    }
}

/// Ends at the end of what the client sends, or with the connection.
fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
