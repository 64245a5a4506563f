//! One side of a connection: sends its pattern, compares what it reads with the other's, and ends
//! or resets as planned.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
    /// It has told that there is no more.
    pub(crate) ended: bool,
    /// Why it could send no more.
    pub(crate) send_error: Option<ErrorKind>,
    /// How many of the other's bytes it has read.
    pub(crate) read: u64,
    /// It has read to the end.
    pub(crate) read_end: bool,
    /// Why it could read no more.
    pub(crate) read_error: Option<ErrorKind>,
    /// The first byte that was not the other's, counted from 0.
    pub(crate) wrong_at: Option<u64>,
    /// It has reset the connection.
    pub(crate) reset: bool,
}

/// What both halves of a side know of each other, and what is left of it if it is cut short.
struct Course<'part> {
    part: &'part Part,
    sent: AtomicU64,
    ended: AtomicBool,
    read: AtomicU64,
    read_end: AtomicBool,
    reader_is_done: Notify,
    /// The moment of the reset has come.
    reset: Notify,
}

/// How reading stopped.
enum Reading {
    End,
    Failed(ErrorKind),
    WrongAt(u64),
}

/// Plays the part to its end. `sent`: how many of its bytes have been sent before. `other`: where
/// in the pattern the other's begin.
pub(crate) async fn play(part: &Part, mut stream: TcpStream, sent: u64, other: u64) -> Report {
    let course = Course {
        part,
        sent: AtomicU64::new(sent),
        ended: AtomicBool::new(false),
        read: AtomicU64::new(0),
        read_end: AtomicBool::new(false),
        reader_is_done: Notify::new(),
        reset: Notify::new(),
    };
    course.note_moment();
    let (reader, writer) = stream.split();
    let played = tokio::select! {
        biased;
        () = course.reset_is_due() => None,
        played = async { tokio::join!(course.send(writer), course.read(reader, other)) } => {
            Some(played)
        }
    };
    let reset = played.is_none();
    if reset {
        stream.set_zero_linger().expect("a socket that works");
    }
    let (sending, reading) = played.unzip();
    Report {
        sent: course.sent.load(Ordering::Relaxed),
        ended: course.ended.load(Ordering::Relaxed),
        send_error: sending.and_then(Result::err),
        read: course.read.load(Ordering::Relaxed),
        read_end: course.read_end.load(Ordering::Relaxed),
        read_error: match reading {
            Some(Reading::Failed(error)) => Some(error),
            _ => None,
        },
        wrong_at: match reading {
            Some(Reading::WrongAt(position)) => Some(position),
            _ => None,
        },
        reset,
    }
}

impl Course<'_> {
    /// Sends everything and ends.
    async fn send(&self, mut writer: WriteHalf<'_>) -> Result<(), ErrorKind> {
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
            if !self.read_end.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        writer.shutdown().await.map_err(|error| error.kind())?;
        self.ended.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Reads to the end and compares.
    async fn read(&self, mut reader: ReadHalf<'_>, other: u64) -> Reading {
        let part = self.part;
        let mut dice = Dice::new(!part.seed);
        let mut buffer = vec![0; part.read];
        let mut read = 0;
        let reading = loop {
            if let Some(pause) = part.pause
                && dice.once_in(8)
            {
                tokio::time::sleep(pause).await;
            }
            let count = match reader.read(&mut buffer).await {
                Ok(0) => break Reading::End,
                Ok(count) => count,
                Err(error) => break Reading::Failed(error.kind()),
            };
            let (came, due) = (&buffer[..count], pattern::at(other + read, count));
            if came != due {
                let same = came.iter().zip(due).take_while(|(came, due)| came == due).count();
                break Reading::WrongAt(read + same as u64);
            }
            read += count as u64;
            self.read.store(read, Ordering::Relaxed);
            self.note_moment();
        };
        self.read_end.store(matches!(reading, Reading::End), Ordering::Relaxed);
        self.reader_is_done.notify_one();
        reading
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
