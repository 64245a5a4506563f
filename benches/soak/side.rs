//! One side of a connection: sends its pattern, compares what it reads with the other's, and ends
//! or resets as planned.

use std::io::ErrorKind;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;

use crate::dice::Dice;
use crate::pattern;
use crate::plan::{Moment, Part};

/// What became of it.
#[derive(Debug)]
pub(crate) struct Report {
    /// How many of its bytes were sent.
    pub(crate) sent: u64,
    /// How sending stopped, unless the reset came first.
    pub(crate) sending: Option<Sending>,
    /// How many of the other's bytes it has read.
    pub(crate) read: u64,
    /// How reading stopped, unless the reset came first.
    pub(crate) reading: Option<Reading>,
    /// It has reset the connection.
    pub(crate) reset: bool,
}

/// How sending stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// It has told that there is no more.
    Ended,
    /// It was to end after the other, which has not.
    Waived,
    Failed(ErrorKind),
}

/// How reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It has read to the end.
    End,
    Failed(ErrorKind),
    /// The byte at this position, counted from 0, was not the other's.
    WrongAt(u64),
}

/// What both halves of a side know of each other, and what is known of them when they are cut
/// short.
struct Course<'part> {
    part: &'part Part,
    sent: AtomicU64,
    sending: OnceLock<Sending>,
    read: AtomicU64,
    reading: OnceLock<Reading>,
    reader_is_done: Notify,
    /// The moment of the reset has come.
    reset: Notify,
}

/// Plays the part to its end. `sent`: how many of its bytes have been sent before. `other`: where
/// in the pattern the other's begin.
pub(crate) async fn play(part: &Part, mut stream: TcpStream, sent: u64, other: u64) -> Report {
    let course = Course {
        part,
        sent: AtomicU64::new(sent),
        sending: OnceLock::new(),
        read: AtomicU64::new(0),
        reading: OnceLock::new(),
        reader_is_done: Notify::new(),
        reset: Notify::new(),
    };
    course.note_moment();
    let (reader, writer) = stream.split();
    let reset = tokio::select! {
        biased;
        () = course.reset_is_due() => true,
        _ = async { tokio::join!(course.send(writer), course.read(reader, other)) } => false,
    };
    if reset {
        stream.set_zero_linger().expect("a socket that works");
    }
    Report {
        sent: course.sent.into_inner(),
        sending: course.sending.into_inner(),
        read: course.read.into_inner(),
        reading: course.reading.into_inner(),
        reset,
    }
}

impl Course<'_> {
    async fn send(&self, writer: WriteHalf<'_>) {
        let sending = self.send_all(writer).await;
        let _ = self.sending.set(sending.unwrap_or_else(Sending::Failed));
    }

    async fn read(&self, reader: ReadHalf<'_>, other: u64) {
        let reading = self.read_all(reader, other).await;
        let _ = self.reading.set(reading.unwrap_or_else(Reading::Failed));
        self.reader_is_done.notify_one();
    }

    /// Sends everything and ends.
    async fn send_all(&self, mut writer: WriteHalf<'_>) -> Result<Sending, ErrorKind> {
        let part = self.part;
        let mut dice = Dice::new(part.seed);
        let mut sent = self.sent.load(Ordering::Relaxed);
        while sent < part.bytes {
            let piece = dice.within(1..=part.piece).min(part.bytes - sent) as usize;
            let bytes = pattern::at(part.start + sent, piece);
            sent += writer.write(bytes).await.map_err(|error| error.kind())? as u64;
            self.sent.store(sent, Ordering::Relaxed);
            self.note_moment();
        }
        if part.ends_last {
            self.reader_is_done.notified().await;
            if self.reading.get() != Some(&Reading::End) {
                return Ok(Sending::Waived);
            }
        }
        writer.shutdown().await.map_err(|error| error.kind())?;
        Ok(Sending::Ended)
    }

    /// Reads to the end and compares.
    async fn read_all(&self, mut reader: ReadHalf<'_>, other: u64) -> Result<Reading, ErrorKind> {
        let part = self.part;
        let mut dice = Dice::new(!part.seed);
        let mut buffer = vec![0; part.read];
        let mut read = 0;
        loop {
            if let Some(pause) = part.pause
                && dice.once_in(8)
            {
                tokio::time::sleep(pause).await;
            }
            let count = reader.read(&mut buffer).await.map_err(|error| error.kind())?;
            if count == 0 {
                return Ok(Reading::End);
            }
            let (came, due) = (&buffer[..count], pattern::at(other + read, count));
            if came != due {
                let same = came.iter().zip(due).take_while(|(came, due)| came == due).count();
                return Ok(Reading::WrongAt(read + same as u64));
            }
            read += count as u64;
            self.read.store(read, Ordering::Relaxed);
            self.note_moment();
        }
    }

    /// Gives the sign to reset, if it is time.
    fn note_moment(&self) {
        let due = match self.part.reset {
            Some(Moment::Sent(bytes)) => self.sent.load(Ordering::Relaxed) >= bytes,
            Some(Moment::Read(bytes)) => self.read.load(Ordering::Relaxed) >= bytes,
            Some(Moment::Age(_)) | None => false,
        };
        if due {
            self.reset.notify_one();
        }
    }

    async fn reset_is_due(&self) {
        match self.part.reset {
            Some(Moment::Age(age)) => tokio::time::sleep(age).await,
            Some(Moment::Sent(_) | Moment::Read(_)) => self.reset.notified().await,
            None => std::future::pending().await,
        }
    }
}
