//! An exhaustive walk over everything that two clients, a target and its deciders can do to a
//! lifecycle: every answer early, late, twice, never and wrong, every hang-up, every second of
//! delay, calls that go on after they were cancelled, a target that dies or lies, and a crash with a
//! restart after every step, in every order. It checks what must never happen, whatever the story.
//!
//! The world is brought back to a normal form after each move (time, calls, clients and periods
//! are renumbered), so that the walk ends when it has seen everything.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::super::backoff::Backoff;
use super::super::waiting::{Stage, Waiter};
use super::super::{Closing, PendingCall, Poll, Rest, State};
use crate::lifecycle::{
    Call, Cause, ClientId, Effect, Event, Lifecycle, MaySleep, Moment, Origin, Outcome, Period,
    Policy, Question, Ready, Reason, Record, Retry, UnderWay, WakeLimits,
};

/// The normal form's present.
const NOW: u64 = 100;
/// Moments this far back are all alike.
const LONG_AGO: u64 = 1;
/// The normal form's period.
const PERIOD: Period = Period(2);
/// Lateness of the driver that is tried, in seconds.
const LATE: u64 = 1;

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
    /// Questions that are neither answered nor cancelled.
    questions: BTreeMap<Call, Question>,
    /// A question that was cancelled, and goes on.
    ending: Option<(Call, Question)>,
    /// What is written down.
    record: Record,
    /// That the call which is recorded was cancelled is written down as well.
    cancelled: bool,
    /// A hook that an earlier Dormouse has started, and that still runs.
    leftover: Option<Hook>,
    /// Whether the target runs.
    up: bool,
    /// The lifecycle was given a wrong answer about that, or none.
    misled: bool,
    drained: bool,
    next_client: u64,
    /// A client that goes just now, while the lifecycle may still have something for it.
    going: Option<ClientId>,
}

/// A hook that outlives its Dormouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Hook {
    Start,
    Stop,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Arrive(usize),
    Leave(usize),
    PassGate(usize, bool),
    Refuse(usize),
    MakeRoom,
    TellVacant,
    Answer(Call, Question, usize),
    /// A cancelled call ends, and the target is up then, or is not.
    End(bool),
    Stale,
    /// The target dies, or comes up, by itself.
    Turn(bool),
    Boot,
    /// Dormouse is killed, or its machine is, and starts again. A hook that runs may live on.
    Crash {
        hook_lives: bool,
    },
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
        stable_after: second(1),
        settle_most: second(1),
        look_pause_first: second(1),
        ..super::policy()
    }
}

