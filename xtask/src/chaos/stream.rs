//! One connection: sends the bytes of its pattern, and compares what comes back.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::clock::{self, Tick};
use super::invariants::{Live, Record};
use super::pattern;
use super::stop::Stretch;

/// How long a client waits without any byte. A service may hold it for 4 s, Dormouse and the target
/// may be frozen for 5 s each.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a blocked read or write looks whether the stretch is over.
const SLICE: Duration = Duration::from_millis(200);

/// What a connection does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many bytes are sent.
    pub total: u64,
    /// How many bytes are written at once.
    pub chunk: usize,
    /// Each chunk waits for the echo of the one before.
    pub in_turns: bool,
    pub write_pause: Duration,
    pub read_pause: Duration,
    /// Ends its side after the last byte, and expects the end of the other side after the echo.
    pub half_close: bool,
    /// Closes when so many bytes have come back: with bytes that nobody has read, it is a reset.
    pub abandon_at: Option<u64>,
}

impl Plan {
    /// So many bytes in one go.
    pub fn plain(total: u64) -> Self {
        Plan {
            total,
            chunk: 16 << 10,
            in_turns: false,
            write_pause: Duration::ZERO,
            read_pause: Duration::ZERO,
            half_close: false,
            abandon_at: None,
        }
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every byte came back.
    Complete,
    /// This side closed it, as planned.
    Abandoned,
    /// The other side closed it.
    Closed { text: String },
    /// No byte came for too long, or the stretch is over.
    GaveUp,
    /// A byte came back that was not sent.
    Wrong { at: u64 },
}

/// A connection that has ended.
#[derive(Debug)]
pub struct Outcome {
    pub ending: Ending,
    /// How many right bytes came back.
    pub verified: u64,
    /// When it was opened.
    pub begin: Tick,
}

/// Connects to a port of this machine.
pub fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(
        &SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        Duration::from_secs(10),
    )?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SLICE))?;
    stream.set_write_timeout(Some(SLICE))?;
    Ok(stream)
}

/// A chunk that was sent: where it begins, and a time before it was written.
type Mark = (u64, Tick);

/// A connection at work, seen by its reader and its writer.
struct Flow<'a> {
    stream: &'a TcpStream,
    id: u64,
    plan: &'a Plan,
    end: &'a Stretch,
    marks: Mutex<VecDeque<Mark>>,
    /// The reader has ended.
    done: AtomicBool,
}

/// Carries out the plan on a connection to the service number `service`.
pub fn run(
    stream: &TcpStream,
    id: u64,
    plan: &Plan,
    (record, service): (&Record, usize),
    end: &Stretch,
) -> Outcome {
    let begin = clock::now();
    let marks = Mutex::default();
    let flow = Flow { stream, id, plan, end, marks, done: AtomicBool::new(false) };
    let mut reader = Reader { flow: &flow, verified: 0, live: None };
    let ending = if plan.in_turns {
        reader.take_turns(record, service)
    } else {
        thread::scope(|scope| {
            // An error of the writer shows in what the reader gets, or does not get.
            let writer = thread::Builder::new().spawn_scoped(scope, || flow.write(0, plan.total));
            let ending = match writer {
                Ok(_) => reader.read_to(plan.total, record, service),
                Err(_) => Ending::GaveUp,
            };
            flow.done.store(true, Ordering::Relaxed);
            ending
        })
    };
    Outcome { ending, verified: reader.verified, begin }
}

