//! The words of the lifecycle: what it is told, and what it answers with.

use std::fmt;
use std::time::Duration;

use super::budget::{Origin, OverBudget};

/// A point in time, as the time since the service began. Passed in, never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub Duration);

impl Moment {
    /// When the service began.
    pub const ZERO: Moment = Moment(Duration::ZERO);

    /// The moment this much later; the end of time if there is no such moment.
    pub fn after(self, delay: Duration) -> Moment {
        Moment(self.0.saturating_add(delay))
    }

    /// How long it is since `earlier`; nothing if that is later.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Names a client. Numbers grow in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// Numbers a question, so that its answer can be told from that to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call(pub u64);

/// Numbers the times that the target has been awake, so that what a client learnt in an earlier
/// one is not held against a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub u32);

/// What the service believes of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Off, or not known yet.
    Asleep,
    /// Told to start, and not ready yet.
    Starting,
    /// Up.
    Awake,
    /// Told to stop.
    Stopping,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Time has passed; a deadline may have, too.
    Tick,
    /// The deciders are there, and it is known what an earlier Dormouse had under way.
    Booted(UnderWay),
    /// There is nobody to decide for this service: its plugins can't be loaded.
    Unusable,
    /// A client from there found the door shut.
    Arrived(ClientId, Origin),
    /// A client passed the gate.
    Passed {
        /// Which one.
        client: ClientId,
        /// Whether it wants to be held; otherwise it has been closed.
        stays: bool,
    },
    /// A waiting client hung up, was refused at the gate, or was closed there.
    Left(ClientId),
    /// A client could not connect to the target, which was believed awake, and waits again.
    Refused {
        /// Which one.
        client: ClientId,
        /// Where it comes from.
        origin: Origin,
        /// The period in which it was let in.
        period: Period,
        /// How long it had been held before.
        waited: Duration,
    },
    /// Something that all services share is used up: one of the clients that wait has to go, if any
    /// does.
    MakeRoom,
    /// Nobody is inside any more.
    Vacant {
        /// When the last client left.
        since: Moment,
    },
    /// The answer to [`Effect::LockDoor`]: nobody was inside, and nobody comes in.
    DoorLocked,
    /// The answer to [`Effect::LockDoor`]: somebody is inside.
    DoorOccupied,
    /// The start call ended.
    StartEnded(Call, Outcome),
    /// The readiness call ended.
    ReadyEnded(Call, Ready),
    /// The stop call ended.
    StopEnded(Call, Outcome),
    /// The look at the target ended.
    LookEnded {
        /// Which one.
        call: Call,
        /// Whether the target is up.
        up: bool,
    },
    /// The idleness call ended.
    MaySleepEnded(Call, MaySleep),
    /// What an earlier Dormouse has left of a start or a stop is gone.
    LeftoverEnded(Call),
    /// A call that was cancelled has ended, with everything that ran on its behalf.
    Ended(Call),
    /// Dormouse exits: nobody comes any more, and nobody waits any longer.
    Exit,
    /// All clients have left, or have been cut off, since [`Event::Exit`].
    Drained,
}

impl Event {
    /// The call that has ended with this event.
    pub(super) fn answered(&self) -> Option<Call> {
        match self {
            Event::StartEnded(call, _)
            | Event::ReadyEnded(call, _)
            | Event::StopEnded(call, _)
            | Event::LookEnded { call, .. }
            | Event::MaySleepEnded(call, _)
            | Event::LeftoverEnded(call)
            | Event::Ended(call) => Some(*call),
            Event::Tick
            | Event::Booted(_)
            | Event::Unusable
            | Event::Arrived(..)
            | Event::Passed { .. }
            | Event::Left(_)
            | Event::Refused { .. }
            | Event::MakeRoom
            | Event::Vacant { .. }
            | Event::DoorLocked
            | Event::DoorOccupied
            | Event::Exit
            | Event::Drained => None,
        }
    }
}

/// What an earlier Dormouse had under way when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnderWay {
    /// Nothing: the target was asleep, or awake.
    Nothing,
    /// A start.
    Start,
    /// A start that was cancelled: nothing more is to be expected of it.
    CancelledStart,
    /// A stop.
    Stop,
}

/// What is written down, so that the next Dormouse knows what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// The target is asleep, as far as is known.
    Asleep,
    /// A start is ordered.
    Starting(Cause),
    /// The target is up.
    Up,
    /// A stop is ordered.
    Stopping(Cause),
}

/// How a start or a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It failed, and this is to be expected of another try.
    Failed(Retry),
}

/// What is to be expected of another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It may help, after the usual back-off.
    BackOff,
    /// It may help after this time.
    After(Duration),
    /// It will not help.
    Never,
}

/// An answer to the question whether the target is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ready {
    /// It is.
    Yes,
    /// Not yet.
    NotYet,
    /// It never will be.
    Never,
}

/// An answer to the question whether an idle target may be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MaySleep {
    /// It may.
    Yes,
    /// Ask again after this time.
    NotFor(Duration),
}

/// Who asked for a start or a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A client wants the target.
    Client(ClientId),
    /// The cool-down is over.
    Cooldown,
    /// Dormouse exits.
    Exit,
    /// A start timed out and is undone.
    FailedStart,
}

impl Cause {
    /// The word for it, as plugins know it.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Client(_) => "client",
            Cause::Cooldown => "cooldown",
            Cause::Exit => "exit",
            Cause::FailedStart => "failed-start",
        }
    }
}

