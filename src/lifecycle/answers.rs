//! What the answers to questions do.
//!
//! An answer belongs to the one state that asked for it: in every other state, and with every
//! other number, it is stale and changes nothing.

use super::vocabulary::{Call, MaySleep, Moment, News, Outcome, Question, Ready, Reason, Retry};
use super::{Asked, Cause, Effect, Lifecycle, ReadyQuestion, Rest, State, Turn};

impl Lifecycle {
    pub(super) fn start_ended(&mut self, turn: &mut Turn, answered: Call, outcome: Outcome) {
        let State::Starting { start: Asked { call, until }, since } = self.state else {
            return;
        };
        if answered != call {
            return;
        }
        match outcome {
            Outcome::Done => {
                turn.tell(News::Started(turn.now.since(since)));
                let call = self.ask(turn, Question::Ready(1));
                let question = ReadyQuestion::Asked { call, at: turn.now };
                self.state = State::Readying { since, until, attempt: 1, question };
            }
            Outcome::Failed(retry) => self.start_failed(turn, retry),
        }
    }

    /// Rule 8. Whatever the start did before it failed, a server that runs now is not left alone:
    /// a probe looks.
    fn start_failed(&mut self, turn: &mut Turn, retry: Retry) {
        let (closed, next) = self.fail_start(turn, retry, Reason::StartFailed);
        let refuses = retry == Retry::Never;
        turn.tell(News::StartFailed { closed, next: (!refuses).then_some(next) });
        self.state = State::Asleep { probe: None, refuses };
        self.look_if_asleep(turn);
    }

    /// The target counts as asleep, and it is not certain that it is: a probe looks, so that no
    /// server is left running unnoticed.
    pub(super) fn look_if_asleep(&mut self, turn: &mut Turn) {
        if let State::Asleep { probe: None, refuses } = self.state {
            let probe = self.ask_until(turn, Question::Probe, turn.policy.answer_timeout);
            self.state = State::Asleep { probe: Some(probe), refuses };
        }
    }

    pub(super) fn ready_ended(&mut self, turn: &mut Turn, answered: Call, answer: Ready) {
        let State::Readying { since, until, attempt, question } = self.state else {
            return;
        };
        let ReadyQuestion::Asked { call, at } = question else {
            return;
        };
        if answered != call {
            return;
        }
        match answer {
            Ready::Yes => {
                self.start_backoff.reset();
                let took = turn.now.since(since);
                let held = self.waiting.held();
                turn.tell(News::Ready { took, held });
                if self.awaken(turn, turn.policy.cooldown) == 0 {
                    turn.tell(News::CoolingDown(turn.policy.cooldown));
                }
            }
            Ready::NotYet => {
                let pause = turn.policy.ready_pause(turn.now.since(since), turn.now.since(at));
                let question = ReadyQuestion::Pause(turn.now.after(pause));
                self.state = State::Readying { since, until, attempt, question };
            }
            Ready::Never => self.start_failed(turn, Retry::Never),
        }
    }

    pub(super) fn stop_ended(&mut self, turn: &mut Turn, answered: Call, outcome: Outcome) {
        let (State::Stopping { stop, since } | State::LastStop { stop, since }) = self.state else {
            return;
        };
        if answered != stop.call {
            return;
        }
        let last = matches!(self.state, State::LastStop { .. });
        match outcome {
            Outcome::Done => {
                turn.tell(News::Stopped(turn.now.since(since)));
                self.stop_backoff.reset();
                if last { self.finish(turn) } else { self.fall_asleep(turn) }
            }
            Outcome::Failed(_) => {
                turn.tell(News::StopFailed);
                if last { self.finish(turn) } else { self.stop_failed(turn) }
            }
        }
    }

    pub(super) fn probe_ended(&mut self, turn: &mut Turn, answered: Call, listening: bool) {
        match self.state {
            State::Checking { probe } if probe.call == answered => {
                self.found_after_failed_stop(turn, listening);
            }
            State::Asleep { probe: Some(probe), refuses } if probe.call == answered => {
                if listening {
                    turn.tell(News::UpDespiteFailedStart);
                    if self.awaken(turn, turn.policy.cooldown) == 0 {
                        turn.tell(News::CoolingDown(turn.policy.cooldown));
                    }
                } else {
                    self.state = State::Asleep { probe: None, refuses };
                }
            }
            State::Booting
            | State::Asleep { .. }
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Undoing
            | State::Awake(_)
            | State::Stopping { .. }
            | State::Checking { .. }
            | State::Leaving { .. }
            | State::LastStop { .. }
            | State::Finished => {}
        }
    }

    pub(super) fn may_sleep_ended(&mut self, turn: &mut Turn, answered: Call, answer: MaySleep) {
        let State::Awake(Rest::Judging { since, question }) = self.state else {
            return;
        };
        if answered != question.call {
            return;
        }
        self.may_sleep(turn, since, answer);
    }

    /// It is known whether the target, idle `since` then, may sleep.
    pub(super) fn may_sleep(&mut self, turn: &mut Turn, since: Moment, answer: MaySleep) {
        match answer {
            MaySleep::Yes => self.stop(turn, Cause::Cooldown, turn.now.since(since)),
            MaySleep::NotFor(delay) => {
                turn.tell(News::StaysAwake(delay));
                turn.act(Effect::OpenDoor(self.period));
                let until = turn.now.after(delay);
                self.state = State::Awake(Rest::CoolingDown { since, until });
            }
        }
    }
}
