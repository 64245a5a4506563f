//! An exhaustive walk over everything that two clients, a target and its deciders can do to a
//! lifecycle: every answer early, late, twice, never and wrong, every hang-up, every second of
//! delay, in every order. It checks what must never happen, whatever the story.
//!
//! The world is brought back to a normal form after each move (time, calls, clients and periods
//! are renumbered), so that the walk ends when it has seen everything.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::super::backoff::Backoff;
use super::super::waiting::{Stage, Waiter};
use super::super::{Asked, ReadyQuestion, Rest, State};
use crate::lifecycle::{
    Call, Cause, ClientId, Effect, Event, Lifecycle, MaySleep, Moment, Origin, Outcome, Period,
    Policy, Question, Ready, Reason, Retry, WakeLimits,
};

/// The normal form's present.
const NOW: u64 = 100;
/// Moments this far back are all alike.
const LONG_AGO: u64 = 1;
/// The normal form's period.
const PERIOD: Period = Period(2);
/// Lateness of the driver that is tried, in seconds.
const LATE: u64 = 1;
/// In a world that means well, everything is at rest after so many seconds.
const AT_REST: u64 = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Out,
    /// It has told the lifecycle that it came, or that it was refused, and waits.
    Waiting(ClientId),
    /// It waits, and the gate judges it.
    AtGate(ClientId),
    /// It is inside, let in in this period, perhaps after it had been held.
    Inside(ClientId, Period, Duration),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    lifecycle: Lifecycle,
    now: Moment,
    clients: [Place; 2],
    door: Option<Period>,
    /// The last client has left, and the lifecycle has not been told.
    vacated: bool,
    /// Questions that are neither answered nor taken back.
    questions: BTreeMap<Call, Question>,
    /// Whether the target runs.
    up: bool,
    /// The lifecycle was given a wrong answer about that, or none.
    misled: bool,
    drained: bool,
    next_client: u64,
    /// A client that goes just now, while the lifecycle may still have something for it.
    going: Option<ClientId>,
    /// A question that is answered just now, while the lifecycle may have given it up.
    answering: Option<(Call, Question)>,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Arrive(usize),
    Leave(usize),
    PassGate(usize, bool),
    Refuse(usize),
    TellVacant,
    Answer(Call, Question, usize),
    Stale,
    Boot(bool),
    Unusable,
    Exit,
    Drained,
    SecondPasses,
    SecondPassesUnnoticed,
}

fn policy() -> Policy {
    let second = Duration::from_secs;
    Policy {
        cooldown: second(2),
        start_timeout: second(2),
        stop_timeout: second(2),
        hold_timeout: second(3),
        answer_timeout: second(1),
        max_held: 2,
        ..super::policy()
    }
}

/// Each of the two comes from an address of its own.
fn origin(index: usize) -> Origin {
    Origin::V4([192, 0, 2, index as u8])
}

impl World {
    fn new() -> Self {
        World {
            lifecycle: Lifecycle::new(0),
            now: super::seconds(NOW),
            clients: [Place::Out; 2],
            door: None,
            vacated: false,
            questions: BTreeMap::new(),
            up: false,
            misled: false,
            drained: false,
            next_client: 10,
            going: None,
            answering: None,
        }
    }

    fn inside(&self) -> usize {
        self.clients.iter().filter(|place| matches!(place, Place::Inside(..))).count()
    }

    /// Where a waiting client goes on the word of the lifecycle; nowhere if it goes just now.
    fn send(&mut self, client: ClientId, to: Place) {
        let place = self.clients.iter_mut().find(|place| match place {
            Place::Out | Place::Inside(..) => false,
            Place::Waiting(id) | Place::AtGate(id) => *id == client,
        });
        match place {
            Some(place) => *place = to,
            None => {
                assert_eq!(self.going, Some(client), "told something, and does not wait");
                if let Place::Inside(..) = to {
                    self.vacated |= self.inside() == 0;
                }
            }
        }
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = vec![Move::SecondPasses, Move::Stale, Move::Exit];
        let overdue = |deadline: Moment| self.now.since(deadline) >= Duration::from_secs(LATE);
        if !self.lifecycle.deadline().is_some_and(overdue) {
            moves.push(Move::SecondPassesUnnoticed);
        }
        for (index, place) in self.clients.iter().enumerate() {
            match place {
                Place::Out => moves.push(Move::Arrive(index)),
                Place::Waiting(_) => moves.push(Move::Leave(index)),
                Place::AtGate(_) => {
                    let pass = |stays| Move::PassGate(index, stays);
                    moves.extend([Move::Leave(index), pass(true), pass(false)]);
                }
                Place::Inside(..) => moves.extend([Move::Leave(index), Move::Refuse(index)]),
            }
        }
        if self.vacated && self.inside() == 0 {
            moves.push(Move::TellVacant);
        }
        for (call, question) in &self.questions {
            moves.extend((0..answers(*question)).map(|n| Move::Answer(*call, *question, n)));
        }
        match self.lifecycle.state {
            State::Booting => moves.extend([Move::Boot(true), Move::Boot(false), Move::Unusable]),
            State::Leaving { .. } if !self.drained => moves.push(Move::Drained),
            _ => {}
        }
        moves
    }

