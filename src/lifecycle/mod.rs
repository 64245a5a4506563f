//! The lifecycle of one target: when it is started and stopped, and what becomes of the clients
//! that wait for it.
//!
//! Pure and total: no clock, no log, no async, nothing but `std`. [`Lifecycle::step`] takes what
//! happened and answers with what to do; every event is legal in every state. The driver in
//! `service` feeds it and carries out the effects.
//!
//! ```text
//!           Booted: it answers
//!  Booting ───────────────────────────────────────────┐
//!     │ Booted: it does not                           │
//!     ▼                                               ▼
//!   Asleep ──client──▶ Starting ──done──▶ Readying ─ready─▶ Awake ◀───────────────┐
//!     ▲  ▲                │                  │              │  ▲ │                │
//!     │  └── failed ──────┤                  │   cool-down: │  │ │ refused        │
//!     │                   └──── timed out ───┤   lock door, │  │ └─▶ Starting     │
//!     │                                      ▼   may sleep? │  │                  │
//!     │                                   Undoing ─occupied─┼──┘                  │
//!     │                                      │ locked       ▼                     │
//!     │◀──────────────── done ────────────── Stopping ◀─────┘                     │
//!     │                                      │ failed or timed out                │
//!     └──────── it does not answer ──────── Checking ──────── it answers ─────────┘
//! ```
//!
//! While the target is awake, clients don't pass through here: they go through the *door*, which
//! counts them (`service/door.rs`). The lifecycle opens it, shuts it, and locks it before a stop:
//! locking succeeds only if nobody is inside, in one atomic step, and that is why no stop can race
//! a new client. After [`Event::Exit`] the states
//! `Leaving`, `LastStop` and `Finished` end it all.

mod answers;
mod backoff;
mod budget;
mod clients;
mod deadlines;
mod policy;
#[cfg(test)]
mod tests;
mod transitions;
mod vocabulary;
mod waiting;

use std::time::Duration;

use backoff::Backoff;
use budget::Budget;
pub use budget::{Origin, OverBudget, WakeLimit, WakeLimits};
pub use policy::Policy;
pub use vocabulary::{
    Call, Cause, ClientId, Effect, Event, MaySleep, Moment, News, Outcome, Period, Phase, Question,
    Ready, Reason, Retry,
};
use waiting::{Stage, Waiting};

/// The lifecycle of one target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    state: State,
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
    /// Deciders are being loaded and the target is probed → Asleep, Awake.
    Booting,
    /// The target is off, as far as is known → Starting, and Awake if the probe finds it up.
    Asleep {
        /// A look whether it is off indeed, after a failed start.
        probe: Option<Asked>,
        /// It can't be started before somebody mends it.
        refuses: bool,
    },
    /// The start call runs → Readying, Asleep, Undoing.
    Starting { start: Asked, since: Moment },
    /// The start call is done and readiness is asked → Awake, Asleep, Undoing.
    Readying { since: Moment, until: Moment, attempt: u32, question: ReadyQuestion },
    /// A start has timed out, and the answer of the door is awaited → Stopping, Awake.
    Undoing,
    /// The target is up → Stopping, Starting, Asleep.
    Awake(Rest),
    /// The stop call runs → Asleep, Checking.
    Stopping { stop: Asked, since: Moment },
    /// A stop has failed, and a probe looks what the target does → Asleep, Awake.
    Checking { probe: Asked },
    /// Dormouse exits, and clients may finish → LastStop, Finished.
    Leaving {
        /// The target may be up.
        up: bool,
    },
    /// The stop call of the exit runs → Finished.
    LastStop { stop: Asked, since: Moment },
    /// Nothing happens any more.
    Finished,
}

/// A question whose answer is awaited, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked {
    call: Call,
    until: Moment,
}

