//! Named stories for the rules of `docs/architecture.md`. Each step has an event on the left and
//! every effect of it on the right, and none is left over.

use std::time::Duration;

use super::{policy, seconds};
use crate::lifecycle::Effect::{
    Admit, Ask, Cancel, Close, Finish, Judge, LockDoor, OpenDoor, ShutDoor, Tell,
};
use crate::lifecycle::Event::{
    Booted, DoorLocked, DoorOccupied, Drained, Ended, Exit, Left, LeftoverEnded, LookEnded,
    MakeRoom, MaySleepEnded, Passed, ReadyEnded, Refused, StartEnded, StopEnded, Tick, Unusable,
    Vacant,
};
use crate::lifecycle::Question::{
    AwaitLeftover, FirstLook, Look, MaySleep, Ready as AskReady, Start, Stop,
};
use crate::lifecycle::{
    Call, Cause, ClientId, Effect, Event, Lifecycle, MaySleep as Answer, Moment, News, Origin,
    Outcome, OverBudget, Period, Phase, Policy, Ready, Reason, Record, Retry, UnderWay, WakeLimit,
    WakeLimits,
};

const A: ClientId = ClientId(1);
const B: ClientId = ClientId(2);
const C: ClientId = ClientId(3);

/// A lifecycle, its clock, and what has been said to it.
struct Story {
    lifecycle: Lifecycle,
    policy: Policy,
    now: Moment,
}

impl Story {
    fn new(policy: Policy) -> Self {
        Story { lifecycle: Lifecycle::new(0), policy, now: seconds(0) }
    }

    /// A story that begins with a target that is asleep.
    fn asleep(policy: Policy) -> Self {
        let mut story = Story::new(policy);
        story.tell(0, Booted(UnderWay::Nothing), &[Ask(Call(0), FirstLook)]);
        story.tell(0, looked(0, false), &[]);
        story.lifecycle.next_call = 0;
        story
    }

    /// A story that begins with an awake target which started for client A, who is inside.
    fn awake(policy: Policy) -> Self {
        let mut story = Story::asleep(policy);
        story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
        story.tell(0, StartEnded(Call(0), Outcome::Done), &[Ask(Call(1), AskReady(1))]);
        let effects = [OpenDoor(Period(1)), Admit(A, Period(1))];
        story.tell(0, ReadyEnded(Call(1), Ready::Yes), &effects);
        story
    }

    /// At `at` seconds `event` happens, and these are all effects of it, news and records aside.
    #[track_caller]
    fn tell(&mut self, at: u64, event: Event, effects: &[Effect]) {
        let told = self.step(at, event);
        let is_act = |effect: &Effect| !matches!(effect, Tell(_) | Effect::Record(_));
        let acts: Vec<_> = told.into_iter().filter(is_act).collect();
        assert_eq!(acts, effects, "after {event:?} at {at} s: {:?}", self.lifecycle);
    }

    /// At `at` seconds `event` happens, and `news` is told.
    #[track_caller]
    fn news(&mut self, at: u64, event: Event, news: News) {
        let told = self.step(at, event);
        assert!(told.contains(&Tell(news)), "no {news:?} in {told:?}");
    }

    fn step(&mut self, at: u64, event: Event) -> Vec<Effect> {
        assert!(seconds(at) >= self.now, "time goes forward");
        self.now = seconds(at);
        let lifecycle = self.lifecycle.clone();
        let (lifecycle, effects) = lifecycle.step(&self.policy, self.now, event);
        self.lifecycle = lifecycle;
        effects
    }

    #[track_caller]
    fn is(&self, phase: Phase) {
        assert_eq!(self.lifecycle.phase(), phase, "{:?}", self.lifecycle);
    }
}

/// The look that was asked under this number ends.
fn looked(call: u64, up: bool) -> Event {
    LookEnded { call: Call(call), up }
}

fn vacant(at: u64) -> Event {
    Vacant { since: seconds(at) }
}

fn failed() -> Outcome {
    Outcome::Failed(Retry::BackOff)
}

/// Each client comes from an address of its own.
fn origin(client: ClientId) -> Origin {
    Origin::V6(client.0.to_be_bytes())
}

fn arrived(client: ClientId) -> Event {
    Event::Arrived(client, origin(client))
}

/// Another client from where that one comes from.
fn arrived_from(client: ClientId, from: ClientId) -> Event {
    Event::Arrived(client, origin(from))
}

fn refused(client: ClientId, waited: u64) -> Event {
    let waited = Duration::from_secs(waited);
    Refused { client, origin: origin(client), period: Period(1), waited }
}

#[test]
fn rule_1_many_clients_cause_one_start() {
    let mut story = Story::asleep(Policy { max_held: 3, ..policy() });
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(0, arrived(B), &[]);
    story.tell(1, arrived(C), &[]);
    story.is(Phase::Starting);
}

#[test]
fn rule_1_a_client_has_to_pass_the_gate_first() {
    let mut story = Story::asleep(Policy { gated: true, ..policy() });
    story.tell(0, arrived(A), &[Judge(A)]);
    story.is(Phase::Asleep);
    let passed = Passed { client: A, stays: true };
    story.tell(1, passed, &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.is(Phase::Starting);
}

#[test]
fn rule_1_a_client_that_is_refused_at_the_gate_wakes_nothing() {
    let mut story = Story::asleep(Policy { gated: true, ..policy() });
    story.tell(0, arrived(A), &[Judge(A)]);
    story.tell(1, Left(A), &[]);
    story.tell(1, Passed { client: A, stays: true }, &[]);
    story.is(Phase::Asleep);
    assert_eq!(story.lifecycle.deadline(), None);
}

#[test]
fn rule_1_a_client_that_wakes_and_is_closed_starts_the_target_for_later() {
    let mut story = Story::asleep(Policy { gated: true, ..policy() });
    story.tell(0, arrived(A), &[Judge(A)]);
    let passed = Passed { client: A, stays: false };
    story.tell(1, passed, &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(1, StartEnded(Call(0), Outcome::Done), &[Ask(Call(1), AskReady(1))]);
    story.tell(1, ReadyEnded(Call(1), Ready::Yes), &[OpenDoor(Period(1))]);
    story.tell(5, Tick, &[LockDoor]);
}

#[test]
fn rule_2_readiness_is_asked_again_until_it_is_ready() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(1, StartEnded(Call(0), Outcome::Done), &[Ask(Call(1), AskReady(1))]);
    story.tell(1, ReadyEnded(Call(1), Ready::NotYet), &[]);
    story.is(Phase::Starting);
    story.tell(2, Tick, &[Ask(Call(2), AskReady(2))]);
    story.tell(2, ReadyEnded(Call(2), Ready::NotYet), &[]);
    story.tell(3, Tick, &[Ask(Call(3), AskReady(3))]);
    story.tell(3, ReadyEnded(Call(3), Ready::Yes), &[OpenDoor(Period(1)), Admit(A, Period(1))]);
    story.is(Phase::Awake);
}

#[test]
fn rule_2_start_and_readiness_share_one_timeout() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(4, StartEnded(Call(0), Outcome::Done), &[Ask(Call(1), AskReady(1))]);
    let effects = [Cancel(Call(1)), Close(A, Reason::StartTimedOut)];
    story.tell(6, Tick, &effects);
    story.tell(6, Ended(Call(1)), &[LockDoor]);
}

