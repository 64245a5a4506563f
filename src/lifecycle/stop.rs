//! Stops, and the look that follows each: a stop that says done is believed once the target no
//! longer answers (rules 6 and 9).

use super::calls::{PendingCall, Poll};
use super::vocabulary::{
    Call, Cause, Effect, Moment, News, Outcome, Question, Reason, Record, Retry,
};
use super::{Closing, Lifecycle, State, Turn};

impl Lifecycle {
    /// Orders a stop. Nobody is inside, and the door is locked.
    pub(super) fn stop(&mut self, turn: &mut Turn, cause: Cause, idle_since: Moment) {
        if cause == Cause::Cooldown {
            // It lasted for as long as it was wanted.
            self.start_backoff.reset();
        }
        let stop = self.order_stop(turn, cause, idle_since);
        self.state = State::Stopping { stop, idle_since };
    }

    pub(super) fn order_stop(
        &mut self,
        turn: &mut Turn,
        cause: Cause,
        idle_since: Moment,
    ) -> PendingCall {
        turn.tell(News::Stopping { cause, idle_for: turn.now.since(idle_since) });
        turn.act(Effect::Record(Record::Stopping(cause)));
        PendingCall::Due(Question::Stop(cause), turn.policy.stop_timeout)
    }

    pub(super) fn stop_ended(&mut self, turn: &mut Turn, answered: Call, outcome: Outcome) {
        match self.state {
            State::Stopping { stop, idle_since } if stop.is(answered) => match outcome {
                Outcome::Done if turn.policy.verifies_stop => {
                    let until = stop.until().unwrap_or(turn.now);
                    self.verify_stop(turn, stop, until, idle_since, true);
                }
                Outcome::Done => {
                    turn.tell(News::Stopped(turn.now.since(stop.since(turn.now))));
                    self.stop_backoff.reset();
                    self.fall_asleep(turn);
                }
                Outcome::Failed(_) => {
                    turn.tell(News::StopFailed);
                    self.verify_stop(turn, stop, turn.now, idle_since, false);
                }
            },
            State::Draining { drained, stop: Some(stop), .. } if stop.is(answered) => {
                let up = self.report_last_stop(turn, stop, outcome);
                self.state = State::Draining { up, drained, stop: None };
            }
            State::FinalStop { stop } if stop.is(answered) => {
                self.report_last_stop(turn, stop, outcome);
                self.finish(turn);
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

    /// How a stop went that nobody looks at any more; says whether the target may be up. What is
    /// recorded stays, so that the next Dormouse looks.
    fn report_last_stop(&mut self, turn: &mut Turn, stop: PendingCall, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Done => {
                turn.tell(News::Stopped(turn.now.since(stop.since(turn.now))));
                if !turn.policy.verifies_stop {
                    turn.act(Effect::Record(Record::Asleep));
                }
                false
            }
            Outcome::Failed(_) => {
                turn.tell(News::StopFailed);
                true
            }
        }
    }

    /// Looks whether the target still answers, again and again until `until` at the latest, and once
    /// in any case.
    pub(super) fn verify_stop(
        &mut self,
        turn: &Turn,
        stop: PendingCall,
        until: Moment,
        idle_since: Moment,
        done: bool,
    ) {
        let look = Poll::Asking(PendingCall::Due(Question::Look, turn.policy.answer_timeout));
        let (ordered, since, closing) = (stop.since(turn.now), turn.now, Closing::Unseen);
        self.state =
            State::VerifyingStop { ordered, since, until, idle_since, look, done, closing };
    }

    /// A look after a stop has ended.
    pub(super) fn looked_after_stop(&mut self, turn: &mut Turn, up: bool) {
        let State::VerifyingStop { ordered, since, until, idle_since, look, done, closing } =
            self.state
        else {
            return;
        };
        let took = turn.now.since(since);
        let again = |pause, closing| {
            let look = Poll::Pause(turn.now.after(pause));
            State::VerifyingStop { ordered, since, until, idle_since, look, done, closing }
        };
        match closing {
            Closing::Answers if !up => {
                // As long as it took to close, the server may take to end: a start beside that would
                // find it running, or find its data locked.
                self.state = again(took.min(turn.policy.settle_most), Closing::Settles);
            }
            Closing::Unseen | Closing::Settles if !up => {
                self.stop_backoff.reset();
                let took = turn.now.since(ordered);
                turn.tell(if done { News::Stopped(took) } else { News::DownDespiteFailedStop });
                self.fall_asleep(turn);
            }
            Closing::Unseen | Closing::Answers | Closing::Settles if turn.now < until => {
                let asked = match look {
                    Poll::Asking(pending) => pending.since(turn.now),
                    Poll::Pause(_) | Poll::Never => turn.now,
                };
                let pause = turn.policy.ready_pause(took, turn.now.since(asked));
                self.state = again(pause.min(until.since(turn.now)), Closing::Answers);
                turn.tell(News::StillAnswers(took));
            }
            Closing::Unseen | Closing::Answers | Closing::Settles => {
                let next = self.stop_backoff.fail(turn.policy, turn.now, Retry::BackOff);
                turn.tell(News::StillUp { next, done });
                self.awaken(turn, next, idle_since);
            }
        }
    }

    /// A look after a stop is due, or had no answer in time.
    pub(super) fn stop_look_is_due(&mut self, turn: &mut Turn) {
        let State::VerifyingStop { ordered, since, until, idle_since, look, done, closing } =
            self.state
        else {
            return;
        };
        match look {
            Poll::Asking(_) => {
                // Without an answer it counts as up: a stop too many does less harm than one too few.
                self.cancel(turn);
                self.looked_after_stop(turn, true);
            }
            Poll::Pause(_) | Poll::Never => {
                let look =
                    Poll::Asking(PendingCall::Due(Question::Look, turn.policy.answer_timeout));
                self.state =
                    State::VerifyingStop { ordered, since, until, idle_since, look, done, closing };
            }
        }
    }

    /// Rule 8: what timed out may be half done, so it is undone; unless clients of an earlier time
    /// are still connected to the target (rule 5), which the door knows. The undoing waits for the
    /// end of what was cancelled (rule 17).
    pub(super) fn time_out_start(&mut self, turn: &mut Turn, in_call: bool) {
        self.cancel(turn);
        let (closed, next) = self.fail_start(turn, Retry::BackOff, Reason::StartTimedOut);
        turn.tell(News::StartTimedOut { in_call, closed, next });
        self.state = State::RollingBack { locking: false };
    }
}
