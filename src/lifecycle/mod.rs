//! The lifecycle of one target: when it is started and stopped, and what becomes of the clients
//! that wait for it.
//!
//! Pure and total: no clock, no log, no async, nothing but `std`. [`Lifecycle::step`] takes what
//! happened and answers with what to do; every event is legal in every state. The driver in
//! `service` feeds it and carries out the effects.
//!
//! ```text
//!  Booting ── nothing was under way ──▶ FirstLook ── up ──▶ Awake
//!     │ a start was        │ a stop was     └── down ──▶ Asleep
//!     ▼                    ▼
//!  Starting             Stopping
//!
//!               ┌──────────────── a look finds it up ───────────────┐
//!               │                                                   ▼
//!   Asleep ──client──▶ Starting ──done──▶ AwaitingReady ─ready─▶  Awake ◀──────────────┐
//!     ▲  ▲                │                  │              cool-  │  ▲ │              │
//!     │  └── failed ──────┤                  │              down:  │  │ │ refused      │
//!     │                   └──── timed out ───┤        lock door,   │  │ └─▶ Starting   │
//!     │                                      ▼        may sleep?   │  │                │
//!     │                                 RollingBack ──occupied─────┼──┘                │
//!     │                                      │ locked              ▼                   │
//!     │                                      └─────────────▶  Stopping                 │
//!     │                                              ended or     │                    │
//!     │                                              timed out    ▼                    │
//!     └──────────── it does not answer ─────────────────── VerifyingStop ── it answers ┘
//! ```
//!
//! While the target is awake, clients don't pass through here: they go through the *door*, which
//! counts them (`service/door.rs`). The lifecycle opens it, shuts it, and locks it before a stop:
//! locking succeeds only if nobody is inside, in one atomic step, and that is why no stop can race
//! a new client. After [`Event::Exit`] the states `Draining`, `FinalStop` and `Finished` end it all.
//!
//! What is under way is recorded ([`Effect::Record`]) before it is ordered, so that a Dormouse that
//! ends in the middle of it is followed by one that goes on with it (rule 10). A call that was
//! cancelled is waited for before anything follows it (rule 17, `calls.rs`).

mod answers;
mod backoff;
mod boot;
mod budget;
mod calls;
mod clients;
mod deadlines;
mod exit;
mod policy;
mod sleep;
mod stop;
#[cfg(test)]
mod tests;
mod transitions;
mod vocabulary;
mod waiting;

use std::time::Duration;

use backoff::Backoff;
use budget::Budget;
pub use budget::{Origin, OverBudget, WakeLimit, WakeLimits};
use calls::{PendingCall, Poll};
pub use policy::Policy;
pub use vocabulary::{
    Call, Cause, ClientId, Effect, Event, MaySleep, Moment, News, Outcome, Period, Phase, Question,
    Ready, Reason, Record, Retry, UnderWay,
};
use waiting::{Stage, Waiting};

/// The lifecycle of one target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    state: State,
    /// A call that was cancelled and has not ended.
    ending: Option<Call>,
    waiting: Waiting,
    /// Somebody passed the gate, did not stay, and has not had its start yet.
    wanted: Option<(ClientId, Origin)>,
    next_call: u64,
    period: Period,
    start_backoff: Backoff,
    stop_backoff: Backoff,
    budget: Budget,
}