#[test]
fn rule_3_held_clients_are_let_in_oldest_first() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(B), &[Ask(Call(0), Start(Cause::Client(B)))]);
    story.tell(0, arrived(A), &[]);
    story.tell(1, StartEnded(Call(0), Outcome::Done), &[Ask(Call(1), AskReady(1))]);
    let effects = [OpenDoor(Period(1)), Admit(A, Period(1)), Admit(B, Period(1))];
    story.tell(1, ReadyEnded(Call(1), Ready::Yes), &effects);
}

#[test]
fn rule_4_a_client_that_just_missed_the_open_door_is_let_in_without_a_question() {
    let mut story = Story::awake(policy());
    story.policy.gated = true;
    story.tell(1, arrived(B), &[Admit(B, Period(1))]);
}

#[test]
fn rule_5_the_cool_down_begins_with_the_last_client_and_ends_in_a_stop() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(13, Tick, &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.is(Phase::Stopping);
    story.tell(15, StopEnded(Call(2), Outcome::Done), &[Ask(Call(3), Look)]);
    story.is(Phase::Stopping);
    story.tell(15, looked(3, false), &[]);
    story.is(Phase::Asleep);
    assert_eq!(story.lifecycle.deadline(), None);
}

#[test]
fn rule_5_the_cool_down_counts_from_the_moment_the_last_client_left() {
    let mut story = Story::awake(policy());
    story.tell(11, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
}

#[test]
fn rule_5_a_cool_down_of_zero_stops_at_once() {
    let mut story = Story::awake(Policy { cooldown: Duration::ZERO, ..policy() });
    story.tell(10, vacant(10), &[LockDoor]);
    story.tell(10, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
}

#[test]
fn rule_5_a_target_with_clients_is_not_stopped() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorOccupied, &[]);
    story.is(Phase::Awake);
    assert_eq!(story.lifecycle.deadline(), None);
    story.tell(20, vacant(20), &[]);
    story.tell(24, Tick, &[LockDoor]);
}

#[test]
fn rule_5_a_client_in_the_cool_down_makes_it_begin_again() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(13, vacant(13), &[]);
    story.tell(14, Tick, &[]);
    story.tell(17, Tick, &[LockDoor]);
}

#[test]
fn rule_5_idleness_may_ask_for_more_time() {
    let mut story = Story::awake(Policy { asks_idleness: true, ..policy() });
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), MaySleep(Duration::from_secs(4)))]);
    story.is(Phase::Awake);
    let not_yet = Answer::NotFor(Duration::from_secs(7));
    story.tell(15, MaySleepEnded(Call(2), not_yet), &[OpenDoor(Period(1))]);
    story.tell(21, Tick, &[]);
    story.tell(22, Tick, &[LockDoor]);
    story.tell(22, DoorLocked, &[Ask(Call(3), MaySleep(Duration::from_secs(12)))]);
    let stop = [Ask(Call(4), Stop(Cause::Cooldown))];
    story.tell(22, MaySleepEnded(Call(3), Answer::Yes), &stop);
}

#[test]
fn rule_5_a_client_that_comes_while_idleness_is_asked_gets_in_at_once() {
    let mut story = Story::awake(Policy { asks_idleness: true, ..policy() });
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), MaySleep(Duration::from_secs(4)))]);
    let effects = [Cancel(Call(2)), OpenDoor(Period(1)), Admit(B, Period(1))];
    story.tell(15, arrived(B), &effects);
    story.tell(15, MaySleepEnded(Call(2), Answer::Yes), &[]);
    story.is(Phase::Awake);
}

#[test]
fn rule_5_idleness_that_never_answers_counts_as_sleep() {
    let mut story = Story::awake(Policy { asks_idleness: true, ..policy() });
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), MaySleep(Duration::from_secs(4)))]);
    story.tell(16, Tick, &[Cancel(Call(2))]);
    story.tell(17, Ended(Call(2)), &[Ask(Call(3), Stop(Cause::Cooldown))]);
}

#[test]
fn rule_17_a_stop_waits_for_the_end_of_a_cancelled_question_about_sleep() {
    let mut story =
        Story::awake(Policy { asks_idleness: true, cooldown: Duration::ZERO, ..policy() });
    story.tell(10, vacant(10), &[LockDoor]);
    story.tell(10, DoorLocked, &[Ask(Call(2), MaySleep(Duration::ZERO))]);
    story.tell(10, arrived(B), &[Cancel(Call(2)), OpenDoor(Period(1)), Admit(B, Period(1))]);
    story.tell(11, vacant(11), &[LockDoor]);
    story.tell(11, DoorLocked, &[]);
    let question = [Ask(Call(3), MaySleep(Duration::ZERO))];
    story.tell(12, Ended(Call(2)), &question);
}

#[test]
fn rule_5_idleness_that_never_answers_keeps_the_target_up_if_the_policy_says_so() {
    let without_answer = Answer::NotFor(Duration::from_secs(7));
    let mut story = Story::awake(Policy { asks_idleness: true, without_answer, ..policy() });
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), MaySleep(Duration::from_secs(4)))]);
    story.tell(16, Tick, &[Cancel(Call(2)), OpenDoor(Period(1))]);
    story.tell(23, Tick, &[LockDoor]);
}

#[test]
fn rule_6_a_client_during_the_stop_gets_a_fresh_start_after_it() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(15, arrived(B), &[]);
    story.is(Phase::Stopping);
    story.tell(16, StopEnded(Call(2), Outcome::Done), &[Ask(Call(3), Look)]);
    story.tell(16, looked(3, false), &[Ask(Call(4), Start(Cause::Client(B)))]);
}

#[test]
fn rule_6_a_client_of_a_target_that_is_still_going_down_waits_for_its_end() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(14, StopEnded(Call(2), Outcome::Done), &[Ask(Call(3), Look)]);
    story.news(14, looked(3, true), News::StillAnswers(Duration::ZERO));
    story.tell(14, arrived(B), &[]);
    story.is(Phase::Stopping);
    story.tell(15, Tick, &[Ask(Call(4), Look)]);
    story.tell(15, looked(4, true), &[]);
    story.tell(16, Tick, &[Ask(Call(5), Look)]);
    // Its port is closed. It gets as long to end as it took for that.
    story.tell(16, looked(5, false), &[]);
    story.tell(17, Tick, &[]);
    story.tell(18, Tick, &[Ask(Call(6), Look)]);
    story.tell(18, looked(6, false), &[Ask(Call(7), Start(Cause::Client(B)))]);
}

#[test]
fn rule_6_a_target_that_comes_back_while_it_should_end_is_waited_for_again() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(14, StopEnded(Call(2), Outcome::Done), &[Ask(Call(3), Look)]);
    story.tell(14, looked(3, true), &[]);
    story.tell(15, Tick, &[Ask(Call(4), Look)]);
    story.tell(15, looked(4, false), &[]);
    story.tell(16, Tick, &[Ask(Call(5), Look)]);
    story.tell(16, looked(5, true), &[]);
    story.is(Phase::Stopping);
    story.tell(17, Tick, &[Ask(Call(6), Look)]);
    let next = Duration::from_secs(1);
    story.news(17, looked(6, true), News::StillUp { next, done: true });
}