/// Where the asking for readiness stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ReadyQuestion {
    /// Asked, at that time.
    Asked { call: Call, at: Moment },
    /// Asked again at that time.
    Pause(Moment),
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
    Judging { since: Moment, question: Asked },
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
    /// hold them up.
    pub fn step(mut self, policy: &Policy, now: Moment, event: Event) -> (Self, Vec<Effect>) {
        let mut turn = Turn { policy, now, effects: Vec::new() };
        self.expire(&mut turn);
        self.take(&mut turn, event);
        self.expire(&mut turn);
        (self, turn.effects)
    }

    /// When the next [`Event::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        self.own_deadline().into_iter().chain(self.waiting.deadline()).min()
    }

    /// What the service believes of its target.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Booting | State::Asleep { .. } | State::Finished => Phase::Asleep,
            State::Starting { .. } | State::Readying { .. } => Phase::Starting,
            State::Awake(_) | State::Leaving { up: true } => Phase::Awake,
            State::Leaving { up: false } => Phase::Asleep,
            State::Undoing
            | State::Stopping { .. }
            | State::Checking { .. }
            | State::LastStop { .. } => Phase::Stopping,
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

    fn ask(&mut self, turn: &mut Turn, question: Question) -> Call {
        let call = Call(self.next_call);
        self.next_call += 1;
        turn.act(Effect::Ask(call, question));
        call
    }

    fn ask_until(&mut self, turn: &mut Turn, question: Question, at_most: Duration) -> Asked {
        let call = self.ask(turn, question);
        Asked { call, until: turn.now.after(at_most) }
    }

    /// Takes back the questions whose answers are awaited.
    fn cancel_questions(&self, turn: &mut Turn) {
        let call = match self.state {
            State::Starting { start: asked, .. }
            | State::Stopping { stop: asked, .. }
            | State::LastStop { stop: asked, .. }
            | State::Checking { probe: asked }
            | State::Asleep { probe: Some(asked), .. }
            | State::Awake(Rest::Judging { question: asked, .. }) => asked.call,
            State::Readying { question: ReadyQuestion::Asked { call, .. }, .. } => call,
            State::Readying { question: ReadyQuestion::Pause(_), .. }
            | State::Asleep { probe: None, .. }
            | State::Awake(Rest::Occupied | Rest::CoolingDown { .. } | Rest::Locking { .. })
            | State::Booting
            | State::Undoing
            | State::Leaving { .. }
            | State::Finished => return,
        };
        turn.act(Effect::Cancel(call));
    }

    fn close_all(&mut self, turn: &mut Turn, clients: Vec<ClientId>, reason: Reason) -> usize {
        for client in &clients {
            turn.act(Effect::Close(*client, reason));
        }
        clients.len()
    }

    /// Goes to sleep, and starts again at once if somebody waits for that.
    fn fall_asleep(&mut self, turn: &mut Turn) {
        self.state = State::Asleep { probe: None, refuses: false };
        self.start_if_wanted(turn);
    }

    /// Starts the target if it is asleep, somebody wants it, and nothing stands against it.
    fn start_if_wanted(&mut self, turn: &mut Turn) {
        let State::Asleep { refuses: false, .. } = self.state else {
            return;
        };
        if self.start_backoff.until <= turn.now
            && let Some((client, origin)) = self.waker(turn)
        {
            self.cancel_questions(turn);
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
        let start = self.ask_until(turn, Question::Start(cause), turn.policy.start_timeout);
        self.state = State::Starting { start, since: turn.now };
    }

    /// Opens the door and lets in everybody who waits for the target. The cool-down begins if
    /// nobody does.
    fn awaken(&mut self, turn: &mut Turn, cooldown: Duration) -> usize {
        self.period = Period(self.period.0.wrapping_add(1));
        turn.act(Effect::OpenDoor(self.period));
        let mut clients = self.waiting.take(Stage::Held);
        clients.extend(self.waiting.take(Stage::New));
        clients.sort_unstable();
        for client in &clients {
            turn.act(Effect::Admit(*client, self.period));
        }
        self.wanted = None;
        self.state = State::Awake(if clients.is_empty() {
            Rest::CoolingDown { since: turn.now, until: turn.now.after(cooldown) }
        } else {
            Rest::Occupied
        });
        clients.len()
    }

    fn stop(&mut self, turn: &mut Turn, cause: Cause, idle_for: Duration) {
        let stop = self.ask_to_stop(turn, cause, idle_for);
        self.state = State::Stopping { stop, since: turn.now };
    }

    fn ask_to_stop(&mut self, turn: &mut Turn, cause: Cause, idle_for: Duration) -> Asked {
        turn.tell(News::Stopping { cause, idle_for });
        self.ask_until(turn, Question::Stop(cause), turn.policy.stop_timeout)
    }

    /// The start did not work: the clients that were held for it are closed, and the next one has
    /// to wait.
    fn fail_start(&mut self, turn: &mut Turn, retry: Retry, reason: Reason) -> (usize, Duration) {
        let held = self.waiting.take(Stage::Held);
        let closed = self.close_all(turn, held, reason);
        (closed, self.start_backoff.fail(turn.policy, turn.now, retry))
    }
}