    fn go(&mut self, policy: &Policy, way: Move) {
        match way {
            Move::Arrive(index) => {
                let client = ClientId(self.next_client);
                self.next_client += 1;
                if let Some(period) = self.door {
                    self.clients[index] = Place::Inside(client, period, Duration::ZERO);
                } else {
                    self.clients[index] = Place::Waiting(client);
                    self.feed(policy, Event::Arrived(client, origin(index)));
                }
            }
            Move::Leave(index) => match self.clients[index] {
                Place::Out => {}
                Place::Waiting(client) | Place::AtGate(client) => {
                    self.clients[index] = Place::Out;
                    self.going = Some(client);
                    self.feed(policy, Event::Left(client));
                }
                Place::Inside(..) => {
                    self.clients[index] = Place::Out;
                    self.vacated |= self.inside() == 0;
                }
            },
            Move::PassGate(index, stays) => {
                if let Place::AtGate(client) = self.clients[index] {
                    self.clients[index] = if stays { Place::Waiting(client) } else { Place::Out };
                    self.going = (!stays).then_some(client);
                    self.feed(policy, Event::Passed { client, stays });
                }
            }
            Move::Refuse(index) => {
                if let Place::Inside(client, period, waited) = self.clients[index] {
                    self.clients[index] = Place::Waiting(client);
                    self.vacated |= self.inside() == 0;
                    let origin = origin(index);
                    self.feed(policy, Event::Refused { client, origin, period, waited });
                }
            }
            Move::TellVacant => {
                self.vacated = false;
                self.feed(policy, Event::Vacant { since: self.now });
            }
            Move::Answer(call, question, n) => {
                self.questions.remove(&call);
                self.answering = Some((call, question));
                let event = self.answer(call, question, n);
                self.feed(policy, event);
            }
            Move::Stale => self.check_stale_answers(policy),
            Move::Boot(listening) => {
                self.up = listening;
                self.feed(policy, Event::Booted { listening });
            }
            Move::Unusable => self.feed(policy, Event::Unusable),
            Move::Exit => {
                // What is known at that moment is all that there is to go by.
                self.misled |= matches!(self.lifecycle.state, State::Booting);
                self.feed(policy, Event::Exit);
            }
            Move::Drained => {
                for place in &mut self.clients {
                    *place = Place::Out;
                }
                self.drained = true;
                self.feed(policy, Event::Drained);
            }
            Move::SecondPasses => {
                self.now = self.now.after(Duration::from_secs(1));
                self.feed(policy, Event::Tick);
            }
            Move::SecondPassesUnnoticed => self.now = self.now.after(Duration::from_secs(1)),
        }
    }

    /// The `n`th way to answer, and what it means for the target.
    fn answer(&mut self, call: Call, question: Question, n: usize) -> Event {
        let outcome = |n| match n {
            0 => Outcome::Done,
            1 | 2 => Outcome::Failed(Retry::BackOff),
            3 => Outcome::Failed(Retry::After(Duration::from_secs(1))),
            _ => Outcome::Failed(Retry::Never),
        };
        match question {
            Question::Start(_) => {
                self.up = n != 1;
                Event::StartEnded(call, outcome(n))
            }
            Question::Stop(cause) => {
                self.up = n > 1;
                // The last stop can fail, too, and nobody is left to try again.
                self.misled |= self.up && cause == Cause::Exit;
                Event::StopEnded(call, outcome(n))
            }
            Question::Ready(_) => {
                let answer = [Ready::Yes, Ready::NotYet, Ready::Never][n];
                Event::ReadyEnded(call, answer)
            }
            Question::Probe => {
                let listening = if n == 0 { self.up } else { !self.up };
                self.misled |= n != 0;
                Event::ProbeEnded { call, listening }
            }
            Question::MaySleep(_) => {
                let not_yet = MaySleep::NotFor(Duration::from_secs(1));
                Event::MaySleepEnded(call, [MaySleep::Yes, not_yet][n])
            }
        }
    }