#[test]
fn rule_6_a_target_that_answers_for_as_long_as_a_stop_may_take_was_not_stopped() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(14, StopEnded(Call(2), Outcome::Done), &[Ask(Call(3), Look)]);
    story.tell(14, looked(3, true), &[]);
    story.tell(17, Tick, &[Ask(Call(4), Look)]);
    let next = Duration::from_secs(1);
    story.news(17, looked(4, true), News::StillUp { next, done: true });
    story.is(Phase::Awake);
    story.tell(18, Tick, &[LockDoor]);
}

#[test]
fn rule_6_a_stop_is_believed_at_once_where_nobody_may_look() {
    let mut story = Story::awake(Policy { verifies_stop: false, ..policy() });
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(14, StopEnded(Call(2), Outcome::Done), &[]);
    story.is(Phase::Asleep);
}

#[test]
fn rule_7_a_refused_client_is_held_and_the_target_started_again() {
    let mut story = Story::awake(policy());
    let effects = [ShutDoor, Ask(Call(2), Start(Cause::Client(B)))];
    story.tell(5, refused(B, 0), &effects);
    story.is(Phase::Starting);
    story.tell(5, StartEnded(Call(2), Outcome::Done), &[Ask(Call(3), AskReady(1))]);
    let effects = [OpenDoor(Period(2)), Admit(B, Period(2))];
    story.tell(6, ReadyEnded(Call(3), Ready::Yes), &effects);
}

#[test]
fn rule_7_a_refusal_from_an_earlier_period_is_no_news() {
    let mut story = Story::awake(policy());
    story.tell(5, refused(B, 0), &[ShutDoor, Ask(Call(2), Start(Cause::Client(B)))]);
    story.tell(5, StartEnded(Call(2), Outcome::Done), &[Ask(Call(3), AskReady(1))]);
    let effects = [OpenDoor(Period(2)), Admit(B, Period(2))];
    story.tell(6, ReadyEnded(Call(3), Ready::Yes), &effects);
    story.tell(7, refused(C, 0), &[Admit(C, Period(2))]);
    story.is(Phase::Awake);
}

#[test]
fn rule_7_a_target_that_is_ready_and_refuses_does_not_make_a_hot_loop() {
    let mut story = Story::awake(policy());
    // Its judge says that it is up, perhaps. Nobody is asked: the client knows better.
    story.tell(5, refused(A, 3), &[ShutDoor]);
    story.tell(6, Tick, &[Ask(Call(2), Start(Cause::Client(A)))]);
    story.tell(6, StartEnded(Call(2), Outcome::Done), &[Ask(Call(3), AskReady(1))]);
}

#[test]
fn rule_7_a_target_that_was_only_slow_is_found_again() {
    let mut story = Story::awake(policy());
    story.tell(5, refused(A, 3), &[ShutDoor]);
    story.tell(5, Left(A), &[Ask(Call(2), Look)]);
    story.tell(5, looked(2, true), &[OpenDoor(Period(2))]);
    story.tell(9, Tick, &[LockDoor]);
}

#[test]
fn rule_8_a_failed_start_closes_the_held_and_backs_off() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    let effects = [Close(A, Reason::StartFailed), Ask(Call(1), Look)];
    story.tell(1, StartEnded(Call(0), failed()), &effects);
    story.tell(1, looked(1, false), &[]);
    story.tell(1, arrived(B), &[]);
    story.is(Phase::Asleep);
    story.tell(2, Tick, &[Ask(Call(2), Start(Cause::Client(B)))]);
    let effects = [Close(B, Reason::StartFailed), Ask(Call(3), Look)];
    story.tell(2, StartEnded(Call(2), failed()), &effects);
    story.tell(3, arrived(C), &[]);
    story.tell(4, Tick, &[Cancel(Call(3))]);
    story.is(Phase::Starting);
    story.tell(4, Ended(Call(3)), &[Ask(Call(4), Start(Cause::Client(C)))]);
}

#[test]
fn rule_8_a_target_that_stays_up_for_a_while_resets_the_back_off() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    let effects = [Close(A, Reason::StartFailed), Ask(Call(1), Look)];
    story.tell(1, StartEnded(Call(0), failed()), &effects);
    story.tell(1, looked(1, false), &[]);
    story.tell(3, arrived(B), &[Ask(Call(2), Start(Cause::Client(B)))]);
    story.tell(3, StartEnded(Call(2), Outcome::Done), &[Ask(Call(3), AskReady(1))]);
    let effects = [OpenDoor(Period(1)), Admit(B, Period(1))];
    story.tell(3, ReadyEnded(Call(3), Ready::Yes), &effects);
    story.tell(6, refused(C, 0), &[ShutDoor, Ask(Call(4), Start(Cause::Client(C)))]);
    let next = Some(Duration::from_secs(1));
    story.news(6, StartEnded(Call(4), failed()), News::StartFailed { closed: 1, next });
}

#[test]
fn rule_8_a_target_that_does_not_last_is_a_failed_start() {
    let mut story = Story::awake(policy());
    let (up_for, next) = (Duration::from_secs(2), Duration::from_secs(1));
    story.news(2, refused(B, 0), News::DidNotLast { up_for, next });
    story.is(Phase::Asleep);
    story.tell(3, Tick, &[Ask(Call(2), Start(Cause::Client(B)))]);
    story.tell(3, StartEnded(Call(2), Outcome::Done), &[Ask(Call(3), AskReady(1))]);
    let effects = [OpenDoor(Period(2)), Admit(B, Period(2))];
    story.tell(3, ReadyEnded(Call(3), Ready::Yes), &effects);
    // It dies again: the next start has to wait for twice as long.
    let event = Refused { client: C, origin: origin(C), period: Period(2), waited: Duration::ZERO };
    let (up_for, next) = (Duration::ZERO, Duration::from_secs(2));
    story.news(3, event, News::DidNotLast { up_for, next });
}

#[test]
fn rule_8_a_target_that_lasted_until_it_was_stopped_resets_the_back_off() {
    let mut story = Story::awake(Policy { cooldown: Duration::ZERO, ..policy() });
    story.lifecycle.start_backoff.failures = 3;
    story.tell(1, vacant(1), &[LockDoor]);
    story.tell(1, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    assert_eq!(story.lifecycle.start_backoff.failures, 0);
}

#[test]
fn rule_8_a_start_that_timed_out_is_undone() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(6, Tick, &[Cancel(Call(0)), Close(A, Reason::StartTimedOut)]);
    story.is(Phase::Stopping);
    story.tell(6, arrived(B), &[]);
    // The hook takes its time to end.
    story.tell(7, Tick, &[]);
    story.tell(7, Ended(Call(0)), &[LockDoor]);
    story.tell(7, DoorLocked, &[Ask(Call(1), Stop(Cause::FailedStart))]);
    story.tell(8, StopEnded(Call(1), Outcome::Done), &[Ask(Call(2), Look)]);
    story.tell(8, looked(2, false), &[Ask(Call(3), Start(Cause::Client(B)))]);
}

