//! The beginning: what an earlier Dormouse had under way is gone on with (rule 10).

use super::calls::PendingCall;
use super::vocabulary::{Effect, News, Question, Reason, Record, UnderWay};
use super::{Lifecycle, State, Turn};

impl Lifecycle {
    /// Rule 10. A start or a stop that was under way goes on: what still runs of it is awaited, or
    /// ended when its time is up, and never run beside another.
    pub(super) fn booted(&mut self, turn: &mut Turn, under_way: UnderWay) {
        match self.state {
            State::Booting => match under_way {
                UnderWay::Nothing => {
                    let look = PendingCall::Due(Question::FirstLook, turn.policy.answer_timeout);
                    self.state = State::FirstLook(look);
                }
                UnderWay::Start | UnderWay::CancelledStart => {
                    let undo = under_way == UnderWay::CancelledStart;
                    turn.tell(if undo { News::UndoingStart } else { News::GoingOnWithStart });
                    let start =
                        PendingCall::Due(Question::AwaitLeftover, turn.policy.start_timeout);
                    self.state = State::Starting { start, undo };
                    self.look_at_new(turn);
                }
                UnderWay::Stop => {
                    turn.tell(News::GoingOnWithStop);
                    let stop = PendingCall::Due(Question::AwaitLeftover, turn.policy.stop_timeout);
                    self.state = State::Stopping { stop, idle_since: turn.now };
                    self.look_at_new(turn);
                }
            },
            State::FirstLook(_)
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

    /// The first look has ended, or had no answer in time: then it is not `certain`.
    pub(super) fn looked_first(&mut self, turn: &mut Turn, up: bool, certain: bool) {
        if up {
            turn.tell(News::FoundAwake);
            self.awaken_for_clients(turn);
        } else {
            turn.tell(News::FoundAsleep);
            turn.act(Effect::Record(Record::Asleep));
            self.sleep(turn, certain, false);
            self.look_at_new(turn);
        }
    }

    pub(super) fn unusable(&mut self, turn: &mut Turn) {
        match self.state {
            State::Booting => {
                turn.tell(News::Unusable);
                let clients = self.waiting.take_all();
                self.close_all(turn, clients, Reason::Unusable);
                let never = super::Poll::Never;
                let pause = turn.policy.first_look_pause();
                self.state = State::Asleep { look: never, pause, certain: true, refuses: true };
            }
            State::FirstLook(_)
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
}
