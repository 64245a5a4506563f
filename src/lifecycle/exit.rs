//! The end: Dormouse exits (rule 14).

use super::vocabulary::{Cause, Effect, News, Reason};
use super::{Lifecycle, State, Turn};

impl Lifecycle {
    /// Rule 14. All calls are cancelled, but for a stop: it may be saving a world.
    pub(super) fn exit(&mut self, turn: &mut Turn) {
        let mut running_stop = None;
        let up = match self.state {
            State::Draining { .. } | State::FinalStop { .. } | State::Finished => return,
            State::Booting | State::FirstLook(_) => false,
            State::Asleep { certain, .. } => !certain,
            State::Starting { .. }
            | State::AwaitingReady { .. }
            | State::RollingBack { .. }
            | State::Awake { .. } => true,
            State::Stopping { stop, .. } => {
                running_stop = Some(stop).filter(|stop| stop.until().is_some());
                true
            }
            State::VerifyingStop { done, .. } => !done,
        };
        let clients = self.waiting.take_all();
        let closed = self.close_all(turn, clients, Reason::Exit);
        if closed > 0 {
            turn.tell(News::ClosedAtExit(closed));
        }
        if running_stop.is_some() {
            turn.tell(News::StopGoesOn);
        } else {
            self.cancel(turn);
        }
        self.wanted = None;
        turn.act(Effect::ShutDoor);
        self.state = State::Draining { up, drained: false, stop: running_stop };
    }

    /// All clients have left. What is under way is waited for: see `proceed`.
    pub(super) fn drained(&mut self) {
        match &mut self.state {
            State::Draining { drained, .. } => *drained = true,
            State::Booting
            | State::FirstLook(_)
            | State::Asleep { .. }
            | State::Starting { .. }
            | State::AwaitingReady { .. }
            | State::RollingBack { .. }
            | State::Awake { .. }
            | State::Stopping { .. }
            | State::VerifyingStop { .. }
            | State::FinalStop { .. }
            | State::Finished => {}
        }
    }

    /// No client is left, and nothing is under way.
    pub(super) fn leave(&mut self, turn: &mut Turn, up: bool) {
        if up && turn.policy.stop_on_exit {
            let stop = self.order_stop(turn, Cause::Exit, turn.now);
            self.state = State::FinalStop { stop };
        } else {
            self.finish(turn);
        }
    }

    /// A stop at the exit took too long. Its end is waited for all the same.
    pub(super) fn last_stop_is_late(&mut self, turn: &mut Turn) {
        self.cancel(turn);
        turn.tell(News::StopTimedOut);
        match self.state {
            State::Draining { drained, .. } => {
                self.state = State::Draining { up: true, drained, stop: None };
            }
            State::FinalStop { .. } => {
                // Not again: `up: false` finishes as soon as the call has ended.
                self.state = State::Draining { up: false, drained: true, stop: None };
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
            | State::Finished => {}
        }
    }

    pub(super) fn finish(&mut self, turn: &mut Turn) {
        turn.act(Effect::Finish);
        self.state = State::Finished;
    }
}