#[test]
fn rule_8_the_back_off_outlasts_a_quick_undoing() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.step(6, Tick);
    story.tell(6, Ended(Call(0)), &[LockDoor]);
    story.tell(6, DoorLocked, &[Ask(Call(1), Stop(Cause::FailedStart))]);
    story.tell(6, StopEnded(Call(1), Outcome::Done), &[Ask(Call(2), Look)]);
    story.tell(6, looked(2, false), &[]);
    story.tell(6, arrived(B), &[]);
    story.tell(7, Tick, &[Ask(Call(3), Start(Cause::Client(B)))]);
}

#[test]
fn rule_8_a_start_that_timed_out_is_not_undone_under_connected_clients() {
    let mut story = Story::awake(policy());
    story.tell(5, refused(B, 0), &[ShutDoor, Ask(Call(2), Start(Cause::Client(B)))]);
    story.tell(11, Tick, &[Cancel(Call(2)), Close(B, Reason::StartTimedOut)]);
    story.tell(11, Ended(Call(2)), &[LockDoor]);
    story.tell(11, DoorOccupied, &[OpenDoor(Period(2))]);
    story.is(Phase::Awake);
    assert_eq!(story.lifecycle.deadline(), None);
}

#[test]
fn rule_8_a_permanent_failure_stays_refused() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    let permanent = Outcome::Failed(Retry::Never);
    let effects = [Close(A, Reason::StartFailed), Ask(Call(1), Look)];
    story.tell(1, StartEnded(Call(0), permanent), &effects);
    story.tell(1, looked(1, false), &[]);
    story.tell(9, arrived(B), &[Close(B, Reason::Unusable)]);
    story.tell(500, arrived(C), &[Close(C, Reason::Unusable)]);
    assert_eq!(story.lifecycle.deadline(), None);
}

#[test]
fn rule_8_readiness_that_will_never_come_ends_the_start() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(1, StartEnded(Call(0), Outcome::Done), &[Ask(Call(1), AskReady(1))]);
    let effects = [Close(A, Reason::StartFailed), Ask(Call(2), Look)];
    story.tell(1, ReadyEnded(Call(1), Ready::Never), &effects);
}

#[test]
fn rule_8_a_server_that_a_failed_start_left_running_is_found_and_stopped() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    let effects = [Close(A, Reason::StartFailed), Ask(Call(1), Look)];
    story.tell(1, StartEnded(Call(0), failed()), &effects);
    story.tell(1, looked(1, true), &[OpenDoor(Period(1))]);
    story.is(Phase::Awake);
    story.tell(5, Tick, &[LockDoor]);
    story.tell(5, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
}

#[test]
fn rule_9_after_a_failed_stop_a_target_that_answers_is_awake_and_stopped_again() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(15, arrived(B), &[]);
    story.tell(15, StopEnded(Call(2), failed()), &[Ask(Call(3), Look)]);
    story.is(Phase::Stopping);
    let effects = [OpenDoor(Period(2)), Admit(B, Period(2))];
    story.tell(15, looked(3, true), &effects);
    story.is(Phase::Awake);
}

#[test]
fn rule_9_a_failed_stop_is_tried_again_with_back_off() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    let mut now = 14;
    let mut call = 2;
    for back_off in [1, 2, 2] {
        story.tell(now, DoorLocked, &[Ask(Call(call), Stop(Cause::Cooldown))]);
        story.tell(now, StopEnded(Call(call), failed()), &[Ask(Call(call + 1), Look)]);
        let probed = looked(call + 1, true);
        let told = story.step(now, probed);
        let next = Duration::from_secs(back_off);
        assert!(told.contains(&Tell(News::StillUp { next, done: false })), "{told:?}");
        now += back_off;
        call += 2;
        story.tell(now, Tick, &[LockDoor]);
    }
}

#[test]
fn rule_9_a_stop_that_takes_too_long_is_a_failed_one() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(17, Tick, &[Cancel(Call(2))]);
    story.is(Phase::Stopping);
    // The hook runs on for a while, and may still bring the target down: nobody looks before its end.
    story.tell(18, arrived(B), &[]);
    story.tell(18, Ended(Call(2)), &[Ask(Call(3), Look)]);
    story.tell(18, looked(3, false), &[Ask(Call(4), Start(Cause::Client(B)))]);
}

#[test]
fn rule_9_idle_counts_from_the_last_client_and_not_from_a_failed_stop() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(14, StopEnded(Call(2), failed()), &[Ask(Call(3), Look)]);
    story.tell(14, looked(3, true), &[OpenDoor(Period(2))]);
    story.tell(15, Tick, &[LockDoor]);
    let idle_for = Duration::from_secs(5);
    story.news(15, DoorLocked, News::Stopping { cause: Cause::Cooldown, idle_for });
}

fn looking() -> Policy {
    Policy { look_pause_most: Some(Duration::from_secs(15)), ..policy() }
}

