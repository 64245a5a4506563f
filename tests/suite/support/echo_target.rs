//! The server that tests put behind Dormouse: a process of its own, so that hooks have something
//! to start and to stop.
//!
//! `echo-target ADDRESS:PORT JOURNAL [MODE [FILE]]` listens there, once `FILE` exists if one is
//! named, and writes into `JOURNAL` what it sees, a line each:
//!
//! ```text
//! listening
//! connected 1                 the first connection
//! first 1 "hello"             what its first read gave
//! ended 1 5                   the client has ended, after so many bytes
//! lost 2 0                    the connection failed, after so many bytes
//! ```
//!
//! A line is written before the client can learn of what it tells.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a connection.
#[derive(Clone, Copy)]
enum Mode {
    /// Every byte comes back, and the end after them.
    Echo,
    /// The answer is the number of bytes, and comes after the client's end.
    Count,
    /// The server speaks first; then it echoes.
    Greet,
    /// It is reset as soon as the client has sent something.
    Reset,
    /// It is closed at once.
    Close,
    /// The server speaks and ends, and goes on reading.
    HangUp,
}

impl Mode {
    fn named(name: &str) -> io::Result<Mode> {
        match name {
            "echo" => Ok(Mode::Echo),
            "count" => Ok(Mode::Count),
            "greet" => Ok(Mode::Greet),
            "reset" => Ok(Mode::Reset),
            "close" => Ok(Mode::Close),
            "hang-up" => Ok(Mode::HangUp),
            other => Err(io::Error::other(format!("there is no mode `{other}`"))),
        }
    }
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| io::Error::other(what.to_owned()));
    let address = next("the address is missing")?;
    let journal = Journal::open(&next("the journal is missing")?)?;
    let mode = Mode::named(&next("echo").unwrap_or_else(|_| "echo".to_owned()))?;
    if let Ok(file) = next("a file") {
        while !Path::new(&file).exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let listener = TcpListener::bind(address)?;
    journal.write("listening")?;
    for number in 1.. {
        let (stream, _) = listener.accept()?;
        journal.write(&format!("connected {number}"))?;
        let journal = journal.clone();
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || serve(stream, mode, &journal, number))?;
    }
    Ok(())
}

/// Serves one connection, and writes down how it ended.
fn serve(stream: TcpStream, mode: Mode, journal: &Journal, number: u64) {
    let mut received = 0;
    let how = match talk(stream, mode, journal, number, &mut received) {
        Ok(()) => "ended",
        Err(_) => "lost",
    };
    // A journal that can't be written any more belongs to a test that is over.
    let _ = journal.write(&format!("{how} {number} {received}"));
}

fn talk(
    mut stream: TcpStream,
    mode: Mode,
    journal: &Journal,
    number: u64,
    received: &mut u64,
) -> io::Result<()> {
    match mode {
        Mode::Close => return Ok(()),
        Mode::Reset => {
            // Closing with bytes unread is what makes a reset.
            stream.peek(&mut [0])?;
            return Ok(());
        }
        Mode::Greet => stream.write_all(b"welcome\n")?,
        Mode::HangUp => {
            stream.write_all(b"goodbye\n")?;
            stream.shutdown(Shutdown::Write)?;
        }
        Mode::Echo | Mode::Count => {}
    }
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        if *received == 0 {
            let start = String::from_utf8_lossy(&buffer[..read.min(64)]).into_owned();
            journal.write(&format!("first {number} {start:?}"))?;
        }
        *received += read as u64;
        if let Mode::Echo | Mode::Greet = mode {
            stream.write_all(&buffer[..read])?;
        }
    }
    if let Mode::Count = mode {
        stream.write_all(format!("{received} bytes").as_bytes())?;
    }
    Ok(())
}

/// A file to which each line is appended in one piece, by whichever thread.
#[derive(Clone)]
struct Journal(Arc<File>);

impl Journal {
    fn open(path: &str) -> io::Result<Journal> {
        Ok(Journal(Arc::new(OpenOptions::new().create(true).append(true).open(path)?)))
    }

    fn write(&self, line: &str) -> io::Result<()> {
        (&*self.0).write_all(format!("{line}\n").as_bytes())
    }
}
