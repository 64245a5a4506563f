//! Which function takes which event. In each of them there is one arm a state: no wildcard, so that
//! the compiler asks about every new pair.

use super::vocabulary::Event;
use super::{Lifecycle, Turn};

impl Lifecycle {
    pub(super) fn take(&mut self, turn: &mut Turn, event: Event) {
        if let Some(call) = event.answered() {
            // The answer of a call that was cancelled in the same moment: it has ended, too.
            self.ended(call);
        }
        match event {
            // Deadlines have been seen to already.
            Event::Tick => {}
            Event::Booted(under_way) => self.booted(turn, under_way),
            Event::Unusable => self.unusable(turn),
            Event::Arrived(client, origin) => self.arrived(turn, (client, origin)),
            Event::Passed { client, stays } => self.passed(turn, client, stays),
            Event::Left(client) => {
                self.waiting.remove(client);
            }
            Event::Refused { client, origin, period, waited } => {
                self.refused(turn, (client, origin), period, waited);
            }
            Event::MakeRoom => self.make_room(turn),
            Event::Vacant { since } => self.vacant(turn, since),
            Event::DoorLocked => self.door_locked(turn),
            Event::DoorOccupied => self.door_occupied(turn),
            Event::StartEnded(call, outcome) => self.start_ended(turn, call, outcome),
            Event::ReadyEnded(call, answer) => self.ready_ended(turn, call, answer),
            Event::StopEnded(call, outcome) => self.stop_ended(turn, call, outcome),
            Event::LookEnded { call, up } => self.look_ended(turn, call, up),
            Event::MaySleepEnded(call, answer) => self.may_sleep_ended(turn, call, answer),
            Event::LeftoverEnded(call) => self.leftover_ended(turn, call),
            // Seen to above.
            Event::Ended(_) => {}
            Event::Exit => self.exit(turn),
            Event::Drained => self.drained(),
        }
    }
}