#[test]
fn rule_9_a_sleeping_target_is_looked_at_and_adopted_if_it_is_up() {
    let mut story = Story::asleep(looking());
    story.tell(9, Tick, &[]);
    story.tell(10, Tick, &[Ask(Call(0), Look)]);
    story.tell(10, looked(0, false), &[]);
    story.tell(24, Tick, &[Ask(Call(1), Look)]);
    story.news(24, looked(1, true), News::FoundUp);
    story.is(Phase::Awake);
    story.tell(28, Tick, &[LockDoor]);
    story.tell(28, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
}

#[test]
fn rule_9_looks_at_a_sleeping_target_get_rarer_and_go_on() {
    let mut story = Story::asleep(looking());
    let mut now = 0;
    for (call, pause) in [(0, 10), (1, 10), (2, 15), (3, 15), (4, 15)] {
        now += pause;
        story.tell(now - 1, Tick, &[]);
        story.tell(now, Tick, &[Ask(Call(call), Look)]);
        story.tell(now, looked(call, false), &[]);
    }
}

#[test]
fn rule_17_a_client_that_comes_during_a_look_waits_for_the_end_of_it() {
    let mut story = Story::asleep(looking());
    story.tell(10, Tick, &[Ask(Call(0), Look)]);
    story.tell(11, arrived(A), &[Cancel(Call(0))]);
    story.is(Phase::Starting);
    // Late answers count as the end, and as nothing else.
    story.tell(11, looked(0, true), &[Ask(Call(1), Start(Cause::Client(A)))]);
    story.is(Phase::Starting);
}

#[test]
fn rule_10_a_target_that_is_up_at_boot_cools_down() {
    let mut story = Story::new(policy());
    story.tell(0, Booted(UnderWay::Nothing), &[Ask(Call(0), FirstLook)]);
    story.tell(1, looked(0, true), &[OpenDoor(Period(1))]);
    story.is(Phase::Awake);
    story.tell(5, Tick, &[LockDoor]);
    story.tell(5, DoorLocked, &[Ask(Call(1), Stop(Cause::Cooldown))]);
}

#[test]
fn rule_10_a_client_that_comes_before_the_boot_is_over_is_held() {
    let booted = |policy| {
        let mut story = Story::new(policy);
        story.tell(0, arrived(A), &[]);
        story.tell(0, Booted(UnderWay::Nothing), &[Ask(Call(0), FirstLook)]);
        story
    };
    let mut story = booted(policy());
    story.tell(1, looked(0, false), &[Ask(Call(1), Start(Cause::Client(A)))]);

    let mut story = booted(policy());
    story.tell(1, looked(0, true), &[OpenDoor(Period(1)), Admit(A, Period(1))]);

    let mut story = booted(Policy { gated: true, ..policy() });
    story.tell(1, looked(0, false), &[Judge(A)]);
    // Its time has run since it came.
    story.tell(8, Tick, &[Close(A, Reason::WaitedTooLong)]);
}

#[test]
fn rule_10_a_start_that_was_under_way_goes_on_and_is_not_begun_again() {
    let mut story = Story::new(policy());
    story.tell(0, arrived(A), &[]);
    story.tell(0, Booted(UnderWay::Start), &[Ask(Call(0), AwaitLeftover)]);
    story.is(Phase::Starting);
    story.tell(1, arrived(B), &[]);
    story.tell(2, LeftoverEnded(Call(0)), &[Ask(Call(1), AskReady(1))]);
    let effects = [OpenDoor(Period(1)), Admit(A, Period(1)), Admit(B, Period(1))];
    story.tell(3, ReadyEnded(Call(1), Ready::Yes), &effects);
}

#[test]
fn rule_10_a_start_that_was_under_way_and_comes_to_nothing_is_undone() {
    let mut story = Story::new(policy());
    story.tell(0, Booted(UnderWay::Start), &[Ask(Call(0), AwaitLeftover)]);
    story.tell(0, LeftoverEnded(Call(0)), &[Ask(Call(1), AskReady(1))]);
    story.tell(6, Tick, &[Cancel(Call(1))]);
    story.tell(6, Ended(Call(1)), &[LockDoor]);
    story.tell(6, DoorLocked, &[Ask(Call(2), Stop(Cause::FailedStart))]);
}

#[test]
fn rule_10_a_hook_that_an_earlier_dormouse_left_is_ended_when_its_time_is_up() {
    let mut story = Story::new(policy());
    story.tell(0, Booted(UnderWay::Start), &[Ask(Call(0), AwaitLeftover)]);
    story.tell(6, Tick, &[Cancel(Call(0))]);
    story.tell(8, Ended(Call(0)), &[LockDoor]);
    story.tell(8, DoorLocked, &[Ask(Call(1), Stop(Cause::FailedStart))]);
}

#[test]
fn rule_10_a_start_that_was_cancelled_is_undone_and_not_waited_for() {
    let mut story = Story::new(policy());
    story.tell(0, arrived(A), &[]);
    story.tell(0, Booted(UnderWay::CancelledStart), &[Ask(Call(0), AwaitLeftover)]);
    story.tell(1, LeftoverEnded(Call(0)), &[LockDoor]);
    story.tell(1, DoorLocked, &[Ask(Call(1), Stop(Cause::FailedStart))]);
    story.tell(1, StopEnded(Call(1), Outcome::Done), &[Ask(Call(2), Look)]);
    story.tell(1, looked(2, false), &[Ask(Call(3), Start(Cause::Client(A)))]);
}

#[test]
fn rule_10_a_stop_that_was_under_way_is_looked_at_before_it_is_believed() {
    let mut story = Story::new(policy());
    story.tell(0, Booted(UnderWay::Stop), &[Ask(Call(0), AwaitLeftover)]);
    story.is(Phase::Stopping);
    story.tell(0, arrived(A), &[]);
    story.tell(1, LeftoverEnded(Call(0)), &[Ask(Call(1), Look)]);
    story.tell(1, looked(1, false), &[Ask(Call(2), Start(Cause::Client(A)))]);
}

#[test]
fn rule_10_a_stop_that_was_under_way_is_ordered_again_where_nobody_may_look() {
    let mut story = Story::new(Policy { verifies_stop: false, ..policy() });
    story.tell(0, Booted(UnderWay::Stop), &[Ask(Call(0), AwaitLeftover)]);
    story.tell(1, LeftoverEnded(Call(0)), &[Ask(Call(1), Stop(Cause::Cooldown))]);
}

#[test]
fn rule_10_what_is_under_way_is_recorded_before_it_is_ordered() {
    let records = |effects: &[Effect]| -> Vec<_> {
        let kept = effects.iter().filter(|effect| matches!(effect, Effect::Record(_) | Ask(..)));
        kept.cloned().collect()
    };
    let mut story = Story::asleep(policy());
    let started = story.step(0, arrived(A));
    let cause = Cause::Client(A);
    let start = [Effect::Record(Record::Starting(cause)), Ask(Call(0), Start(cause))];
    assert_eq!(records(&started), start);
    story.step(0, StartEnded(Call(0), Outcome::Done));
    let ready = story.step(0, ReadyEnded(Call(1), Ready::Yes));
    assert_eq!(records(&ready), [Effect::Record(Record::Up)]);
    story.step(10, vacant(10));
    story.step(14, Tick);
    let stopping = story.step(14, DoorLocked);
    let cause = Cause::Cooldown;
    let stop = [Effect::Record(Record::Stopping(cause)), Ask(Call(2), Stop(cause))];
    assert_eq!(records(&stopping), stop);
    story.step(14, StopEnded(Call(2), Outcome::Done));
    let asleep = story.step(14, looked(3, false));
    assert_eq!(records(&asleep), [Effect::Record(Record::Asleep)]);
}

#[test]
fn a_service_without_deciders_closes_its_clients() {
    let mut story = Story::new(policy());
    story.tell(0, arrived(A), &[]);
    story.tell(1, Unusable, &[Close(A, Reason::Unusable)]);
    story.tell(2, arrived(B), &[Close(B, Reason::Unusable)]);
}

#[test]
fn rule_11_a_held_client_that_hangs_up_is_forgotten_and_the_start_goes_on() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(0, Left(A), &[]);
    story.tell(1, StartEnded(Call(0), Outcome::Done), &[Ask(Call(1), AskReady(1))]);
    story.tell(1, ReadyEnded(Call(1), Ready::Yes), &[OpenDoor(Period(1))]);
    story.tell(5, Tick, &[LockDoor]);
    story.tell(5, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
}

#[test]
fn rule_12_a_client_is_held_no_longer_than_hold_timeout() {
    let mut story = Story::asleep(Policy { start_timeout: Duration::from_secs(60), ..policy() });
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(2, arrived(B), &[]);
    story.tell(7, Tick, &[]);
    story.tell(8, Tick, &[Close(A, Reason::WaitedTooLong)]);
    story.tell(10, Tick, &[Close(B, Reason::WaitedTooLong)]);
    story.is(Phase::Starting);
}

#[test]
fn rule_12_time_that_a_client_was_held_before_counts() {
    let mut story = Story::awake(policy());
    story.tell(5, refused(A, 5), &[ShutDoor]);
    story.tell(6, Tick, &[Ask(Call(2), Start(Cause::Client(A)))]);
    story.tell(8, Tick, &[Close(A, Reason::WaitedTooLong)]);
}

#[test]
fn rule_12_one_more_than_max_held_is_closed_at_once() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(0, arrived(B), &[]);
    story.tell(0, arrived(C), &[Close(C, Reason::Full)]);
    story.tell(0, Left(A), &[]);
    story.tell(0, arrived(C), &[]);
}

