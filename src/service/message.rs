//! What clients and the driver of a service say to each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::door::Inside;
use crate::decide::{Client, Deciders, Failure, Gate, Readiness, SleepVerdict};
use crate::lifecycle::{Call, ClientId, Period, Reason};

/// To the driver.
pub(super) enum Message {
    /// A client waits, and takes orders here.
    Waits { client: Waiter, refused: Option<Refusal> },
    /// A client has passed the gate.
    Passed { id: ClientId, stays: bool },
    /// A waiting client is gone.
    Left(ClientId),
    /// The deciders are there and the target has been probed; without deciders nobody can decide.
    Booted { deciders: Option<Deciders>, listening: bool },
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
    /// Readiness as a connection shows it.
    Connected(Result<Option<TcpStream>, String>),
    Probed(Result<Option<TcpStream>, String>),
    MaySleep(Result<SleepVerdict, Failure>),
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