/// Something to do. Effects are carried out in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Ask somebody; the answer comes as an event with the same number.
    Ask(Call, Question),
    /// Cancel a question: its answer is not wanted any more. [`Event::Ended`] comes when nothing of
    /// it is left.
    Cancel(Call),
    /// Write this down before anything that is ordered from here on begins.
    Record(Record),
    /// Let the gate judge this client.
    Judge(ClientId),
    /// Let this waiting client in, past the door, and connect it to the target.
    Admit(ClientId, Period),
    /// Close this waiting client.
    Close(ClientId, Reason),
    /// Clients may come in without asking.
    OpenDoor(Period),
    /// Nobody comes in without asking; who is inside stays.
    ShutDoor,
    /// Shut the door if nobody is inside, and say at once which it was, before anything else
    /// happens: [`Event::DoorLocked`] or [`Event::DoorOccupied`].
    LockDoor,
    /// Tell people.
    Tell(News),
    /// The lifecycle is over, after [`Event::Exit`].
    Finish,
}

/// A question to somebody outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Start the target.
    Start(Cause),
    /// Is the target ready? The attempt counts from 1.
    Ready(u32),
    /// Stop the target.
    Stop(Cause),
    /// Is the target up?
    Look,
    /// The same for the first time: an earlier Dormouse may have found it elsewhere.
    FirstLook,
    /// Wait until nothing is left of the start or the stop that was under way at the beginning.
    AwaitLeftover,
    /// May the target be stopped, so long after its last client has left?
    MaySleep(Duration),
}

/// Why a waiting client is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// As many clients wait as may.
    Full,
    /// As many clients wait as may, and one from an origin with fewer has come.
    Displaced,
    /// All descriptors are in use, and another service has fewer clients.
    MadeRoom,
    /// The target can't be started until somebody mends it.
    Unusable,
    /// The start failed.
    StartFailed,
    /// The start took too long.
    StartTimedOut,
    /// It has waited as long as a client may.
    WaitedTooLong,
    /// It would wake the target, and that would be once too often.
    OverBudget,
    /// Dormouse exits.
    Exit,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Full => "as many clients wait as may be held",
            Reason::Displaced => {
                "as many clients wait as may be held, most of them from its address, and one from \
                 another address has come"
            }
            Reason::MadeRoom => {
                "all descriptors are in use, and clients of other services have to be accepted"
            }
            Reason::Unusable => "the target can't be started until its failure is mended",
            Reason::StartFailed => "the start failed",
            Reason::StartTimedOut => "the start took longer than `start_timeout`",
            Reason::WaitedTooLong => "it waited longer than `hold_timeout`",
            Reason::OverBudget => "it would wake the target more often than `wakes` allows",
            Reason::Exit => "Dormouse exits",
        })
    }
}

/// The story of a service, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum News {
    /// The target was up when Dormouse began.
    FoundAwake,
    /// The target was down when Dormouse began.
    FoundAsleep,
    /// Nobody can decide for this service.
    Unusable,
    /// A start begins.
    Starting(Cause),
    /// The start call is done after this time; readiness is asked.
    Started(Duration),
    /// The target is ready.
    Ready {
        /// So long after the start began.
        took: Duration,
        /// So many clients were held for it.
        held: usize,
    },
    /// A start failed.
    StartFailed {
        /// So many held clients were closed.
        closed: usize,
        /// When the next start may be; `None` if not before somebody mends it.
        next: Option<Duration>,
    },
    /// A start took too long.
    StartTimedOut {
        /// Whether the start call itself had not returned; otherwise readiness was not reached.
        in_call: bool,
        /// So many held clients were closed.
        closed: usize,
        /// When the next start may be.
        next: Duration,
    },
    /// The target was believed to sleep, and is up.
    FoundUp,
    /// An earlier Dormouse has ended in the middle of a start.
    GoingOnWithStart,
    /// An earlier Dormouse has ended while it cancelled a start.
    UndoingStart,
    /// An earlier Dormouse has ended in the middle of a stop.
    GoingOnWithStop,
    /// The target, believed awake, refused a client.
    TargetGone,
    /// The target was said to be ready and refused a client that was held for it.
    NotReadyAfterAll {
        /// When the next start may be.
        next: Duration,
    },
    /// The target refused a client so soon after it was ready that its start was no success.
    DidNotLast {
        /// So long after it was ready.
        up_for: Duration,
        /// When the next start may be.
        next: Duration,
    },
    /// A client that wants the target is refused: its wake would be one too many.
    OverBudget {
        /// Which one.
        client: ClientId,
        /// Which limit, and until when.
        budget: OverBudget,
    },
    /// Clients have to wait until a back-off ends, in so long.
    BackingOff(Duration),
    /// The last client has left; this is the cool-down.
    CoolingDown(Duration),
    /// Nobody answered in time whether the target may be stopped.
    NoAnswerAboutSleep,
    /// The target may not be stopped yet; ask again after this time.
    StaysAwake(Duration),
    /// A stop begins.
    Stopping {
        /// Why.
        cause: Cause,
        /// So long after the last client left.
        idle_for: Duration,
    },
    /// The stop is done, and the target still answers, this time after that: it is looked at again.
    StillAnswers(Duration),
    /// The target has been stopped after this time.
    Stopped(Duration),
    /// A stop failed.
    StopFailed,
    /// A stop took too long.
    StopTimedOut,
    /// After a stop the target still answers.
    StillUp {
        /// When the stop is tried again.
        next: Duration,
        /// The stop call has said that it was done.
        done: bool,
    },
    /// After a failed stop the target does not answer any more.
    DownDespiteFailedStop,
    /// A stop runs at the exit, and may finish.
    StopGoesOn,
    /// So many clients still waited at the exit.
    ClosedAtExit(usize),
}
