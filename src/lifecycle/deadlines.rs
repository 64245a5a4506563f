//! What happens when time is up.

use super::vocabulary::{Effect, Moment, News, Question, Reason, Retry};
use super::{Lifecycle, ReadyQuestion, Rest, State, Turn};

impl Lifecycle {
    /// When the state itself has something to do, apart from those who wait.
    pub(super) fn own_deadline(&self) -> Option<Moment> {
        match self.state {
            State::Booting
            | State::Undoing
            | State::Leaving { .. }
            | State::Finished
            | State::Awake(Rest::Occupied | Rest::Locking { .. }) => None,
            State::Asleep { probe, refuses } => {
                let start = (!refuses && (self.wanted.is_some() || self.someone_is_held()))
                    .then_some(self.start_backoff.until);
                start.into_iter().chain(probe.map(|asked| asked.until)).min()
            }
            State::Starting { start: asked, .. }
            | State::Stopping { stop: asked, .. }
            | State::LastStop { stop: asked, .. }
            | State::Checking { probe: asked }
            | State::Awake(Rest::Judging { question: asked, .. }) => Some(asked.until),
            State::Readying { until, question, .. } => match question {
                ReadyQuestion::Asked { .. } => Some(until),
                ReadyQuestion::Pause(again) => Some(until.min(again)),
            },
            State::Awake(Rest::CoolingDown { until, .. }) => Some(until),
        }
    }

    fn someone_is_held(&self) -> bool {
        self.waiting.first_held().is_some()
    }

    /// Does everything whose time has come.
    pub(super) fn expire(&mut self, turn: &mut Turn) {
        if self.own_deadline().is_some_and(|deadline| deadline <= turn.now) {
            self.expire_state(turn);
        }
        while let Some(client) = self.waiting.take_expired(turn.now) {
            turn.act(Effect::Close(client, Reason::WaitedTooLong));
        }
    }

    fn expire_state(&mut self, turn: &mut Turn) {
        match self.state {
            State::Booting
            | State::Undoing
            | State::Leaving { .. }
            | State::Finished
            | State::Awake(Rest::Occupied | Rest::Locking { .. }) => {}
            State::Asleep { probe, refuses } => {
                if let Some(asked) = probe
                    && asked.until <= turn.now
                {
                    turn.act(Effect::Cancel(asked.call));
                    self.state = State::Asleep { probe: None, refuses };
                }
                self.start_if_wanted(turn);
            }
            State::Starting { .. } => self.time_out_start(turn, true),
            State::Readying { since, until, attempt, question } => {
                if until <= turn.now {
                    self.time_out_start(turn, false);
                } else if let ReadyQuestion::Pause(_) = question {
                    let attempt = attempt.saturating_add(1);
                    let call = self.ask(turn, Question::Ready(attempt));
                    let question = ReadyQuestion::Asked { call, at: turn.now };
                    self.state = State::Readying { since, until, attempt, question };
                }
            }
            State::Awake(Rest::CoolingDown { since, .. }) => {
                turn.act(Effect::LockDoor);
                self.state = State::Awake(Rest::Locking { since });
            }
            State::Awake(Rest::Judging { since, .. }) => {
                self.cancel_questions(turn);
                turn.tell(News::NoAnswerAboutSleep);
                self.may_sleep(turn, since, turn.policy.without_answer);
            }
            State::Stopping { .. } => {
                self.cancel_questions(turn);
                turn.tell(News::StopTimedOut);
                self.stop_failed(turn);
            }
            State::LastStop { .. } => {
                self.cancel_questions(turn);
                turn.tell(News::StopTimedOut);
                self.finish(turn);
            }
            State::Checking { .. } => {
                self.cancel_questions(turn);
                self.found_after_failed_stop(turn, false);
            }
        }
    }

    /// Rule 8: what timed out may be half done, so it is undone; unless clients of an earlier time
    /// are still connected to the target (rule 5), which the door knows.
    fn time_out_start(&mut self, turn: &mut Turn, in_call: bool) {
        self.cancel_questions(turn);
        let (closed, next) = self.fail_start(turn, Retry::BackOff, Reason::StartTimedOut);
        turn.tell(News::StartTimedOut { in_call, closed, next });
        turn.act(Effect::LockDoor);
        self.state = State::Undoing;
    }

    /// Rule 9: a failed stop is not forgotten.
    pub(super) fn stop_failed(&mut self, turn: &mut Turn) {
        let probe = self.ask_until(turn, Question::Probe, turn.policy.answer_timeout);
        self.state = State::Checking { probe };
    }

    pub(super) fn found_after_failed_stop(&mut self, turn: &mut Turn, listening: bool) {
        if listening {
            let again = self.stop_backoff.fail(turn.policy, turn.now, Retry::BackOff);
            turn.tell(News::StillUp(again));
            self.awaken(turn, again);
        } else {
            self.stop_backoff.reset();
            turn.tell(News::DownDespiteFailedStop);
            self.fall_asleep(turn);
        }
    }

    pub(super) fn finish(&mut self, turn: &mut Turn) {
        turn.act(Effect::Finish);
        self.state = State::Finished;
    }
}