#[test]
fn rule_12_clients_at_the_gate_count_as_held() {
    let mut story = Story::asleep(Policy { gated: true, ..policy() });
    story.tell(0, arrived(A), &[Judge(A)]);
    story.tell(0, arrived(B), &[Judge(B)]);
    story.tell(0, arrived(C), &[Close(C, Reason::Full)]);
}

/// Another client from where A comes from.
fn arrived_beside_a(client: u64) -> Event {
    arrived_from(ClientId(client), A)
}

#[test]
fn rule_12_the_last_of_an_address_with_the_most_places_makes_way_for_another_address() {
    let mut story = Story::asleep(Policy { max_held: 3, ..policy() });
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(0, arrived_beside_a(11), &[]);
    story.tell(0, arrived_beside_a(12), &[]);
    story.tell(0, arrived_beside_a(13), &[Close(ClientId(13), Reason::Full)]);
    story.tell(0, arrived(B), &[Close(ClientId(12), Reason::Displaced)]);
    // Two places against none: that is worth a place; two against one is not.
    story.tell(0, arrived(C), &[Close(ClientId(11), Reason::Displaced)]);
    story.tell(0, arrived_beside_a(14), &[Close(ClientId(14), Reason::Full)]);
    story.tell(0, Left(A), &[]);
    story.tell(0, arrived_beside_a(15), &[]);
}

#[test]
fn rule_12_nobody_loses_a_place_to_one_whose_address_has_as_many() {
    let mut story = Story::asleep(Policy { max_held: 2, ..policy() });
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(0, arrived(B), &[]);
    story.tell(0, arrived(C), &[Close(C, Reason::Full)]);
    let mut story = Story::asleep(Policy { max_held: 3, ..policy() });
    story.tell(0, arrived(B), &[Ask(Call(0), Start(Cause::Client(B)))]);
    story.tell(0, arrived(A), &[]);
    story.tell(0, arrived_beside_a(11), &[]);
    story.tell(0, arrived_from(ClientId(12), B), &[Close(ClientId(12), Reason::Full)]);
}

#[test]
fn rule_12_one_at_the_gate_makes_way_before_one_that_has_passed_it() {
    let mut story = Story::asleep(Policy { max_held: 3, gated: true, ..policy() });
    story.tell(0, arrived(A), &[Judge(A)]);
    story.tell(0, arrived_beside_a(11), &[Judge(ClientId(11))]);
    story.tell(0, arrived_beside_a(12), &[Judge(ClientId(12))]);
    let passed = Passed { client: ClientId(12), stays: true };
    story.tell(0, passed, &[Ask(Call(0), Start(Cause::Client(ClientId(12))))]);
    story.tell(0, arrived(B), &[Close(ClientId(11), Reason::Displaced), Judge(B)]);
}

#[test]
fn rule_12_a_client_that_has_waited_too_long_displaces_nobody() {
    let mut story = Story::awake(Policy { max_held: 2, ..policy() });
    story.tell(10, refused(A, 0), &[ShutDoor, Ask(Call(2), Start(Cause::Client(A)))]);
    story.tell(10, arrived_beside_a(11), &[]);
    story.tell(10, refused(B, 8), &[Close(B, Reason::WaitedTooLong)]);
}

#[test]
fn rule_15_room_is_made_by_the_last_of_the_address_with_the_most_places() {
    let mut story = Story::asleep(Policy { max_held: 4, ..policy() });
    story.tell(0, MakeRoom, &[]);
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(0, arrived_beside_a(11), &[]);
    story.tell(0, arrived(B), &[]);
    story.tell(0, MakeRoom, &[Close(ClientId(11), Reason::MadeRoom)]);
    story.tell(0, MakeRoom, &[Close(B, Reason::MadeRoom)]);
    story.tell(0, MakeRoom, &[Close(A, Reason::MadeRoom)]);
    story.tell(0, MakeRoom, &[]);
    // The start goes on, as it does after a client that hung up (rule 11).
    story.is(Phase::Starting);
}

#[test]
fn rule_14_at_the_exit_the_held_are_closed_calls_taken_back_and_the_target_left_alone() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    let effects = [Close(A, Reason::Exit), Cancel(Call(0)), ShutDoor];
    story.tell(1, Exit, &effects);
    story.tell(1, arrived(B), &[Close(B, Reason::Exit)]);
    story.tell(2, Drained, &[]);
    story.tell(3, Ended(Call(0)), &[Finish]);
}

#[test]
fn rule_14_a_stop_that_runs_at_the_exit_may_finish() {
    let mut story = Story::awake(Policy { stop_on_exit: true, ..policy() });
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(15, Exit, &[ShutDoor]);
    story.tell(15, Drained, &[]);
    story.is(Phase::Stopping);
    story.tell(16, StopEnded(Call(2), Outcome::Done), &[Finish]);
}

#[test]
fn rule_14_a_stop_that_runs_at_the_exit_has_no_more_than_its_time() {
    let mut story = Story::awake(policy());
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(15, Exit, &[ShutDoor]);
    story.tell(15, Drained, &[]);
    story.tell(17, Tick, &[Cancel(Call(2))]);
    story.tell(18, Ended(Call(2)), &[Finish]);
}

#[test]
fn rule_14_a_failed_stop_at_the_exit_is_tried_once_more_if_the_exit_stops() {
    let mut story = Story::awake(Policy { stop_on_exit: true, ..policy() });
    story.tell(10, vacant(10), &[]);
    story.tell(14, Tick, &[LockDoor]);
    story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(15, Exit, &[ShutDoor]);
    story.tell(15, StopEnded(Call(2), failed()), &[]);
    story.tell(15, Drained, &[Ask(Call(3), Stop(Cause::Exit))]);
    story.tell(16, StopEnded(Call(3), failed()), &[Finish]);
}

#[test]
fn rule_14_the_last_stop_waits_for_the_end_of_a_cancelled_start() {
    let mut story = Story::asleep(Policy { stop_on_exit: true, ..policy() });
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(1, Exit, &[Close(A, Reason::Exit), Cancel(Call(0)), ShutDoor]);
    story.tell(1, Drained, &[]);
    story.tell(4, Ended(Call(0)), &[Ask(Call(1), Stop(Cause::Exit))]);
}

#[test]
fn rule_14_stop_on_exit_stops_the_target_after_the_drain() {
    let mut story = Story::awake(Policy { stop_on_exit: true, ..policy() });
    story.tell(1, Exit, &[ShutDoor]);
    story.tell(3, vacant(3), &[]);
    story.tell(3, Drained, &[Ask(Call(2), Stop(Cause::Exit))]);
    story.tell(4, StopEnded(Call(2), Outcome::Done), &[Finish]);
}

