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

use tokio_util::sync::CancellationToken;

/// The answer to a question, once it is there.
///
/// Dropping it before then takes the question back: whatever runs outside on its behalf is ended, in
/// the background. A question with a [`CallContext`] can be cancelled instead, and then its answer
/// comes when everything that ran on its behalf is gone.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What comes with a question that may run something outside.
#[derive(Clone)]
pub struct CallContext {
    /// Cancelled when the answer is not wanted any more. The call then ends what runs on its behalf,
    /// and answers only when that is gone: no process of its process groups lives, and no code of a
    /// plugin runs. What it answers then means nothing.
    pub cancelled: CancellationToken,
    /// Where the process groups that run on behalf of the call are noted, so that the next Dormouse
    /// finds them should this one crash.
    pub journal: Arc<dyn ProcessJournal>,
}

impl CallContext {
    /// A context that nobody cancels, and whose process groups are noted nowhere.
    pub fn detached() -> CallContext {
        CallContext { cancelled: CancellationToken::new(), journal: Arc::new(NoJournal) }
    }
}

/// A process group that runs, or ran, on behalf of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessGroup {
    /// The number of its leader, and of the group.
    pub pid: u32,
    /// When the leader was started, in clock ticks since the machine was started: together with
    /// `pid` and `boot` it tells the process from all others.
    pub started: u64,
    /// The kernel's name for the time since the machine was started.
    pub boot: String,
}

/// Takes note of process groups. Returns at once: it doesn't wait for a disk.
pub trait ProcessJournal: Send + Sync {
    /// A value that no other call has, which the processes of this call get as the environment
    /// variable [`CALL_VARIABLE`].
    fn mark(&self) -> &str;
    /// A process group was started.
    fn started(&self, group: &ProcessGroup);
    /// No process of the group lives any more, or its leader has ended by itself.
    fn ended(&self, group: &ProcessGroup);
}

/// The environment variable with the [`ProcessJournal::mark`] of a call.
pub const CALL_VARIABLE: &str = "DORMOUSE_CALL";

/// Notes nothing.
struct NoJournal;

impl ProcessJournal for NoJournal {
    fn mark(&self) -> &str {
        ""
    }

    fn started(&self, _: &ProcessGroup) {}

    fn ended(&self, _: &ProcessGroup) {}
}

/// What an earlier Dormouse has left of a start or a stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// The mark of the call.
    pub mark: String,
    /// The process groups that were noted. If there are none, one may have been started in the very
    /// moment of the crash: it is found by its mark.
    pub groups: Vec<ProcessGroup>,
    /// The call was cancelled, and had not ended: whatever is left of it has to end, and not only the
    /// leaders of its process groups. They may be gone while others of their groups live.
    pub cancelled: bool,
}

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
    fn start(
        &self,
        cause: Cause,
        deadline: Duration,
        context: CallContext,
    ) -> Answer<'_, Result<(), Failure>>;
    /// Has the target stopped. `deadline` is the time that the call may take.
    fn stop(
        &self,
        cause: Cause,
        deadline: Duration,
        context: CallContext,
    ) -> Answer<'_, Result<(), Failure>>;
    /// Waits until nothing is left of a start or a stop that an earlier Dormouse has ordered; if it
    /// is cancelled, ends it first.
    fn await_leftover(&self, leftover: Leftover, context: CallContext) -> Answer<'_, ()>;
}

/// Says whether the target of one service is ready.
pub trait Judge: Send + Sync {
    /// Is it? `attempt` counts from 1 in each start.
    fn ready(&self, attempt: u32, context: CallContext) -> Answer<'_, Result<Readiness, Failure>>;
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
    fn should_sleep(
        &self,
        idle_for: Duration,
        context: CallContext,
    ) -> Answer<'_, Result<SleepVerdict, Failure>>;
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
