//! What clients and the driver of a service say to each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::door::Inside;
use crate::config::Target;
use crate::decide::{Client, Deciders, Failure, Gate, Readiness, SleepVerdict};
use crate::lifecycle::{Call, ClientId, Period, Reason, UnderWay};

/// To the driver.
pub(super) enum Message {
    /// A client waits, and takes orders here.
    Waits { client: Waiter, refused: Option<Refusal> },
    /// A client has passed the gate.
    Passed { id: ClientId, stays: bool },
    /// A waiting client is gone.
    Left(ClientId),
    /// The deciders are there, and it is known what the last run had under way; without deciders
    /// nobody can decide.
    Booted { deciders: Option<Deciders>, under_way: UnderWay },
    /// All slots are taken, and another service holds fewer clients.
    MakeRoom,
    /// Why the target is not ready yet, for people.
    NotReady(String),
    /// The target was looked for where the last run has left it.
    Recalled { target: Target, found: bool },
    /// A question was answered.
    Answered(Call, Reply),
    /// Dormouse exits.
    Exit,
    /// Dormouse exits, and time is up for the clients that are still inside.
    Cut,
}

/// A client that waits.
pub(super) struct Waiter {
    pub(super) id: ClientId,
    pub(super) client: Client,
    pub(super) orders: mpsc::UnboundedSender<Order>,
    /// It has a slot that is one too many: one that waits has to be closed for it, or it is closed.
    pub(super) is_spare: bool,
}

/// What a client learnt inside.
pub(super) struct Refusal {
    /// The period in which it was let in.
    pub(super) period: Period,
    /// How long it had been held before.
    pub(super) waited: Duration,
}

/// The answer to a question.
pub(super) enum Reply {
    Started(Result<(), Failure>),
    Stopped(Result<(), Failure>),
    Ready(Result<Readiness, Failure>),
    /// The target is ready, as a connection shows.
    Connected(Option<TcpStream>),
    Looked(Look),
    MaySleep(Result<SleepVerdict, Failure>),
    /// Nothing is left of a start or a stop of an earlier run.
    LeftoverEnded,
    /// It was cancelled.
    Cancelled,
}

/// What a look at the target shows.
#[derive(Default)]
pub(super) struct Look {
    pub(super) up: bool,
    /// Where its plugin says that it is, if that is another place than its own.
    pub(super) address: Option<String>,
    /// Why the plugin that judges readiness did not say.
    pub(super) failure: Option<Failure>,
}

/// To a waiting client.
pub(super) enum Order {
    /// Let this gate judge you.
    Judge(Arc<dyn Gate>),
    /// You are inside: connect to the target, or use this connection to it.
    Admit(Inside, Option<TcpStream>),
    /// Close.
    Close(Reason),
}