#[test]
fn rule_14_a_stop_at_the_exit_that_takes_too_long_is_given_up() {
    let mut story = Story::awake(Policy { stop_on_exit: true, ..policy() });
    story.tell(1, Exit, &[ShutDoor]);
    story.tell(3, Drained, &[Ask(Call(2), Stop(Cause::Exit))]);
    story.tell(6, Tick, &[Cancel(Call(2))]);
    story.tell(8, Ended(Call(2)), &[Finish]);
}

#[test]
fn rule_14_stop_on_exit_leaves_a_target_alone_that_is_asleep() {
    let mut story = Story::asleep(Policy { stop_on_exit: true, ..policy() });
    story.tell(1, Exit, &[ShutDoor]);
    story.tell(1, Drained, &[Finish]);
}

#[test]
fn a_deadline_that_has_passed_comes_before_the_event_of_a_busy_inbox() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    let effects = [Cancel(Call(0)), Close(A, Reason::StartTimedOut)];
    story.tell(7, Left(B), &effects);
}

#[test]
fn a_start_that_was_done_while_the_machine_was_suspended_is_not_undone() {
    let mut story = Story::asleep(Policy { hold_timeout: Duration::from_secs(99), ..policy() });
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(1, StartEnded(Call(0), Outcome::Done), &[Ask(Call(1), AskReady(1))]);
    let effects = [OpenDoor(Period(1)), Admit(A, Period(1))];
    story.tell(50, ReadyEnded(Call(1), Ready::Yes), &effects);
}