/// A policy by which a sleeping target is looked at again and again.
fn looking() -> Policy {
    Policy { look_pause_most: Some(Duration::from_secs(2)), ..policy() }
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
            ending: None,
            record: Record::Asleep,
            cancelled: false,
            leftover: None,
            up: false,
            misled: false,
            drained: false,
            next_client: 10,
            going: None,
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

    /// What the record says is under way.
    fn under_way(&self) -> UnderWay {
        match self.record {
            Record::Asleep | Record::Up => UnderWay::Nothing,
            Record::Starting(_) if self.cancelled => UnderWay::CancelledStart,
            Record::Starting(_) => UnderWay::Start,
            Record::Stopping(_) => UnderWay::Stop,
        }
    }

    /// The hook that runs by now, whoever has started it.
    fn hook(&self) -> Option<Hook> {
        let cancelled = self.ending.as_ref().map(|(_, question)| question);
        let own = self.questions.values().chain(cancelled).find_map(|question| match question {
            Question::Start(_) => Some(Hook::Start),
            Question::Stop(_) => Some(Hook::Stop),
            Question::Ready(_)
            | Question::Look
            | Question::FirstLook
            | Question::AwaitLeftover
            | Question::MaySleep(_) => None,
        });
        own.or(self.leftover)
    }

    fn moves(&self, policy: &Policy) -> Vec<Move> {
        let mut moves = vec![Move::SecondPasses, Move::Stale, Move::Exit];
        moves.push(Move::Crash { hook_lives: false });
        if self.hook().is_some() {
            moves.push(Move::Crash { hook_lives: true });
        }
        if self.ending.is_some() {
            moves.extend([Move::End(true), Move::End(false)]);
        }
        // One that comes up in its sleep is found only if somebody looks.
        if self.up || policy.look_pause_most.is_some() {
            moves.push(Move::Turn(!self.up));
        }
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
        if self.lifecycle.waiting() > 0 {
            moves.push(Move::MakeRoom);
        }
        if self.vacated && self.inside() == 0 {
            moves.push(Move::TellVacant);
        }
        for (call, question) in &self.questions {
            moves.extend((0..answers(*question)).map(|n| Move::Answer(*call, *question, n)));
        }
        match self.lifecycle.state {
            State::Booting => moves.extend([Move::Boot, Move::Unusable]),
            State::Draining { drained: false, .. } => moves.push(Move::Drained),
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
            Move::MakeRoom => {
                let before = self.lifecycle.waiting();
                self.feed(policy, Event::MakeRoom);
                assert!(self.lifecycle.waiting() < before, "no room was made");
            }
            Move::TellVacant => {
                self.vacated = false;
                self.feed(policy, Event::Vacant { since: self.now });
            }
            Move::Answer(call, question, n) => {
                self.questions.remove(&call);
                let event = self.answer(policy, call, question, n);
                self.feed(policy, event);
            }
            Move::Stale => self.check_stale_answers(policy),
            Move::End(up) => {
                if let Some((call, question)) = self.ending.take() {
                    self.hook_ends(question, up);
                    self.feed(policy, Event::Ended(call));
                }
            }
            Move::Turn(up) => {
                self.misled |=
                    matches!(self.lifecycle.state, State::Asleep { look: Poll::Never, .. });
                self.up = up;
            }
            Move::Boot => self.feed(policy, Event::Booted(self.under_way())),
            Move::Crash { hook_lives } => self.crash(hook_lives),
            Move::Unusable => {
                // Nobody can do anything for the target.
                self.misled = true;
                self.feed(policy, Event::Unusable);
            }
            Move::Exit => self.feed(policy, Event::Exit),
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

    /// A hook that was cancelled, or outlived its Dormouse, ends.
    fn hook_ends(&mut self, question: Question, up: bool) {
        match question {
            Question::Start(_) | Question::Stop(_) => self.up = up,
            Question::AwaitLeftover => {
                if self.leftover.take().is_some() {
                    self.up = up;
                }
            }
            Question::Ready(_) | Question::Look | Question::FirstLook | Question::MaySleep(_) => {}
        }
    }

    /// Everything in Dormouse's memory is gone. What is written down, and perhaps a hook, stays.
    fn crash(&mut self, hook_lives: bool) {
        let hook = self.hook();
        if hook == Some(Hook::Start) && !hook_lives {
            // Half done: the worst case.
            self.up = true;
        }
        *self = World {
            now: self.now,
            record: self.record,
            cancelled: self.cancelled,
            leftover: hook.filter(|_| hook_lives),
            up: self.up,
            misled: self.misled,
            ..World::new()
        };
    }

    /// The `n`th way to answer, and what it means for the target.
    fn answer(&mut self, policy: &Policy, call: Call, question: Question, n: usize) -> Event {
        let backoff = Outcome::Failed(Retry::BackOff);
        let after = Outcome::Failed(Retry::After(Duration::from_secs(1)));
        let never = Outcome::Failed(Retry::Never);
        match question {
            Question::Start(_) => {
                // The second one says done, and the target comes up later or never.
                let ways = [
                    (Outcome::Done, true),
                    (Outcome::Done, false),
                    (backoff, false),
                    (backoff, true),
                    (after, true),
                    (never, true),
                ];
                self.up = ways[n].1;
                Event::StartEnded(call, ways[n].0)
            }
            Question::Stop(_) => {
                // The second one says done, and the target runs on.
                let ways = [
                    (Outcome::Done, false),
                    (Outcome::Done, true),
                    (backoff, false),
                    (backoff, true),
                    (after, true),
                    (never, true),
                ];
                self.up = ways[n].1;
                self.misled |= self.up && ways[n].0 == Outcome::Done && !policy.verifies_stop;
                Event::StopEnded(call, ways[n].0)
            }
            Question::Ready(_) => {
                // The last one says ready, and the target is down, or frozen.
                let truth = if self.up { Ready::Yes } else { Ready::NotYet };
                Event::ReadyEnded(call, [truth, Ready::NotYet, Ready::Never, Ready::Yes][n])
            }
            Question::Look | Question::FirstLook => {
                self.misled |= n != 0;
                Event::LookEnded { call, up: if n == 0 { self.up } else { !self.up } }
            }
            Question::AwaitLeftover => {
                self.hook_ends(question, (self.leftover == Some(Hook::Start)) == (n == 0));
                Event::LeftoverEnded(call)
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
        self.check(policy);
    }

    fn carry_out(&mut self, policy: &Policy, effect: Effect) {
        match effect {
            Effect::Ask(call, question) => {
                assert_eq!(self.ending, None, "{question:?} beside what was cancelled");
                self.check_question(policy, question);
                assert!(self.questions.insert(call, question).is_none(), "{call:?} asked twice");
            }
            Effect::Cancel(call) => {
                assert_eq!(self.ending, None, "cancelled beside another");
                let question = self.questions.remove(&call);
                let question = question.unwrap_or_else(|| panic!("{call:?} is not open"));
                self.cancelled |= matches!(
                    question,
                    Question::Start(_) | Question::Stop(_) | Question::AwaitLeftover
                );
                // Without an answer nobody knows, until somebody looks again.
                self.misled |= matches!(question, Question::Look | Question::FirstLook);
                self.ending = Some((call, question));
            }
            Effect::Record(record) => {
                self.record = record;
                self.cancelled = false;
            }
            Effect::Judge(client) => {
                assert!(policy.gated);
                let waits = self.clients.contains(&Place::Waiting(client));
                assert!(waits || self.going == Some(client), "judged twice");
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
                    State::Draining { .. } | State::FinalStop { .. } | State::Finished
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
            Effect::Finish => {
                assert!(self.questions.is_empty() && self.ending.is_none(), "something still runs")
            }
        }
    }

    /// Rules 1, 5, 10 and 17.
    fn check_question(&self, policy: &Policy, question: Question) {
        match question {
            Question::Start(cause) => {
                assert!(matches!(cause, Cause::Client(_)));
                assert_eq!(self.hook(), None, "two at a time: {self:?}");
                assert_eq!(self.record, Record::Starting(cause), "not written down");
                let until = self.lifecycle.start_backoff.until;
                assert!(until <= self.now, "a start in the back-off");
                self.check_budget(policy);
            }
            Question::Stop(cause) => {
                assert_eq!(self.hook(), None, "two at a time: {self:?}");
                assert_eq!(self.record, Record::Stopping(cause), "not written down");
                assert_eq!(self.inside(), 0, "stopped under a connected client");
                assert_eq!(self.door, None, "stopped with an open door");
            }
            Question::Ready(_)
            | Question::Look
            | Question::FirstLook
            | Question::AwaitLeftover
            | Question::MaySleep(_) => {}
        }
    }

    /// Nobody is refused for the budget who would only have joined.
    fn check_refusals(&self, effects: &[Effect]) {
        let under_way = matches!(
            self.lifecycle.state,
            State::Starting { .. } | State::AwaitingReady { .. } | State::Awake { .. }
        );
        let is_refusal = |effect: &Effect| matches!(effect, Effect::Close(_, Reason::OverBudget));
        let is_start = |effect: &Effect| matches!(effect, Effect::Record(Record::Starting(_)));
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
        if self.hook() == Some(Hook::Stop) {
            assert_eq!(self.inside(), 0, "a client came in during a stop");
        }
        let awake = matches!(
            self.lifecycle.state,
            State::Awake { rest: Rest::Occupied | Rest::CoolingDown { .. }, .. }
        );
        assert_eq!(self.door.is_some(), awake, "door and state disagree");
        assert!(self.lifecycle.waiting() <= policy.max_held, "too many are held");
        let waiting = self.clients.iter().filter(|place| match place {
            Place::Waiting(_) | Place::AtGate(_) => true,
            Place::Out | Place::Inside(..) => false,
        });
        assert_eq!(waiting.count(), self.lifecycle.waiting(), "a client was lost");
        let waiting = &self.lifecycle.waiting;
        assert_eq!(waiting.held(), waiting.all_held().count(), "the held are counted wrongly");
        if let Some(deadline) = self.lifecycle.deadline() {
            assert!(deadline > self.now, "a deadline that has passed: a hot loop");
        }
        for waiter in self.lifecycle.waiting.clients.values() {
            assert!(waiter.deadline <= self.now.after(policy.hold_timeout), "held for too long");
        }
        let open = self.questions.len() + usize::from(self.ending.is_some());
        assert!(open <= 1, "{open} calls at a time");
        let ending = self.ending.as_ref().map(|(call, _)| *call);
        assert_eq!(self.lifecycle.ending, ending, "a cancelled call was forgotten");
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
            Event::LookEnded { call: stale, up: true },
            Event::LookEnded { call: stale, up: false },
            Event::LeftoverEnded(stale),
            Event::Ended(stale),
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
    /// target is down, unless we were misled about it and nobody looks again. After an exit the next
    /// Dormouse sees to it. `restful` has the worlds from where this is known.
    fn check_it_comes_to_rest(&self, policy: &Policy, restful: &mut HashSet<World>) {
        let mut passed = HashSet::new();
        let mut world = self.clone();
        while !restful.contains(&world) && !world.is_at_rest(policy) {
            let mut next = world.clone();
            assert!(passed.insert(world), "it never comes to rest");
            next.pass_a_good_second(policy);
            world = next.normal(policy);
        }
        restful.extend(passed);
    }

    fn is_at_rest(&self, policy: &Policy) -> bool {
        let State::Asleep { look, refuses, .. } = self.lifecycle.state else { return false };
        if self.clients != [Place::Out; 2] || !self.questions.is_empty() || self.ending.is_some() {
            return false;
        }
        let looks = policy.look_pause_most.is_some() && !matches!(look, Poll::Never);
        if looks && self.up {
            return false;
        }
        if !looks && self.lifecycle.deadline().is_some() {
            return false;
        }
        // Without plugins nobody can do anything for it.
        let unusable = policy.look_pause_most.is_some() && !looks;
        assert!(self.misled || unusable || !self.up, "a server was left running");
        assert!(refuses || self.record == Record::Asleep, "the record is wrong");
        true
    }

    /// Everything that is asked is answered truthfully, clients get on, and a second passes.
    fn pass_a_good_second(&mut self, policy: &Policy) {
        let mut asked = 0;
        loop {
            asked += 1;
            assert!(asked < 20, "it asks without end, and no time passes");
            if self.ending.is_some() {
                self.go(policy, Move::End(self.up));
            } else if let Some((call, question)) = self.questions.first_key_value() {
                let (call, question) = (*call, *question);
                self.go(policy, Move::Answer(call, question, 0));
            } else {
                break;
            }
        }
        match self.lifecycle.state {
            State::Booting => self.go(policy, Move::Boot),
            State::Draining { drained: false, .. } => self.go(policy, Move::Drained),
            State::Finished => self.go(policy, Move::Crash { hook_lives: false }),
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

    /// The normal form: the same world with its numbers as small as they can be.
    fn normal(mut self, policy: &Policy) -> World {
        let now = self.now;
        let moment = |at: Moment| {
            let ago = now.since(at).as_secs().min(LONG_AGO);
            Moment(Duration::from_secs(NOW - ago) + at.since(now))
        };
        let cancelled = self.ending.as_ref().map(|(call, _)| call);
        let calls: BTreeMap<Call, Call> = self
            .questions
            .keys()
            .chain(cancelled)
            .zip(0..)
            .map(|(call, n)| (*call, Call(n)))
            .collect();
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
        let question = |question: Question| match question {
            Question::Start(why) => Question::Start(cause(why)),
            Question::Stop(why) => Question::Stop(cause(why)),
            Question::Ready(_) => Question::Ready(1),
            Question::MaySleep(_) => Question::MaySleep(Duration::ZERO),
            Question::Look | Question::FirstLook | Question::AwaitLeftover => question,
        };
        let present = Moment(Duration::from_secs(NOW));
        let pending = |pending: PendingCall| match pending {
            PendingCall::Due(due, at_most) => PendingCall::Due(question(due), at_most),
            PendingCall::Asked { call, until, .. } => {
                PendingCall::Asked { call: calls[&call], since: present, until: moment(until) }
            }
        };
        let poll = |poll: Poll| match poll {
            Poll::Asking(asking) => Poll::Asking(pending(asking)),
            Poll::Pause(again) => Poll::Pause(moment(again)),
            Poll::Never => Poll::Never,
        };

        // Where somebody looks again, a wrong answer holds for a while only.
        self.misled &= policy.look_pause_most.is_none();
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
            .map(|(call, asked)| (calls[&call], question(asked)))
            .collect();
        self.ending = self.ending.map(|(call, asked)| (calls[&call], question(asked)));
        self.record = match self.record {
            Record::Starting(why) => Record::Starting(cause(why)),
            Record::Stopping(why) => Record::Stopping(cause(why)),
            record @ (Record::Asleep | Record::Up) => record,
        };
        self.door = self.door.map(period);

        let lifecycle = &mut self.lifecycle;
        lifecycle.ending = lifecycle.ending.map(|call| calls[&call]);
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
                // One failure doubles the back-off to its longest.
                failures: backoff.failures.min(1),
                until: if over { Moment::ZERO } else { moment(backoff.until) },
                seed: 0,
            };
        }
        lifecycle.state = match lifecycle.state {
            State::FirstLook(look) => State::FirstLook(pending(look)),
            State::Asleep { look, pause, certain, refuses } => {
                State::Asleep { look: poll(look), pause, certain, refuses }
            }
            State::Starting { start, undo } => State::Starting { start: pending(start), undo },
            State::AwaitingReady { until, question, .. } => State::AwaitingReady {
                since: present,
                until: moment(until),
                attempt: 1,
                question: poll(question),
            },
            State::Awake { since, rest } => State::Awake {
                since: moment(since),
                rest: match rest {
                    Rest::CoolingDown { until, .. } => {
                        Rest::CoolingDown { since: present, until: moment(until) }
                    }
                    Rest::Judging { question, .. } => {
                        Rest::Judging { since: present, question: pending(question) }
                    }
                    rest @ (Rest::Occupied | Rest::Locking { .. }) => rest,
                },
            },
            State::Stopping { stop, .. } => {
                State::Stopping { stop: pending(stop), idle_since: present }
            }
            State::VerifyingStop { since, until, look, done, closing, .. } => {
                State::VerifyingStop {
                    ordered: present,
                    since: moment(since),
                    until: moment(until),
                    idle_since: present,
                    look: poll(look),
                    done,
                    closing,
                }
            }
            State::Draining { up, drained, stop } => {
                State::Draining { up, drained, stop: stop.map(pending) }
            }
            State::FinalStop { stop } => State::FinalStop { stop: pending(stop) },
            state @ (State::Booting | State::RollingBack { .. } | State::Finished) => state,
        };
        self
    }
}

/// How many ways there are to answer a question.
fn answers(question: Question) -> usize {
    match question {
        Question::Start(_) | Question::Stop(_) => 6,
        Question::Ready(_) => 4,
        Question::Look | Question::FirstLook | Question::AwaitLeftover | Question::MaySleep(_) => 2,
    }
}

/// How often each state was reached.
type Reached = BTreeMap<&'static str, usize>;

fn name(state: &State) -> &'static str {
    match state {
        State::Booting => "Booting",
        State::FirstLook(_) => "FirstLook",
        State::Asleep { .. } => "Asleep",
        State::Starting { undo: true, .. } => "Starting, to be undone",
        State::Starting { start: PendingCall::Due(..), .. } => "Starting, after a cancelled call",
        State::Starting { .. } => "Starting",
        State::AwaitingReady { .. } => "AwaitingReady",
        State::RollingBack { .. } => "RollingBack",
        State::Awake { rest: Rest::Occupied, .. } => "Awake, occupied",
        State::Awake { rest: Rest::CoolingDown { .. }, .. } => "Awake, cooling down",
        State::Awake { rest: Rest::Locking { .. }, .. } => "Awake, locking",
        State::Awake { rest: Rest::Judging { .. }, .. } => "Awake, judging",
        State::Stopping { stop: PendingCall::Due(..), .. } => "Stopping, after a cancelled call",
        State::Stopping { .. } => "Stopping",
        State::VerifyingStop { closing: Closing::Settles, .. } => "VerifyingStop, settling",
        State::VerifyingStop { done: true, .. } => "VerifyingStop",
        State::VerifyingStop { done: false, .. } => "VerifyingStop, failed",
        State::Draining { stop: None, .. } => "Draining",
        State::Draining { stop: Some(_), .. } => "Draining, stopping",
        State::FinalStop { .. } => "FinalStop",
        State::Finished => "Finished",
    }
}

/// Walks everywhere, and says how many worlds there are in each state.
#[allow(clippy::print_stdout, reason = "the counts are what the walk shows")]
fn walk(title: &str, policy: &Policy) -> Reached {
    let first = World::new().normal(policy);
    let mut seen = HashSet::from([first.clone()]);
    let mut ahead = vec![first];
    let mut reached = Reached::new();
    let mut restful = HashSet::new();
    let mut steps = 0_u64;
    while let Some(world) = ahead.pop() {
        *reached.entry(name(&world.lifecycle.state)).or_default() += 1;
        for way in world.moves(policy) {
            steps += 1;
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
        let rest = || world.check_it_comes_to_rest(policy, &mut restful);
        let rest = std::panic::catch_unwind(std::panic::AssertUnwindSafe(rest));
        assert!(rest.is_ok(), "on the way to rest from {world:?}");
    }
    println!("{title}: {} worlds, {steps} steps", seen.len());
    for (state, worlds) in &reached {
        println!("  {worlds:>9}  {state}");
    }
    for state in [
        "Booting",
        "FirstLook",
        "Asleep",
        "Starting",
        "Starting, to be undone",
        "AwaitingReady",
        "RollingBack",
        "Awake, occupied",
        "Awake, cooling down",
        "Stopping",
        "VerifyingStop, failed",
        "Draining",
        "Draining, stopping",
        "Finished",
    ] {
        assert!(reached.contains_key(state), "{state} was never reached");
    }
    reached
}

#[test]
fn nothing_forbidden_happens_without_a_gate() {
    let reached = walk("without a gate", &policy());
    assert!(reached.contains_key("VerifyingStop"));
    assert!(reached.contains_key("VerifyingStop, settling"));
}

#[test]
fn nothing_forbidden_happens_with_a_gate() {
    walk("with a gate", &Policy { gated: true, ..policy() });
}

#[test]
fn nothing_forbidden_happens_where_sleeping_targets_are_looked_at() {
    let reached = walk("with looks", &Policy { max_held: 1, ..looking() });
    assert!(reached.contains_key("Starting, after a cancelled call"));
}

#[test]
fn nothing_forbidden_happens_where_a_stop_is_believed_without_a_look() {
    let reached = walk("stops are believed", &Policy { verifies_stop: false, ..policy() });
    assert!(!reached.contains_key("VerifyingStop"));
}

#[test]
fn nothing_forbidden_happens_where_idleness_is_asked_and_the_exit_stops() {
    let policy = Policy { asks_idleness: true, stop_on_exit: true, ..policy() };
    let reached = walk("with idleness and a stop at the exit", &policy);
    for state in ["Awake, judging", "FinalStop", "Stopping, after a cancelled call"] {
        assert!(reached.contains_key(state), "{state}");
    }
}

#[test]
fn nothing_forbidden_happens_with_room_for_one_and_no_cool_down() {
    let policy = Policy { max_held: 1, cooldown: Duration::ZERO, ..policy() };
    walk("with room for one and no cool-down", &policy);
}

/// Two wakes within two seconds, and one by each client.
fn wakes() -> WakeLimits {
    WakeLimits { all: Some(2), each: Some(1), window: Duration::from_secs(2) }
}

#[test]
fn nothing_forbidden_happens_with_a_wake_budget() {
    let policy = Policy { wakes: wakes(), cooldown: Duration::ZERO, ..policy() };
    walk("with a wake budget", &policy);
}

#[test]
fn nothing_forbidden_happens_with_a_wake_budget_behind_a_gate() {
    let policy = Policy { gated: true, wakes: wakes(), max_held: 1, ..policy() };
    walk("with a wake budget behind a gate", &policy);
}