/// What is going on, with what is needed to go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Deciders are being loaded → FirstLook, Starting, Stopping, Asleep.
    Booting,
    /// The target is looked at for the first time → Asleep, Awake.
    FirstLook(PendingCall),
    /// The target is off, as far as is known → Starting, and Awake if a look finds it up.
    Asleep {
        /// A look whether it is off indeed.
        look: Poll,
        /// The pause before the next look but one.
        pause: Duration,
        /// Whether a look, or a stop, has said so since the last start.
        certain: bool,
        /// It can't be started before somebody mends it.
        refuses: bool,
    },
    /// The start call runs → AwaitingReady, Asleep, RollingBack.
    Starting {
        start: PendingCall,
        /// It was cancelled by an earlier Dormouse.
        undo: bool,
    },
    /// The start call is done and readiness is asked → Awake, Asleep, RollingBack.
    AwaitingReady { since: Moment, until: Moment, attempt: u32, question: Poll },
    /// A start has timed out. Its calls end, then the door is locked → Stopping, Awake.
    RollingBack { locking: bool },
    /// The target is up → Stopping, Starting, Asleep.
    Awake { since: Moment, rest: Rest },
    /// The stop call runs → VerifyingStop, Asleep.
    Stopping { stop: PendingCall, idle_since: Moment },
    /// The stop call has ended, and the target is looked at → Asleep, Awake.
    VerifyingStop {
        /// When the stop was ordered.
        ordered: Moment,
        /// When it ended.
        since: Moment,
        /// Until when it may answer.
        until: Moment,
        idle_since: Moment,
        look: Poll,
        /// The stop call has said that it is done.
        done: bool,
        closing: Closing,
    },
    /// Dormouse exits, and clients and a running stop may finish → FinalStop, Finished.
    Draining {
        /// The target may be up.
        up: bool,
        /// All clients have left.
        drained: bool,
        stop: Option<PendingCall>,
    },
    /// The stop call of the exit runs → Finished.
    FinalStop { stop: PendingCall },
    /// Nothing happens any more.
    Finished,
}

/// How a target goes down after its stop has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Closing {
    /// It has not been seen up.
    Unseen,
    /// It still answered.
    Answers,
    /// It answered, and does not any more. A server closes its port first, and ends some time later.
    Settles,
}

/// Where an awake target stands between its clients and its sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rest {
    /// Clients are inside.
    Occupied,
    /// The last one has left; the cool-down runs.
    CoolingDown { since: Moment, until: Moment },
    /// The cool-down is over, and the answer of the door is awaited.
    Locking { since: Moment },
    /// The door is locked, and the plugin is asked whether the target may be stopped.
    Judging { since: Moment, question: PendingCall },
}

/// What one step has at hand.
struct Turn<'a> {
    policy: &'a Policy,
    now: Moment,
    effects: Vec<Effect>,
}

impl Turn<'_> {
    fn act(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn tell(&mut self, news: News) {
        self.effects.push(Effect::Tell(news));
    }
}

impl Lifecycle {
    /// A lifecycle at its beginning. `seed` feeds the jitter of back-offs; 0 turns jitter off.
    pub fn new(seed: u64) -> Self {
        Lifecycle {
            state: State::Booting,
            ending: None,
            waiting: Waiting::default(),
            wanted: None,
            next_call: 0,
            period: Period(0),
            start_backoff: Backoff::new(seed),
            stop_backoff: Backoff::new(seed.rotate_left(32)),
            budget: Budget::default(),
        }
    }

    /// Takes in an event and says what to do.
    ///
    /// Deadlines that have passed by `now` come first, whatever the event is: a busy inbox can't
    /// hold them up. Only the answer to the call that runs is taken before its deadline is: a start
    /// that was done while the machine was suspended is done.
    pub fn step(mut self, policy: &Policy, now: Moment, event: Event) -> (Self, Vec<Effect>) {
        let mut turn = Turn { policy, now, effects: Vec::new() };
        if !self.is_answered_by(&event) {
            self.expire(&mut turn);
        }
        self.take(&mut turn, event);
        self.expire(&mut turn);
        self.proceed(&mut turn);
        (self, turn.effects)
    }

