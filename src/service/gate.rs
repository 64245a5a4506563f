//! The conversation with a client at the gate.
//!
//! The plugin sees what the client has sent and answers with bytes for the client and a verdict.
//! Everything about it is bounded: how much is read, how long it may take, and how many
//! conversations there are at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::Shared;
use crate::config::OnGateError;
use crate::decide::{Client, Conversation, Failure, Gate, Verdict};

/// How much of a client's bytes a gate may ask for; see `should-wake` in `wit/`.
const MOST: usize = 64 << 10;
/// How long a client may be silent before the gate is asked about its silence.
const SILENCE: Duration = Duration::from_millis(200);

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

/// Has the client judged among the decisions, apart from the traffic, and gives its stream back.
/// `None` if the gate's task came to grief; the client is lost then. Dropping the future ends the
/// conversation.
pub(super) async fn judge(
    shared: &Arc<Shared>,
    gate: Arc<dyn Gate>,
    mut stream: TcpStream,
    client: Client,
) -> Option<(TcpStream, Passage)> {
    let shared_there = Arc::clone(shared);
    let judging = shared.decisions.spawn(async move {
        let passage = converse(&shared_there, &*gate, &mut stream, client).await;
        (stream, passage)
    });
    AbortOnDropHandle::new(judging).await.ok()
}

/// Talks to the client until there is a verdict.
async fn converse(
    shared: &Shared,
    gate: &dyn Gate,
    stream: &mut TcpStream,
    client: Client,
) -> Passage {
    // The semaphore is never closed.
    let Ok(_turn) = shared.gates.acquire().await else {
        return Passage::Closed("the service is over");
    };
    let deadline = Instant::now() + shared.config.gate_timeout;
    let mut data = Vec::new();
    let talk = talk(shared, gate.converse(client), stream, client, &mut data);
    let passage = match timeout_at(deadline, talk).await {
        Ok(Ok(passage)) => passage,
        Ok(Err(error)) => {
            tracing::debug!(service = %shared.config.name, client = %client.address, %error, "lost at the gate");
            Passage::Closed("it hung up")
        }
        Err(_) => Passage::Closed("it said nothing useful within `gate_timeout`"),
    };
    match passage {
        Passage::Held(_) => Passage::Held(data),
        Passage::WakesOnly | Passage::Closed(_) => passage,
    }
}

/// `data` has, in the end, the bytes that the target gets.
async fn talk(
    shared: &Shared,
    mut conversation: Box<dyn Conversation>,
    stream: &mut TcpStream,
    client: Client,
    data: &mut Vec<u8>,
) -> io::Result<Passage> {
    let mut ended = match timeout(SILENCE, read_more(stream, data)).await {
        Ok(read) => read? == 0,
        Err(_) => false,
    };
    if ended && data.is_empty() {
        return Ok(Passage::Closed("it hung up without a word"));
    }
    loop {
        let reply = match conversation.should_wake(shared.phase(), data).await {
            Ok(reply) => reply,
            Err(failure) => return Ok(on_error(shared, client, &failure)),
        };
        if !reply.send.is_empty() {
            stream.write_all(&reply.send).await?;
        }
        data.drain(..reply.consumed.min(data.len()));
        match reply.verdict {
            Verdict::Wake => return Ok(Passage::Held(Vec::new())),
            Verdict::WakeAndClose => return Ok(Passage::WakesOnly),
            Verdict::Refuse => return Ok(Passage::Closed("the gate refused it")),
            Verdict::More if ended => {
                return Ok(Passage::Closed("it ended before the gate had seen enough"));
            }
            Verdict::More if data.len() >= MOST => {
                return Ok(Passage::Closed("the gate asked for more than 64 KiB"));
            }
            Verdict::More => ended = read_more(stream, data).await? == 0,
        }
    }
}

/// Reads what is there, and waits if nothing is. 0 means that the client has ended.
async fn read_more(stream: &mut TcpStream, data: &mut Vec<u8>) -> io::Result<usize> {
    let room = MOST.saturating_sub(data.len());
    data.reserve(room.min(4 << 10));
    let room = room.min(data.capacity() - data.len()) as u64;
    (&mut *stream).take(room).read_buf(data).await
}

fn on_error(shared: &Shared, client: Client, failure: &Failure) -> Passage {
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
    if wakes { Passage::Held(Vec::new()) } else { Passage::Closed("the gate failed") }
}