    fn feed(&mut self, policy: &Policy, event: Event) {
        let lifecycle = self.lifecycle.clone();
        let (lifecycle, effects) = lifecycle.step(policy, self.now, event);
        self.lifecycle = lifecycle;
        self.check_refusals(&effects);
        for effect in effects {
            self.carry_out(policy, effect);
        }
        self.going = None;
        self.answering = None;
        self.check(policy);
    }

    fn carry_out(&mut self, policy: &Policy, effect: Effect) {
        match effect {
            Effect::Ask(call, question) => {
                self.check_question(policy, question);
                assert!(self.questions.insert(call, question).is_none(), "{call:?} asked twice");
            }
            Effect::Cancel(call) => {
                let late = self.answering.take_if(|(answered, _)| *answered == call);
                let question = self.questions.remove(&call).or(late.map(|(_, question)| question));
                match question.unwrap_or_else(|| panic!("{call:?} is not open")) {
                    // Half done: the worst case.
                    Question::Start(_) => self.up = true,
                    Question::Probe | Question::Stop(Cause::Exit) => self.misled = true,
                    Question::Stop(_) | Question::Ready(_) | Question::MaySleep(_) => {}
                }
            }
            Effect::Judge(client) => {
                assert!(policy.gated);
                assert!(self.clients.contains(&Place::Waiting(client)), "judged twice");
                self.send(client, Place::AtGate(client));
            }
            Effect::Admit(client, period) => {
                assert_eq!(self.door, Some(period), "let in, and the door is shut");
                self.send(client, Place::Inside(client, period, Duration::from_secs(1)));
            }
            Effect::Close(client, reason) => {
                self.send(client, Place::Out);
                let left = matches!(
                    self.lifecycle.state,
                    State::Leaving { .. } | State::LastStop { .. } | State::Finished
                );
                assert!(reason != Reason::Exit || left, "closed for an exit that is none");
            }
            Effect::OpenDoor(period) => self.door = Some(period),
            Effect::ShutDoor => self.door = None,
            Effect::LockDoor => {
                let event = if self.inside() == 0 {
                    self.door = None;
                    self.vacated = false;
                    Event::DoorLocked
                } else {
                    Event::DoorOccupied
                };
                let (lifecycle, effects) = self.lifecycle.clone().step(policy, self.now, event);
                self.lifecycle = lifecycle;
                for effect in effects {
                    self.carry_out(policy, effect);
                }
            }
            Effect::Tell(_) => {}
            Effect::Finish => assert!(self.questions.is_empty(), "something still runs"),
        }
    }

    /// Rules 1 and 5.
    fn check_question(&self, policy: &Policy, question: Question) {
        let busy = |asked: &Question| matches!(asked, Question::Start(_) | Question::Stop(_));
        match question {
            Question::Start(cause) => {
                assert!(matches!(cause, Cause::Client(_)));
                assert!(!self.questions.values().any(busy), "two at a time: {self:?}");
                let until = self.lifecycle.start_backoff.until;
                assert!(until <= self.now, "a start in the back-off");
                self.check_budget(policy);
            }
            Question::Stop(_) => {
                assert!(!self.questions.values().any(busy), "two at a time: {self:?}");
                assert_eq!(self.inside(), 0, "stopped under a connected client");
                assert_eq!(self.door, None, "stopped with an open door");
            }
            Question::Ready(_) | Question::Probe | Question::MaySleep(_) => {}
        }
    }

    /// Nobody is refused for the budget who would only have joined.
    fn check_refusals(&self, effects: &[Effect]) {
        let under_way = matches!(
            self.lifecycle.state,
            State::Starting { .. } | State::Readying { .. } | State::Awake(_)
        );
        let is_refusal = |effect: &Effect| matches!(effect, Effect::Close(_, Reason::OverBudget));
        let is_start = |effect: &Effect| matches!(effect, Effect::Ask(_, Question::Start(_)));
        if let Some(refusal) = effects.iter().rposition(is_refusal) {
            let started_later = effects.iter().position(is_start).is_some_and(|at| at > refusal);
            assert!(!under_way || started_later, "refused, and it would have caused no start");
        }
    }

