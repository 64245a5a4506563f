//! What each event does in each state.
//!
//! One function an event, and in it one arm a state: no wildcard, so that the compiler asks about
//! every new pair.

use std::time::Duration;

use super::vocabulary::{Cause, Effect, Event, News, Reason};
use super::{Lifecycle, State, Turn};

impl Lifecycle {
    pub(super) fn take(&mut self, turn: &mut Turn, event: Event) {
        match event {
            // Deadlines have been seen to already.
            Event::Tick => {}
            Event::Booted { listening } => self.booted(turn, listening),
            Event::Unusable => self.unusable(turn),
            Event::Arrived(client, origin) => self.arrived(turn, (client, origin)),
            Event::Passed { client, stays } => self.passed(turn, client, stays),
            Event::Left(client) => {
                self.waiting.remove(client);
            }
            Event::Refused { client, origin, period, waited } => {
                self.refused(turn, (client, origin), period, waited);
            }
            Event::Vacant { since } => self.vacant(turn, since),
            Event::DoorLocked => self.door_locked(turn),
            Event::DoorOccupied => self.door_occupied(turn),
            Event::StartEnded(call, outcome) => self.start_ended(turn, call, outcome),
            Event::ReadyEnded(call, answer) => self.ready_ended(turn, call, answer),
            Event::StopEnded(call, outcome) => self.stop_ended(turn, call, outcome),
            Event::ProbeEnded { call, listening } => self.probe_ended(turn, call, listening),
            Event::MaySleepEnded(call, answer) => self.may_sleep_ended(turn, call, answer),
            Event::Exit => self.exit(turn),
            Event::Drained => self.drained(turn),
        }
    }

    /// Rule 10.
    fn booted(&mut self, turn: &mut Turn, listening: bool) {
        match self.state {
            State::Booting => {
                if listening {
                    turn.tell(News::FoundAwake);
                    if self.awaken(turn, turn.policy.cooldown) == 0 {
                        turn.tell(News::CoolingDown(turn.policy.cooldown));
                    }
                } else {
                    turn.tell(News::FoundAsleep);
                    self.state = State::Asleep { probe: None, refuses: false };
                    self.look_at_new(turn);
                }
            }
            State::Asleep { .. }
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

    fn unusable(&mut self, turn: &mut Turn) {
        match self.state {
            State::Booting => {
                turn.tell(News::Unusable);
                let clients = self.waiting.take_all();
                self.close_all(turn, clients, Reason::Unusable);
                self.state = State::Asleep { probe: None, refuses: true };
            }
            State::Asleep { .. }
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

    /// Rule 14. All calls are taken back, but for the stop that is made for the exit.
    fn exit(&mut self, turn: &mut Turn) {
        let up = match self.state {
            State::Leaving { .. } | State::LastStop { .. } | State::Finished => return,
            State::Booting | State::Asleep { probe: None, .. } => false,
            State::Asleep { probe: Some(_), .. }
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Undoing
            | State::Awake(_)
            | State::Stopping { .. }
            | State::Checking { .. } => true,
        };
        let clients = self.waiting.take_all();
        let closed = self.close_all(turn, clients, Reason::Exit);
        if closed > 0 {
            turn.tell(News::ClosedAtExit(closed));
        }
        self.cancel_questions(turn);
        self.wanted = None;
        turn.act(Effect::ShutDoor);
        self.state = State::Leaving { up };
    }

    fn drained(&mut self, turn: &mut Turn) {
        match self.state {
            State::Leaving { up } => {
                if up && turn.policy.stop_on_exit {
                    let stop = self.ask_to_stop(turn, Cause::Exit, Duration::ZERO);
                    self.state = State::LastStop { stop, since: turn.now };
                } else {
                    self.finish(turn);
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
            | State::LastStop { .. }
            | State::Finished => {}
        }
    }
}
