//! The conversation with a client at the gate.
//!
//! The plugin sees what the client has sent and answers with bytes for the client and a verdict.
//! Everything about it is bounded: how much is read, how long it may take, how many questions are
//! asked at once ([`turns`]), and how many conversations wait for their clients ([`seats`]).
//!
//! ```text
//!  listen ──▶ turn ──▶ read the rest ──▶ ask ──▶ answer ──▶ verdict
//!     ▲    (no turn)                  (a turn)  (no turn)      │ more
//!     └────────────── a seat, or no instance ◀─────────────────┘
//! ```
//!
//! A client that says nothing costs its socket and some KiB: it has a turn only while the plugin is asked
//! about its silence, and no instance of the plugin afterwards.

mod seats;
mod turns;

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use self::seats::{Seat, Seats};
use self::turns::{Turn, Turns};
use super::Shared;
use super::origin::origin;
use crate::config::OnGateError;
use crate::decide::{Client, Conversation, Failure, Gate, Reply, Verdict};
use crate::lifecycle::Origin;

/// How much of a client's bytes a gate may ask for; see `should-wake` in `wit/`.
const MOST: usize = 64 << 10;
/// How much of it is read before the client has its turn.
const MOST_WITHOUT_TURN: usize = 1 << 10;
/// How much of it is read at a time.
const CHUNK: usize = 4 << 10;
/// How long a client may be silent before the gate is asked about its silence.
const SILENCE: Duration = Duration::from_millis(200);

/// The bounds of all conversations of one service.
#[derive(Debug)]
pub(super) struct Gates {
    turns: Arc<Turns>,
    seats: Arc<Seats>,
}

impl Gates {
    /// So many questions at once, and so many conversations that wait for their clients.
    pub(super) fn new(most: usize) -> Gates {
        Gates { turns: Turns::new(most), seats: Seats::new(most) }
    }
}

/// What became of a client at the gate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It may be held for the target, which gets these bytes of it first.
    Held(Vec<u8>),
    /// It wakes the target and is closed.
    WakesOnly,
    /// It is closed, for this reason.
    Closed(&'static str),
}

/// Has the client judged, and gives its stream back. The gate is asked among the decisions, apart from
/// the traffic. `None` if the gate's task came to grief; the client is lost then. Dropping the future
/// ends the conversation.
pub(super) async fn judge(
    shared: &Arc<Shared>,
    gate: Arc<dyn Gate>,
    stream: TcpStream,
    client: Client,
) -> Option<(TcpStream, Passage)> {
    let mut talk = Talk {
        shared,
        gate,
        client,
        origin: origin(client.address.ip()),
        stream,
        data: Vec::new(),
        ended: false,
        has_spoken: false,
        conversation: None,
        exchanged: false,
        seat: None,
        deadline: Instant::now() + shared.config.gate_timeout,
    };
    let passage = match talk.hold().await {
        Ok(passage) | Err(Stop::Verdict(passage)) => passage,
        Err(Stop::Failed(error)) => {
            tracing::debug!(service = %shared.config.name, client = %client.address, %error, "lost at the gate");
            Passage::Closed("it hung up")
        }
        Err(Stop::Late) => Passage::Closed("it said nothing useful within `gate_timeout`"),
        Err(Stop::Grief) => return None,
    };
    Some((talk.stream, passage))
}

/// Why a conversation ends before its verdict.
enum Stop {
    Verdict(Passage),
    /// The connection failed.
    Failed(io::Error),
    /// Its time is up.
    Late,
    /// The task that asked the gate is gone.
    Grief,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Failed(error)
    }
}

/// A client at the gate.
struct Talk<'s> {
    shared: &'s Arc<Shared>,
    gate: Arc<dyn Gate>,
    client: Client,
    origin: Origin,
    stream: TcpStream,
    /// What it has sent and the gate has not answered: in the end, what the target gets.
    data: Vec<u8>,
    /// Nothing more comes from it.
    ended: bool,
    has_spoken: bool,
    /// `None` before the first question, and while it would begin anew.
    conversation: Option<Box<dyn Conversation>>,
    /// The gate has sent something, or consumed something: the conversation can't begin anew.
    exchanged: bool,
    /// Held while there is a conversation, or bytes for the client, and no turn.
    seat: Option<Seat>,
    /// The time for turns that it had to wait for does not count.
    deadline: Instant,
}