    /// When the next [`Event::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        self.own_deadline().into_iter().chain(self.waiting.deadline()).min()
    }

    /// What the service believes of its target.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Booting | State::FirstLook(_) | State::Asleep { .. } | State::Finished => {
                Phase::Asleep
            }
            State::Starting { .. } | State::AwaitingReady { .. } => Phase::Starting,
            State::Awake { .. } | State::Draining { up: true, stop: None, .. } => Phase::Awake,
            State::Draining { up: false, stop: None, .. } => Phase::Asleep,
            State::RollingBack { .. }
            | State::Stopping { .. }
            | State::VerifyingStop { .. }
            | State::Draining { stop: Some(_), .. }
            | State::FinalStop { .. } => Phase::Stopping,
        }
    }

    /// How many clients wait, those at the gate included.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The client that passed the gate, did not stay, and has not had its start yet.
    pub fn wanted(&self) -> Option<ClientId> {
        self.wanted.map(|(client, _)| client)
    }

    // What several transitions share.

    fn close_all(&mut self, turn: &mut Turn, clients: Vec<ClientId>, reason: Reason) -> usize {
        for client in &clients {
            turn.act(Effect::Close(*client, reason));
        }
        clients.len()
    }

    /// Starts the target if it is asleep, somebody wants it, and nothing stands against it.
    fn start_if_wanted(&mut self, turn: &mut Turn) {
        let State::Asleep { refuses: false, .. } = self.state else {
            return;
        };
        if self.start_backoff.until <= turn.now
            && let Some((client, origin)) = self.waker(turn)
        {
            self.cancel(turn);
            self.start(turn, client, origin);
        }
    }

    /// The client that the next start is for: of those who want it, the first whose wake is within
    /// the budget. If there is none, they are all refused.
    fn waker(&mut self, turn: &mut Turn) -> Option<(ClientId, Origin)> {
        let judge = |origin| self.budget.judge(&turn.policy.wakes, turn.now, origin);
        let wanting = || self.waiting.all_held().chain(self.wanted);
        if let Some(waker) = wanting().find(|(_, origin)| judge(*origin).is_ok()) {
            return Some(waker);
        }
        let over: Vec<_> =
            wanting().filter_map(|(client, origin)| Some((client, judge(origin).err()?))).collect();
        for (client, budget) in over {
            turn.tell(News::OverBudget { client, budget });
            if self.waiting.remove(client).is_some() {
                turn.act(Effect::Close(client, Reason::OverBudget));
            }
        }
        self.wanted = None;
        None
    }

    fn start(&mut self, turn: &mut Turn, client: ClientId, origin: Origin) {
        self.wanted = None;
        self.budget.charge(&turn.policy.wakes, turn.now, origin);
        let cause = Cause::Client(client);
        turn.tell(News::Starting(cause));
        turn.act(Effect::Record(Record::Starting(cause)));
        let start = PendingCall::Due(Question::Start(cause), turn.policy.start_timeout);
        self.state = State::Starting { start, undo: false };
    }

    /// Opens the door and lets in everybody who waits for the target. The cool-down begins if
    /// nobody does; the target counts as idle since `idle_since` then.
    fn awaken(&mut self, turn: &mut Turn, cooldown: Duration, idle_since: Moment) -> usize {
        turn.act(Effect::Record(Record::Up));
        self.period = Period(self.period.0.wrapping_add(1));
        turn.act(Effect::OpenDoor(self.period));
        let mut clients = self.waiting.take(Stage::Held);
        clients.extend(self.waiting.take(Stage::New));
        clients.sort_unstable();
        for client in &clients {
            turn.act(Effect::Admit(*client, self.period));
        }
        self.wanted = None;
        let rest = if clients.is_empty() {
            Rest::CoolingDown { since: idle_since, until: turn.now.after(cooldown) }
        } else {
            Rest::Occupied
        };
        self.state = State::Awake { since: turn.now, rest };
        clients.len()
    }

    /// The same with the cool-down of the policy.
    fn awaken_for_clients(&mut self, turn: &mut Turn) {
        let cooldown = turn.policy.cooldown;
        if self.awaken(turn, cooldown, turn.now) == 0 {
            turn.tell(News::CoolingDown(cooldown));
        }
    }

    /// The start did not work: the clients that were held for it are closed, and the next one has
    /// to wait.
    fn fail_start(&mut self, turn: &mut Turn, retry: Retry, reason: Reason) -> (usize, Duration) {
        let held = self.waiting.take(Stage::Held);
        let closed = self.close_all(turn, held, reason);
        (closed, self.start_backoff.fail(turn.policy, turn.now, retry))
    }
}