impl Flow<'_> {
    fn is_over(&self) -> bool {
        self.done.load(Ordering::Relaxed) || self.end.is_over()
    }

    /// Writes the bytes from `from` to `to`, and the half-close if they are the last ones.
    fn write(&self, from: u64, to: u64) -> io::Result<()> {
        let mut buffer = vec![0; self.plan.chunk];
        let mut offset = from;
        while offset < to && !self.is_over() {
            let length = usize::try_from(to - offset).unwrap_or(usize::MAX).min(buffer.len());
            let chunk = &mut buffer[..length];
            pattern::fill(self.id, offset, chunk);
            let mark = (offset, clock::now());
            self.marks.lock().unwrap_or_else(PoisonError::into_inner).push_back(mark);
            self.write_chunk(chunk)?;
            offset += length as u64;
            self.end.sleep(self.plan.write_pause);
        }
        if self.plan.half_close && offset == self.plan.total {
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    fn write_chunk(&self, mut chunk: &[u8]) -> io::Result<()> {
        let mut stream = self.stream;
        while !chunk.is_empty() && !self.is_over() {
            match stream.write(chunk) {
                Ok(length) => chunk = &chunk[length..],
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A time before the byte at `offset` or a later one was sent.
    fn sent(&self, offset: u64) -> Option<Tick> {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sent = None;
        while marks.front().is_some_and(|&(begin, _)| begin <= offset) {
            sent = marks.pop_front().map(|(_, at)| at);
        }
        sent
    }
}

/// The side of a connection that compares.
struct Reader<'a> {
    flow: &'a Flow<'a>,
    verified: u64,
    live: Option<Arc<Live>>,
}

impl Reader<'_> {
    fn take_turns(&mut self, record: &Record, service: usize) -> Ending {
        let plan = self.flow.plan;
        while self.verified < plan.total {
            let to = plan.total.min(self.verified + plan.chunk as u64);
            if let Err(error) = self.flow.write(self.verified, to) {
                return Ending::Closed { text: format!("a write failed: {error}") };
            }
            let ending = self.read_to(to, record, service);
            if ending != Ending::Complete {
                return ending;
            }
        }
        Ending::Complete
    }

    /// Reads and compares until `to` bytes have come back.
    fn read_to(&mut self, to: u64, record: &Record, service: usize) -> Ending {
        let plan = self.flow.plan;
        let mut stream = self.flow.stream;
        let mut buffer = vec![0; plan.chunk];
        let mut progress = Instant::now();
        let expects_end = plan.half_close && to == plan.total;
        loop {
            if self.verified >= to && !expects_end {
                return Ending::Complete;
            }
            if plan.abandon_at.is_some_and(|at| self.verified >= at) {
                return Ending::Abandoned;
            }
            if self.flow.end.is_over() || progress.elapsed() > PATIENCE {
                return Ending::GaveUp;
            }
            // More than was sent would be wrong, too: so one byte more than is expected is read.
            let wanted = usize::try_from(to - self.verified).unwrap_or(usize::MAX);
            let wanted = wanted.saturating_add(1).min(buffer.len());
            match stream.read(&mut buffer[..wanted]) {
                Ok(0) if expects_end && self.verified == to => return Ending::Complete,
                Ok(0) => return Ending::Closed { text: self.state("the end came") },
                Ok(length) => {
                    progress = Instant::now();
                    if let Some(at) = self.compare(&buffer[..length], to) {
                        return Ending::Wrong { at };
                    }
                    self.prove(record, service);
                    self.flow.end.sleep(plan.read_pause);
                }
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Ending::Closed { text: self.state(&error.to_string()) },
            }
        }
    }

    /// Returns the place of a wrong byte, if there is one.
    fn compare(&mut self, bytes: &[u8], to: u64) -> Option<u64> {
        let wrong = pattern::first_wrong(self.flow.id, self.verified, bytes);
        let end = self.verified + bytes.len() as u64;
        let excess = (end > to).then_some(to);
        self.verified = end.min(to);
        wrong.or(excess)
    }

    /// Records for what time the connection is proven to have been open.
    fn prove(&mut self, record: &Record, service: usize) {
        let live = self.live.get_or_insert_with(|| record.open(service));
        if let Some(sent) = self.flow.sent(self.verified.saturating_sub(1)) {
            live.extend(sent);
        }
    }

    fn state(&self, text: &str) -> String {
        format!("{text} after {} of {} bytes", self.verified, self.flow.plan.total)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a client makes of a server that sends `answer` of what it gets, all at once.
    fn talk(plan: &Plan, answer: impl Fn(Vec<u8>) -> Vec<u8> + Sync) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut question = vec![0; usize::try_from(plan.total).unwrap()];
                stream.read_exact(&mut question).unwrap();
                let _ = stream.write_all(&answer(question));
            });
            let stream = connect(port).unwrap();
            run(&stream, 7, plan, (&Record::default(), 0), &Stretch::default())
        })
    }

    #[test]
    fn an_echo_is_complete() {
        for half_close in [false, true] {
            let plan = Plan { half_close, ..Plan::plain(100_000) };
            let outcome = talk(&plan, |question| question);
            assert_eq!((outcome.ending, outcome.verified), (Ending::Complete, 100_000));
        }
        let turns = Plan { in_turns: true, ..Plan::plain(5000) };
        assert_eq!(talk(&turns, |question| question).ending, Ending::Complete);
    }

    #[test]
    fn a_changed_byte_and_a_byte_too_many_are_wrong() {
        let plan = Plan { half_close: true, ..Plan::plain(1000) };
        let changed = talk(&plan, |mut question| {
            question[500] ^= 1;
            question
        });
        assert_eq!(changed.ending, Ending::Wrong { at: 500 });
        let longer = talk(&plan, |question| [question, vec![0]].concat());
        assert_eq!(longer.ending, Ending::Wrong { at: 1000 });
    }

    #[test]
    fn an_early_end_is_a_closed_connection() {
        let outcome = talk(&Plan::plain(1000), |question| question[..400].to_vec());
        assert_eq!(outcome.verified, 400);
        assert!(matches!(outcome.ending, Ending::Closed { .. }), "{outcome:?}");
    }

    #[test]
    fn bytes_that_come_back_prove_that_the_connection_was_open() {
        let record = Record::default();
        let live = record.open(0);
        let plan = Plan::plain(10);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = connect(listener.local_addr().unwrap().port()).unwrap();
        let marks = Mutex::new(VecDeque::from([(0, 5), (4, 6), (8, 7)]));
        let end = Stretch::default();
        let done = AtomicBool::new(false);
        let flow = Flow { stream: &stream, id: 1, plan: &plan, end: &end, marks, done };
        // The byte at 5 belongs to the chunk that was sent after tick 6.
        assert_eq!(flow.sent(5), Some(6));
        assert_eq!(flow.sent(5), None);
        assert_eq!(flow.sent(8), Some(7));
        drop(live);
    }
}