impl Talk<'_> {
    /// Talks to the client until there is a verdict.
    async fn hold(&mut self) -> Result<Passage, Stop> {
        // Its silence is worth a question.
        if let Ok(heard) = timeout(SILENCE, self.listen()).await {
            heard?;
        }
        loop {
            if self.ended && self.data.is_empty() && !self.exchanged {
                return Ok(Passage::Closed("it hung up without a word"));
            }
            let reply = match self.ask().await? {
                Ok(reply) => reply,
                Err(failure) => return Ok(self.on_error(&failure)),
            };
            let consumed = reply.consumed.min(self.data.len());
            self.data.drain(..consumed);
            self.exchanged |= consumed > 0 || !reply.send.is_empty();
            let is_silent = self.data.is_empty() && !self.exchanged;
            if reply.verdict != Verdict::More || is_silent {
                self.conversation = None;
            } else {
                self.sit_down();
            }
            self.send(&reply.send).await?;
            match reply.verdict {
                Verdict::Wake => return Ok(self.held()),
                Verdict::WakeAndClose => return Ok(Passage::WakesOnly),
                Verdict::Refuse => return Ok(Passage::Closed("the gate refused it")),
                Verdict::More if self.ended => {
                    return Ok(Passage::Closed("it ended before the gate had seen enough"));
                }
                Verdict::More if self.data.len() >= MOST => {
                    return Ok(Passage::Closed("the gate asked for more than 64 KiB"));
                }
                Verdict::More => self.listen().await?,
            }
        }
    }

    /// Waits until the client has sent something, or has ended, and reads some of it. May be dropped
    /// and called again.
    async fn listen(&mut self) -> Result<(), Stop> {
        loop {
            let readable = self.stream.ready(Interest::READABLE);
            tokio::select! {
                biased;
                ready = timeout_at(self.deadline, readable) => ready.map_err(|_| Stop::Late)??,
                () = lost(&mut self.seat) => {
                    self.let_go()?;
                    continue;
                }
            };
            if self.read(MOST_WITHOUT_TURN)? {
                return Ok(());
            }
        }
    }

    /// Reads what is there, but no more than `most` bytes. Says whether anything was, the end included.
    fn read(&mut self, most: usize) -> io::Result<bool> {
        let room = MOST.saturating_sub(self.data.len()).min(most);
        let before = self.data.len();
        self.data.resize(before + room, 0);
        let read = self.stream.try_read(&mut self.data[before..]);
        self.data.truncate(before + read.as_ref().map_or(0, |read| *read));
        match read {
            Ok(0) => self.ended = room > 0,
            Ok(_) => self.has_spoken = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Asks the gate, when it is the client's turn, about everything that the client has sent by then.
    async fn ask(&mut self) -> Result<Result<Reply, Failure>, Stop> {
        let turn = self.turn().await?;
        // The turn counts the instance from here on.
        self.seat = None;
        while !self.ended && self.data.len() < MOST && self.read(CHUNK)? {}
        let (gate, client) = (&self.gate, self.client);
        let conversation = self.conversation.take();
        let mut conversation = conversation.unwrap_or_else(|| gate.converse(client));
        let (phase, data) = (self.shared.phase(), mem::take(&mut self.data));
        let asking = self.shared.decisions.spawn(async move {
            let _turn = turn;
            let reply = conversation.should_wake(phase, &data).await;
            (conversation, data, reply)
        });
        let asked = timeout_at(self.deadline, AbortOnDropHandle::new(asking)).await;
        let (conversation, data, reply) =
            asked.map_err(|_| Stop::Late)?.map_err(|_| Stop::Grief)?;
        self.conversation = Some(conversation);
        self.data = data;
        Ok(reply)
    }

    /// Waits for the client's turn. For one that has spoken this takes none of its time.
    async fn turn(&mut self) -> Result<Turn, Stop> {
        let turns = Arc::clone(&self.shared.gates.turns);
        let began = Instant::now();
        let spoken = self.has_spoken;
        let mut turn = std::pin::pin!(turns.take(self.origin, spoken));
        loop {
            tokio::select! {
                biased;
                turn = &mut turn => {
                    if spoken {
                        self.deadline += began.elapsed();
                    }
                    return Ok(turn);
                }
                () = lost(&mut self.seat) => self.let_go()?,
                () = tokio::time::sleep_until(self.deadline), if !spoken => return Err(Stop::Late),
            }
        }
    }

    /// Sends `bytes` to the client.
    async fn send(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let mut left = bytes;
        while !left.is_empty() {
            match self.stream.try_write(left) {
                Ok(sent) => {
                    left = &left[sent..];
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            self.sit_down();
            let writable = self.stream.ready(Interest::WRITABLE);
            tokio::select! {
                biased;
                ready = timeout_at(self.deadline, writable) => ready.map_err(|_| Stop::Late)??,
                () = lost(&mut self.seat) => return Err(Stop::Verdict(LOST_ITS_SEAT)),
            };
        }
        Ok(())
    }

    fn sit_down(&mut self) {
        if self.seat.is_none() {
            self.seat = Some(self.shared.gates.seats.take(self.origin));
        }
    }

    /// The seat is lost: the instance goes, and the conversation begins anew with the client's next
    /// bytes. One that can't begin anew is over.
    fn let_go(&mut self) -> Result<(), Stop> {
        self.seat = None;
        self.conversation = None;
        if self.exchanged || self.data.len() > MOST_WITHOUT_TURN {
            return Err(Stop::Verdict(LOST_ITS_SEAT));
        }
        Ok(())
    }

    fn on_error(&mut self, failure: &Failure) -> Passage {
        let (shared, client) = (self.shared, self.client);
        let wakes = shared.config.on_gate_error == OnGateError::Wake;
        if let Some(count) = shared.gate_errors.count(std::time::Instant::now()) {
            tracing::warn!(
                service = %shared.config.name,
                client = %client.address,
                error = %failure,
                recent = count.recent,
                all = count.all,
                "the gate failed, so the client {}, as `on_gate_error` says",
                if wakes { "wakes the target" } else { "is refused" },
            );
        }
        if wakes { self.held() } else { Passage::Closed("the gate failed") }
    }

    fn held(&mut self) -> Passage {
        let mut data = mem::take(&mut self.data);
        data.shrink_to_fit();
        Passage::Held(data)
    }
}

const LOST_ITS_SEAT: Passage = Passage::Closed(
    "too many conversations wait for their clients (`max_gates`), most of them for clients of its \
     address, and this one had waited for the longest time",
);

/// Ends when the seat is lost; never if there is none.
async fn lost(seat: &mut Option<Seat>) {
    match seat {
        Some(seat) => seat.lost().await,
        None => std::future::pending().await,
    }
}