#[test]
fn the_next_deadline_is_that_of_the_state_or_of_the_client_that_waits_longest() {
    let policy = Policy { start_timeout: Duration::from_secs(20), ..policy() };
    let mut story = Story::asleep(policy);
    assert_eq!(story.lifecycle.deadline(), None);
    story.tell(1, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    assert_eq!(story.lifecycle.deadline(), Some(seconds(9)), "its hold_timeout");
    story.tell(2, Left(A), &[]);
    assert_eq!(story.lifecycle.deadline(), Some(seconds(21)), "the start_timeout");
    story.tell(3, StartEnded(Call(0), Outcome::Done), &[Ask(Call(1), AskReady(1))]);
    assert_eq!(story.lifecycle.deadline(), Some(seconds(21)));
    story.tell(3, ReadyEnded(Call(1), Ready::NotYet), &[]);
    assert_eq!(story.lifecycle.deadline(), Some(seconds(4)), "the pause");
}

#[test]
fn a_cool_down_is_reported_where_nobody_waited_for_the_target_and_only_there() {
    let cooling_down = Tell(News::CoolingDown(Duration::from_secs(4)));
    for stays in [true, false] {
        let mut story = Story::asleep(policy());
        story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
        if !stays {
            story.tell(0, Left(A), &[]);
        }
        story.tell(0, StartEnded(Call(0), Outcome::Done), &[Ask(Call(1), AskReady(1))]);
        let told = story.step(0, ReadyEnded(Call(1), Ready::Yes));
        assert_eq!(told.contains(&cooling_down), !stays, "{told:?}");
    }
}

#[test]
fn who_passed_the_gate_and_did_not_stay_is_known_until_its_start() {
    let mut story = Story::asleep(Policy { gated: true, ..policy() });
    story.lifecycle.start_backoff.until = seconds(5);
    story.tell(0, arrived(A), &[Judge(A)]);
    assert_eq!(story.lifecycle.wanted(), None);
    story.tell(0, Passed { client: A, stays: false }, &[]);
    assert_eq!(story.lifecycle.wanted(), Some(A));
    story.tell(5, Tick, &[Ask(Call(0), Start(Cause::Client(A)))]);
    assert_eq!(story.lifecycle.wanted(), None);
}

#[test]
fn a_client_that_comes_after_a_deadline_which_nobody_noticed_is_not_held_to_it() {
    let mut story = Story::asleep(policy());
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    // Only the start that timed out closes its clients.
    story.tell(7, arrived(B), &[Cancel(Call(0)), Close(A, Reason::StartTimedOut)]);
    assert_eq!(story.lifecycle.waiting(), 1);
}

#[test]
fn rule_8_the_first_client_in_a_back_off_is_reported_and_no_other() {
    let mut story = Story::asleep(policy());
    story.lifecycle.start_backoff.until = seconds(5);
    story.news(1, arrived(A), News::BackingOff(Duration::from_secs(4)));
    let told = story.step(2, arrived(B));
    assert!(!told.iter().any(|effect| matches!(effect, Tell(News::BackingOff(_)))), "{told:?}");
}

#[test]
fn who_passed_the_gate_and_stays_is_held_and_not_remembered() {
    let mut story = Story::asleep(Policy { gated: true, ..policy() });
    story.lifecycle.start_backoff.until = seconds(5);
    story.tell(0, arrived(A), &[Judge(A)]);
    story.tell(0, Passed { client: A, stays: true }, &[]);
    assert_eq!(story.lifecycle.wanted(), None);
    // So nothing is started for it once it has hung up.
    story.tell(1, Left(A), &[]);
    story.tell(5, Tick, &[]);
}

#[test]
fn rule_14_stop_on_exit_stops_a_target_that_is_not_certain_to_sleep() {
    for (done, last) in [(true, Finish), (false, Ask(Call(4), Stop(Cause::Exit)))] {
        let mut story = Story::awake(Policy { stop_on_exit: true, ..policy() });
        story.tell(10, vacant(10), &[]);
        story.tell(14, Tick, &[LockDoor]);
        story.tell(14, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
        let outcome = if done { Outcome::Done } else { failed() };
        story.tell(14, StopEnded(Call(2), outcome), &[Ask(Call(3), Look)]);
        story.tell(14, Exit, &[Cancel(Call(3)), ShutDoor]);
        story.tell(14, Drained, &[]);
        story.tell(14, Ended(Call(3)), &[last]);
    }
    let mut story = Story::asleep(Policy { stop_on_exit: true, ..policy() });
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    let effects = [Close(A, Reason::StartFailed), Ask(Call(1), Look)];
    story.tell(1, StartEnded(Call(0), failed()), &effects);
    story.tell(1, Exit, &[Cancel(Call(1)), ShutDoor]);
    story.tell(1, Drained, &[]);
    story.tell(1, Ended(Call(1)), &[Ask(Call(2), Stop(Cause::Exit))]);
}

#[test]
fn rule_10_a_stop_at_the_exit_stays_recorded_until_somebody_has_looked() {
    for verifies_stop in [true, false] {
        let mut story = Story::awake(Policy { stop_on_exit: true, verifies_stop, ..policy() });
        story.tell(1, Exit, &[ShutDoor]);
        story.tell(3, Drained, &[Ask(Call(2), Stop(Cause::Exit))]);
        let told = story.step(4, StopEnded(Call(2), Outcome::Done));
        let forgotten = told.contains(&Effect::Record(Record::Asleep));
        assert_eq!(forgotten, !verifies_stop, "{told:?}");
    }
}

#[test]
fn rule_14_clients_that_waited_at_the_exit_are_counted() {
    for waits in [true, false] {
        let mut story = Story::asleep(policy());
        if waits {
            story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
        }
        let told = story.step(1, Exit);
        assert_eq!(told.contains(&Tell(News::ClosedAtExit(1))), waits, "{told:?}");
        assert!(!told.contains(&Tell(News::ClosedAtExit(0))), "{told:?}");
    }
}

#[test]
fn rule_9_a_target_whose_last_client_has_left_after_it_was_believed_gone_is_looked_at() {
    let mut story = Story::asleep(policy());
    story.tell(5, vacant(5), &[Ask(Call(0), Look)]);
    story.tell(5, looked(0, true), &[OpenDoor(Period(1))]);
}

// The wake budget.

/// At most so many wakes within 100 seconds, by all and by each.
fn budget(all: Option<usize>, each: Option<usize>) -> Policy {
    let window = Duration::from_secs(100);
    let wakes = WakeLimits { all, each, window };
    Policy { wakes, cooldown: Duration::ZERO, verifies_stop: false, ..policy() }
}

fn over(client: ClientId, limit: WakeLimit, next: u64) -> News {
    let next = Duration::from_secs(next);
    News::OverBudget { client, budget: OverBudget { limit, next } }
}

/// The client inside leaves, and the target falls asleep; `call` is the next question's number.
fn sleep(story: &mut Story, at: u64, call: u64) {
    story.tell(at, vacant(at), &[LockDoor]);
    story.tell(at, DoorLocked, &[Ask(Call(call), Stop(Cause::Cooldown))]);
    story.tell(at, StopEnded(Call(call), Outcome::Done), &[]);
    story.is(Phase::Asleep);
}

#[test]
fn a_wake_beyond_the_budget_is_refused_until_an_earlier_one_is_long_ago() {
    let mut story = Story::awake(budget(Some(1), None));
    sleep(&mut story, 10, 2);
    story.news(20, arrived(B), over(B, WakeLimit::All, 80));
    story.tell(99, arrived(B), &[Close(B, Reason::OverBudget)]);
    story.tell(100, arrived(B), &[Ask(Call(3), Start(Cause::Client(B)))]);
}

#[test]
fn a_client_that_has_spent_its_budget_does_not_keep_others_from_waking_the_target() {
    let mut story = Story::awake(budget(None, Some(1)));
    sleep(&mut story, 10, 2);
    story.tell(20, arrived_from(B, A), &[Close(B, Reason::OverBudget)]);
    story.tell(20, arrived(C), &[Ask(Call(3), Start(Cause::Client(C)))]);
}

#[test]
fn a_client_that_joins_a_start_or_comes_to_an_awake_target_is_no_wake() {
    let mut story = Story::asleep(budget(Some(1), Some(1)));
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    story.tell(1, arrived_from(B, A), &[]);
    story.tell(1, StartEnded(Call(0), Outcome::Done), &[Ask(Call(1), AskReady(1))]);
    let effects = [OpenDoor(Period(1)), Admit(A, Period(1)), Admit(B, Period(1))];
    story.tell(1, ReadyEnded(Call(1), Ready::Yes), &effects);
    story.tell(2, arrived_from(C, A), &[Admit(C, Period(1))]);
}

#[test]
fn the_gate_comes_before_the_budget() {
    let mut story = Story::asleep(Policy { gated: true, ..budget(Some(1), None) });
    story.tell(0, arrived(A), &[Judge(A)]);
    story.tell(0, Left(A), &[]);
    story.tell(1, arrived(B), &[Judge(B)]);
    let start = [Ask(Call(0), Start(Cause::Client(B)))];
    story.tell(1, Passed { client: B, stays: true }, &start);
}

#[test]
fn a_client_that_wakes_and_is_closed_is_a_wake_like_any_other() {
    let mut story = Story::asleep(Policy { gated: true, ..budget(Some(1), None) });
    story.tell(0, arrived(A), &[Judge(A)]);
    let start = [Ask(Call(0), Start(Cause::Client(A)))];
    story.tell(0, Passed { client: A, stays: false }, &start);
    story.tell(0, StartEnded(Call(0), failed()), &[Ask(Call(1), Look)]);
    story.tell(0, looked(1, false), &[]);
    story.tell(50, arrived(B), &[Judge(B)]);
    story.news(50, Passed { client: B, stays: false }, over(B, WakeLimit::All, 50));
    assert_eq!(story.lifecycle.deadline(), None, "nothing is left of it");
}

#[test]
fn a_passer_whose_wake_is_over_the_budget_does_not_take_the_place_of_another() {
    let mut story = Story::awake(budget(None, Some(1)));
    sleep(&mut story, 10, 2);
    story.policy.gated = true;
    story.lifecycle.start_backoff.until = seconds(20);
    story.tell(11, arrived(B), &[Judge(B)]);
    story.tell(11, Passed { client: B, stays: false }, &[]);
    story.tell(12, arrived_from(C, A), &[Judge(C)]);
    story.tell(12, Passed { client: C, stays: false }, &[]);
    assert_eq!(story.lifecycle.wanted(), Some(B));
}

#[test]
fn a_client_in_the_back_off_that_may_not_wake_the_target_is_not_held_for_it() {
    let mut story = Story::asleep(budget(Some(1), None));
    story.tell(0, arrived(A), &[Ask(Call(0), Start(Cause::Client(A)))]);
    let effects = [Close(A, Reason::StartFailed), Ask(Call(1), Look)];
    story.tell(0, StartEnded(Call(0), failed()), &effects);
    story.tell(0, arrived(B), &[Close(B, Reason::OverBudget)]);
}

#[test]
fn who_waits_for_a_stop_and_may_wake_the_target_has_it_started_for_those_who_may_not_as_well() {
    let mut story = Story::awake(budget(None, Some(1)));
    story.tell(10, vacant(10), &[LockDoor]);
    story.tell(10, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(11, arrived(B), &[]);
    story.tell(11, arrived_from(C, A), &[]);
    let start = [Ask(Call(3), Start(Cause::Client(B)))];
    story.tell(12, StopEnded(Call(2), Outcome::Done), &start);
    story.tell(13, StartEnded(Call(3), Outcome::Done), &[Ask(Call(4), AskReady(1))]);
    let effects = [OpenDoor(Period(2)), Admit(B, Period(2)), Admit(C, Period(2))];
    story.tell(13, ReadyEnded(Call(4), Ready::Yes), &effects);
}

#[test]
fn who_joined_a_start_to_come_is_judged_when_its_waker_has_hung_up() {
    let mut story = Story::awake(budget(None, Some(1)));
    story.tell(10, vacant(10), &[LockDoor]);
    story.tell(10, DoorLocked, &[Ask(Call(2), Stop(Cause::Cooldown))]);
    story.tell(11, arrived(B), &[]);
    story.tell(11, arrived_from(C, A), &[]);
    story.tell(12, Left(B), &[]);
    story.tell(12, StopEnded(Call(2), Outcome::Done), &[Close(C, Reason::OverBudget)]);
    story.is(Phase::Asleep);
}
