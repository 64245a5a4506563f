//! What the answers to questions do.
//!
//! An answer belongs to the one state that asked for it: in every other state, and with every
//! other number, it is stale and changes nothing.

use super::calls::{PendingCall, Poll};
use super::vocabulary::{Call, MaySleep, Moment, News, Outcome, Question, Ready, Reason, Retry};
use super::{Cause, Effect, Lifecycle, Rest, State, Turn};

impl Lifecycle {
    pub(super) fn start_ended(&mut self, turn: &mut Turn, answered: Call, outcome: Outcome) {
        let State::Starting { start, .. } = self.state else { return };
        if !start.is(answered) {
            return;
        }
        match outcome {
            Outcome::Done => self.await_readiness(turn, start),
            Outcome::Failed(retry) => self.start_failed(turn, retry),
        }
    }

    /// What an earlier Dormouse has left of a start or a stop is gone. How it ended is not known, so
    /// it counts as done, and the target shows whether it was.
    pub(super) fn leftover_ended(&mut self, turn: &mut Turn, answered: Call) {
        match self.state {
            State::Starting { start, undo: true } if start.is(answered) => {
                self.state = State::RollingBack { locking: false };
            }
            State::Starting { .. } => self.start_ended(turn, answered, Outcome::Done),
            // Nobody may look, so the stop is ordered once more.
            State::Stopping { stop, idle_since }
                if stop.is(answered) && !turn.policy.verifies_stop =>
            {
                self.stop(turn, Cause::Cooldown, idle_since);
            }
            State::Stopping { .. } => self.stop_ended(turn, answered, Outcome::Done),
            State::Draining { drained, stop: Some(stop), .. } if stop.is(answered) => {
                self.state = State::Draining { up: true, drained, stop: None };
            }
            State::Booting
            | State::FirstLook(_)
            | State::Asleep { .. }
            | State::AwaitingReady { .. }
            | State::RollingBack { .. }
            | State::Awake { .. }
            | State::VerifyingStop { .. }
            | State::Draining { .. }
            | State::FinalStop { .. }
            | State::Finished => {}
        }
    }

    fn await_readiness(&mut self, turn: &mut Turn, start: PendingCall) {
        let since = start.since(turn.now);
        let until = start.until().unwrap_or(turn.now);
        turn.tell(News::Started(turn.now.since(since)));
        let question = ask_ready(1, turn.now, until);
        self.state = State::AwaitingReady { since, until, attempt: 1, question };
    }

    /// Rule 8. Whatever the start did before it failed, a server that runs now is not left alone:
    /// a look finds it.
    fn start_failed(&mut self, turn: &mut Turn, retry: Retry) {
        let (closed, next) = self.fail_start(turn, retry, Reason::StartFailed);
        let refuses = retry == Retry::Never;
        turn.tell(News::StartFailed { closed, next: (!refuses).then_some(next) });
        self.assume_asleep(turn, refuses);
    }

    pub(super) fn ready_ended(&mut self, turn: &mut Turn, answered: Call, answer: Ready) {
        let State::AwaitingReady { since, until, attempt, question } = self.state else { return };
        let Poll::Asking(asked) = question else { return };
        if !asked.is(answered) {
            return;
        }
        match answer {
            Ready::Yes => {
                let took = turn.now.since(since);
                let held = self.waiting.held();
                turn.tell(News::Ready { took, held });
                self.awaken_for_clients(turn);
            }
            Ready::NotYet => {
                let answered_in = turn.now.since(asked.since(turn.now));
                let pause = turn.policy.ready_pause(turn.now.since(since), answered_in);
                let question = Poll::Pause(turn.now.after(pause));
                self.state = State::AwaitingReady { since, until, attempt, question };
            }
            Ready::Never => self.start_failed(turn, Retry::Never),
        }
    }

    /// Readiness is asked again, or was never reached.
    pub(super) fn readiness_is_due(&mut self, turn: &mut Turn) {
        let State::AwaitingReady { since, until, attempt, question } = self.state else { return };
        if until <= turn.now {
            self.time_out_start(turn, false);
        } else if let Poll::Pause(_) = question {
            let attempt = attempt.saturating_add(1);
            let question = ask_ready(attempt, turn.now, until);
            self.state = State::AwaitingReady { since, until, attempt, question };
        }
    }

    pub(super) fn look_ended(&mut self, turn: &mut Turn, answered: Call, up: bool) {
        match self.state {
            State::FirstLook(look) if look.is(answered) => self.looked_first(turn, up, true),
            State::Asleep { look, .. } if look.is(answered) => self.looked_at_sleeper(turn, up),
            State::VerifyingStop { look, .. } if look.is(answered) => {
                self.looked_after_stop(turn, up);
            }
            State::Booting
            | State::FirstLook(_)
            | State::Asleep { .. }
            | State::Starting { .. }
            | State::AwaitingReady { .. }
            | State::RollingBack { .. }
            | State::Awake { .. }
            | State::Stopping { .. }
            | State::VerifyingStop { .. }
            | State::Draining { .. }
            | State::FinalStop { .. }
            | State::Finished => {}
        }
    }

    pub(super) fn may_sleep_ended(&mut self, turn: &mut Turn, answered: Call, answer: MaySleep) {
        let State::Awake { rest: Rest::Judging { since, question }, .. } = self.state else {
            return;
        };
        if question.is(answered) {
            self.may_sleep(turn, since, answer);
        }
    }

    /// It is known whether the target, idle `idle_since` then, may sleep.
    pub(super) fn may_sleep(&mut self, turn: &mut Turn, idle_since: Moment, answer: MaySleep) {
        let State::Awake { since, .. } = self.state else { return };
        match answer {
            MaySleep::Yes => self.stop(turn, Cause::Cooldown, idle_since),
            MaySleep::NotFor(delay) => {
                turn.tell(News::StaysAwake(delay));
                turn.act(Effect::OpenDoor(self.period));
                let until = turn.now.after(delay);
                let rest = Rest::CoolingDown { since: idle_since, until };
                self.state = State::Awake { since, rest };
            }
        }
    }
}

fn ask_ready(attempt: u32, now: Moment, until: Moment) -> Poll {
    Poll::Asking(PendingCall::Due(Question::Ready(attempt), until.since(now)))
}