    /// The start that is asked for is among the wakes already.
    fn check_budget(&self, policy: &Policy) {
        let WakeLimits { all, each, window } = policy.wakes;
        let wakes = &self.lifecycle.budget.wakes;
        let recent = || wakes.iter().filter(|(at, _)| self.now.since(*at) < window);
        let most = |limit: Option<usize>| limit.unwrap_or(usize::MAX);
        assert!(recent().count() <= most(all), "more wakes than there may be");
        for index in 0..2 {
            let own = recent().filter(|(_, from)| *from == origin(index)).count();
            assert!(own <= most(each), "more wakes of one client than there may be");
        }
    }

    fn check(&self, policy: &Policy) {
        let stopping = |asked: &Question| matches!(asked, Question::Stop(_));
        if self.questions.values().any(stopping) {
            assert_eq!(self.inside(), 0, "a client came in during a stop");
        }
        let awake =
            matches!(self.lifecycle.state, State::Awake(Rest::Occupied | Rest::CoolingDown { .. }));
        assert_eq!(self.door.is_some(), awake, "door and state disagree");
        assert!(self.lifecycle.waiting() <= policy.max_held, "too many are held");
        let waiting = self.clients.iter().filter(|place| match place {
            Place::Waiting(_) | Place::AtGate(_) => true,
            Place::Out | Place::Inside(..) => false,
        });
        assert_eq!(waiting.count(), self.lifecycle.waiting(), "a client was lost");
        if let Some(deadline) = self.lifecycle.deadline() {
            assert!(deadline > self.now, "a deadline that has passed: a hot loop");
        }
        for waiter in self.lifecycle.waiting.clients.values() {
            assert!(waiter.deadline <= self.now.after(policy.hold_timeout), "held for too long");
        }
        let open: usize = self.questions.len();
        assert!(open <= 1, "{open} questions at a time");
        if let State::Asleep { refuses: true, .. } = self.lifecycle.state {
            let held = self.lifecycle.waiting.first_held();
            assert_eq!(held, None, "held for a target that nobody can start");
        }
        if awake {
            let held = |waiter: &&Waiter| waiter.stage != Stage::AtGate;
            let forgotten = self.lifecycle.waiting.clients.values().filter(held).count();
            assert_eq!(forgotten, 0, "a client waits though the target is awake");
        }
    }

    /// An answer that nobody waits for changes nothing.
    fn check_stale_answers(&self, policy: &Policy) {
        let (expected, effects) = self.lifecycle.clone().step(policy, self.now, Event::Tick);
        let stale = Call(u64::MAX);
        for event in [
            Event::StartEnded(stale, Outcome::Done),
            Event::StartEnded(stale, Outcome::Failed(Retry::Never)),
            Event::ReadyEnded(stale, Ready::Yes),
            Event::ReadyEnded(stale, Ready::Never),
            Event::StopEnded(stale, Outcome::Done),
            Event::StopEnded(stale, Outcome::Failed(Retry::BackOff)),
            Event::ProbeEnded { call: stale, listening: true },
            Event::ProbeEnded { call: stale, listening: false },
            Event::MaySleepEnded(stale, MaySleep::Yes),
            Event::Left(ClientId(u64::MAX)),
            Event::Passed { client: ClientId(u64::MAX), stays: true },
            Event::Passed { client: ClientId(u64::MAX), stays: false },
        ] {
            let (lifecycle, acts) = self.lifecycle.clone().step(policy, self.now, event);
            assert_eq!(lifecycle, expected, "{event:?} changed something");
            assert_eq!(acts, effects, "{event:?} did something");
        }
    }

