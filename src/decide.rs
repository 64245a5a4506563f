//! The port between a service and whoever decides for it.
//!
//! Plain traits and types: `service` asks, `plugin` answers, and neither knows the other, so that a
//! test can put a script in a plugin's place. The terms are those of the interface in `wit/`.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The answer to a question, once it is there.
///
/// Dropping it before then takes the question back: whatever runs outside on its behalf is ended.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the service believes of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The target is off.
    Asleep,
    /// The target has been told to start and is not ready yet.
    Starting,
    /// The target is up, and clients are connected to it directly.
    Awake,
    /// The target has been told to stop.
    Stopping,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Asleep => "asleep",
            Phase::Starting => "starting",
            Phase::Awake => "awake",
            Phase::Stopping => "stopping",
        })
    }
}

/// A client as a decision sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Where it comes from.
    pub address: SocketAddr,
    /// The listener that accepted it.
    pub listener: SocketAddr,
}

/// Who asked for a start or a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A client wants the target.
    Client(Client),
    /// A person asked for it.
    Operator,
    /// The target had no clients for as long as the cool-down lasts.
    Cooldown,
    /// Dormouse exits, and the service has `stop_on_exit`.
    Exit,
    /// A start timed out and is undone.
    FailedStart,
}

impl Cause {
    /// The word for it, as hooks and logs have it.
    pub fn word(&self) -> &'static str {
        match self {
            Cause::Client(_) => "client",
            Cause::Operator => "operator",
            Cause::Cooldown => "cooldown",
            Cause::Exit => "exit",
            Cause::FailedStart => "failed-start",
        }
    }
}

/// What kind of failure it was: it decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The plugin's settings are wrong; the operator can mend them.
    WrongSettings,
    /// It may work another time, after this time if one is given.
    TryAgain(Option<Duration>),
    /// It will not work again by itself.
    Permanent,
    /// Something was needed that the config does not grant.
    Denied,
    /// The plugin trapped, spent its budget or missed its deadline: the plugin's fault.
    Broken,
}

/// Why a decision was not made or not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind it was.
    pub kind: FailureKind,
    /// For people: whose fault it is, what failed, and what would help. No control characters
    /// other than line breaks.
    pub message: String,
}

/// An answer to the question whether the target is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is; with an address (`host:port`) to use instead of the configured target.
    Ready(Option<String>),
    /// Not yet, and how far it is, for people.
    NotYet(String),
}

/// What becomes of a client at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wake the target and hold the client.
    Wake,
    /// Ask again when the client has sent more.
    More,
    /// Close the client.
    Refuse,
    /// Wake the target, but close this client.
    WakeAndClose,
}

/// What the gate says to what a client has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Bytes for the client.
    pub send: Vec<u8>,
    /// How many bytes, from the front of what was shown, are answered by this and not passed on.
    /// Never more than were shown.
    pub consumed: usize,
    /// What becomes of the client once `send` is sent.
    pub verdict: Verdict,
}

/// Whether an idle target may be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SleepVerdict {
    /// Stop it.
    Sleep,
    /// Leave it up and ask again after this time.
    StayAwake(Duration),
}

/// Starts and stops the target of one service.
pub trait Lifecycle: Send + Sync {
    /// Has the target started. `deadline` is the time that the call may take.
    fn start(&self, cause: Cause, deadline: Duration) -> Answer<'_, Result<(), Failure>>;
    /// Has the target stopped. `deadline` is the time that the call may take.
    fn stop(&self, cause: Cause, deadline: Duration) -> Answer<'_, Result<(), Failure>>;
}

/// Says whether the target of one service is ready.
pub trait Judge: Send + Sync {
    /// Is it? `attempt` counts from 1 in each start.
    fn ready(&self, attempt: u32) -> Answer<'_, Result<Readiness, Failure>>;
}

/// Judges whether a client may wake the target of one service.
pub trait Gate: Send + Sync {
    /// Begins a conversation about one client. Cheap: the work is done at the first question.
    fn converse(&self, client: Client) -> Box<dyn Conversation>;
}

/// A conversation about one client. After a failure or a verdict other than [`Verdict::More`] it
/// is over.
pub trait Conversation: Send {
    /// May the client wake the target? `data` is everything that it has sent and no reply has
    /// consumed.
    fn should_wake<'a>(
        &'a mut self,
        phase: Phase,
        data: &'a [u8],
    ) -> Answer<'a, Result<Reply, Failure>>;
}

/// Has a say in when the target of one service is stopped.
pub trait Idleness: Send + Sync {
    /// May it be stopped, `idle_for` after its last client has left?
    fn should_sleep(&self, idle_for: Duration) -> Answer<'_, Result<SleepVerdict, Failure>>;
}

/// Everybody who decides for one service.
#[derive(Clone)]
pub struct Deciders {
    /// Who starts and stops the target.
    pub lifecycle: Arc<dyn Lifecycle>,
    /// Who says that it is ready; nobody means that a TCP connection to it has to succeed.
    pub readiness: Option<Arc<dyn Judge>>,
    /// Who judges clients; nobody means that every client may wake it.
    pub gate: Option<Arc<dyn Gate>>,
    /// Who may veto its sleep.
    pub idleness: Option<Arc<dyn Idleness>>,
}
