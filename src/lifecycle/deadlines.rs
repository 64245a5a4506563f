//! What happens when time is up.

use super::vocabulary::{Effect, Moment, News, Reason};
use super::{Lifecycle, Rest, State, Turn};

impl Lifecycle {
    /// When the state itself has something to do, apart from those who wait.
    pub(super) fn own_deadline(&self) -> Option<Moment> {
        match self.state {
            State::Booting
            | State::RollingBack { .. }
            | State::Draining { stop: None, .. }
            | State::Finished
            | State::Awake { rest: Rest::Occupied | Rest::Locking { .. }, .. } => None,
            State::Asleep { look, refuses, .. } => {
                let start =
                    (!refuses && self.someone_wants_it()).then_some(self.start_backoff.until);
                start.into_iter().chain(look.deadline()).min()
            }
            State::FirstLook(pending)
            | State::Starting { start: pending, .. }
            | State::Stopping { stop: pending, .. }
            | State::Draining { stop: Some(pending), .. }
            | State::FinalStop { stop: pending }
            | State::Awake { rest: Rest::Judging { question: pending, .. }, .. } => pending.until(),
            State::AwaitingReady { until, question, .. } => {
                Some(question.deadline().map_or(until, |due| due.min(until)))
            }
            State::VerifyingStop { look, .. } => look.deadline(),
            State::Awake { rest: Rest::CoolingDown { until, .. }, .. } => Some(until),
        }
    }

    /// Whether a start is to come.
    pub(super) fn someone_wants_it(&self) -> bool {
        self.wanted.is_some() || self.waiting.first_held().is_some()
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
            | State::RollingBack { .. }
            | State::Draining { stop: None, .. }
            | State::Finished
            | State::Awake { rest: Rest::Occupied | Rest::Locking { .. }, .. } => {}
            State::FirstLook(_) => {
                self.cancel(turn);
                self.looked_first(turn, false, false);
            }
            State::Asleep { .. } => self.sleeper_is_due(turn),
            State::Starting { .. } => self.time_out_start(turn, true),
            State::AwaitingReady { .. } => self.readiness_is_due(turn),
            State::Awake { since: awake_since, rest: Rest::CoolingDown { since, .. } } => {
                turn.act(Effect::LockDoor);
                self.state = State::Awake { since: awake_since, rest: Rest::Locking { since } };
            }
            State::Awake { rest: Rest::Judging { since, .. }, .. } => {
                self.cancel(turn);
                turn.tell(News::NoAnswerAboutSleep);
                self.may_sleep(turn, since, turn.policy.without_answer);
            }
            State::Stopping { stop, idle_since } => {
                self.cancel(turn);
                turn.tell(News::StopTimedOut);
                self.verify_stop(turn, stop, turn.now, idle_since, false);
            }
            State::VerifyingStop { .. } => self.stop_look_is_due(turn),
            State::Draining { stop: Some(_), .. } | State::FinalStop { .. } => {
                self.last_stop_is_late(turn);
            }
        }
    }
}