    /// In a world that means well from here on, everybody is served or closed, and in the end the
    /// target is down, unless we were misled about it.
    fn check_it_comes_to_rest(mut self, policy: &Policy) {
        for _ in 0..AT_REST {
            let mut asked = 0;
            while let Some((call, question)) = self.questions.first_key_value() {
                asked += 1;
                assert!(asked < 20, "it asks without end, and no time passes");
                let (call, question) = (*call, *question);
                self.go(policy, Move::Answer(call, question, 0));
            }
            match self.lifecycle.state {
                State::Booting => self.go(policy, Move::Boot(self.up)),
                State::Leaving { .. } => self.go(policy, Move::Drained),
                _ => {}
            }
            for index in 0..2 {
                match self.clients[index] {
                    Place::Out | Place::Waiting(_) => {}
                    Place::AtGate(_) => self.go(policy, Move::PassGate(index, true)),
                    Place::Inside(..) => self.go(policy, Move::Leave(index)),
                }
            }
            if self.vacated && self.inside() == 0 {
                self.go(policy, Move::TellVacant);
            }
            self.go(policy, Move::SecondPasses);
        }
        assert_eq!(self.clients, [Place::Out; 2], "somebody waits for ever");
        assert!(self.questions.is_empty(), "something is asked for ever");
        assert_eq!(self.lifecycle.deadline(), None, "it does not come to rest");
        let leaves_it = self.drained && !policy.stop_on_exit;
        if !self.misled && !leaves_it {
            assert!(!self.up, "a server was left running");
        }
    }

    /// The normal form: the same world with its numbers as small as they can be.
    fn normal(mut self, policy: &Policy) -> World {
        let now = self.now;
        let moment = |at: Moment| {
            let ago = now.since(at).as_secs().min(LONG_AGO);
            Moment(Duration::from_secs(NOW - ago) + at.since(now))
        };
        let calls: BTreeMap<Call, Call> =
            self.questions.keys().zip(0..).map(|(call, n)| (*call, Call(n))).collect();
        let asked = |asked: Asked| Asked { call: calls[&asked.call], until: moment(asked.until) };
        let mut ids: Vec<ClientId> = self
            .clients
            .iter()
            .filter_map(|place| match place {
                Place::Out => None,
                Place::Waiting(id) | Place::AtGate(id) | Place::Inside(id, ..) => Some(*id),
            })
            .chain(self.lifecycle.wanted())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let client = |id: ClientId| {
            ClientId(10 + ids.iter().position(|known| *known == id).unwrap_or(9) as u64)
        };
        let current = self.lifecycle.period;
        let period = |period: Period| {
            if period == current { PERIOD } else { Period(PERIOD.0 - 1) }
        };
        let cause = |cause: Cause| match cause {
            Cause::Client(_) => Cause::Client(ClientId(0)),
            Cause::Cooldown | Cause::Exit | Cause::FailedStart => cause,
        };

        self.now = Moment(Duration::from_secs(NOW));
        for place in &mut self.clients {
            *place = match *place {
                Place::Out => Place::Out,
                Place::Waiting(id) => Place::Waiting(client(id)),
                Place::AtGate(id) => Place::AtGate(client(id)),
                Place::Inside(id, when, waited) => Place::Inside(client(id), period(when), waited),
            };
        }
        self.next_client = 20;
        self.questions = std::mem::take(&mut self.questions)
            .into_iter()
            .map(|(call, question)| {
                let question = match question {
                    Question::Start(why) => Question::Start(cause(why)),
                    Question::Stop(why) => Question::Stop(cause(why)),
                    Question::Ready(_) => Question::Ready(1),
                    Question::MaySleep(_) => Question::MaySleep(Duration::ZERO),
                    Question::Probe => Question::Probe,
                };
                (calls[&call], question)
            })
            .collect();
        self.door = self.door.map(period);

        let lifecycle = &mut self.lifecycle;
        lifecycle.next_call = calls.len() as u64;
        lifecycle.period = PERIOD;
        lifecycle.wanted = lifecycle.wanted.map(|(id, origin)| (client(id), origin));
        lifecycle.budget.wakes.retain(|(at, _)| now.since(*at) < policy.wakes.window);
        for (at, _) in &mut lifecycle.budget.wakes {
            *at = Moment(Duration::from_secs(NOW) - now.since(*at));
        }
        lifecycle.waiting.clients = std::mem::take(&mut lifecycle.waiting.clients)
            .into_iter()
            .map(|(id, mut waiter)| {
                waiter.deadline = moment(waiter.deadline);
                (client(id), waiter)
            })
            .collect();
        for backoff in [&mut lifecycle.start_backoff, &mut lifecycle.stop_backoff] {
            let over = backoff.until <= now;
            *backoff = Backoff {
                failures: backoff.failures.min(2),
                until: if over { Moment::ZERO } else { moment(backoff.until) },
                seed: 0,
            };
        }
        let now = self.now;
        lifecycle.state = match lifecycle.state {
            State::Asleep { probe, refuses } => State::Asleep { probe: probe.map(asked), refuses },
            State::Starting { start, .. } => State::Starting { start: asked(start), since: now },
            State::Readying { until, question, .. } => State::Readying {
                since: now,
                until: moment(until),
                attempt: 1,
                question: match question {
                    ReadyQuestion::Asked { call, .. } => {
                        ReadyQuestion::Asked { call: calls[&call], at: now }
                    }
                    ReadyQuestion::Pause(again) => ReadyQuestion::Pause(moment(again)),
                },
            },
            State::Awake(Rest::CoolingDown { until, .. }) => {
                State::Awake(Rest::CoolingDown { since: now, until: moment(until) })
            }
            State::Awake(Rest::Judging { question, .. }) => {
                State::Awake(Rest::Judging { since: now, question: asked(question) })
            }
            State::Stopping { stop, .. } => State::Stopping { stop: asked(stop), since: now },
            State::LastStop { stop, .. } => State::LastStop { stop: asked(stop), since: now },
            State::Checking { probe } => State::Checking { probe: asked(probe) },
            state @ (State::Booting
            | State::Undoing
            | State::Awake(Rest::Occupied | Rest::Locking { .. })
            | State::Leaving { .. }
            | State::Finished) => state,
        };
        self
    }
}

/// How many ways there are to answer a question.
fn answers(question: Question) -> usize {
    match question {
        Question::Start(_) | Question::Stop(_) => 5,
        Question::Ready(_) => 3,
        Question::Probe | Question::MaySleep(_) => 2,
    }
}

/// Walks everywhere, and says how many worlds there are.
fn walk(policy: &Policy) -> usize {
    let first = World::new().normal(policy);
    let mut seen = HashSet::from([first.clone()]);
    let mut ahead = vec![first];
    while let Some(world) = ahead.pop() {
        for way in world.moves() {
            let mut next = world.clone();
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                next.go(policy, way);
                next
            }));
            let next = match result {
                Ok(next) => next.normal(policy),
                Err(_) => panic!("after {way:?} in {world:?}"),
            };
            if seen.insert(next.clone()) {
                ahead.push(next);
            }
        }
        let start = world.clone();
        let rest = std::panic::AssertUnwindSafe(|| start.check_it_comes_to_rest(policy));
        assert!(std::panic::catch_unwind(rest).is_ok(), "on the way to rest from {world:?}");
    }
    seen.len()
}

#[test]
fn nothing_forbidden_happens_without_a_gate() {
    let worlds = walk(&policy());
    assert!(worlds > 5_000, "only {worlds} worlds");
}

#[test]
fn nothing_forbidden_happens_with_a_gate() {
    let worlds = walk(&Policy { gated: true, ..policy() });
    assert!(worlds > 5_000, "only {worlds} worlds");
}

#[test]
fn nothing_forbidden_happens_where_idleness_is_asked_and_the_exit_stops() {
    let worlds = walk(&Policy { asks_idleness: true, stop_on_exit: true, ..policy() });
    assert!(worlds > 5_000, "only {worlds} worlds");
}

#[test]
fn nothing_forbidden_happens_with_room_for_one_and_no_cool_down() {
    let worlds = walk(&Policy { max_held: 1, cooldown: Duration::ZERO, ..policy() });
    assert!(worlds > 2_000, "only {worlds} worlds");
}

/// Two wakes within two seconds, and one by each client.
fn wakes() -> WakeLimits {
    WakeLimits { all: Some(2), each: Some(1), window: Duration::from_secs(2) }
}

#[test]
fn nothing_forbidden_happens_with_a_wake_budget() {
    let worlds = walk(&Policy { wakes: wakes(), cooldown: Duration::ZERO, ..policy() });
    assert!(worlds > 10_000, "only {worlds} worlds");
}

#[test]
fn nothing_forbidden_happens_with_a_wake_budget_behind_a_gate() {
    let worlds = walk(&Policy { gated: true, wakes: wakes(), max_held: 1, ..policy() });
    assert!(worlds > 2_000, "only {worlds} worlds");
}
