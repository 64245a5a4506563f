//! Deaths and freezes of targets.

use rustix::process::Signal;

use crate::chaos::dice::Dice;
use crate::chaos::invariants::Record;
use crate::chaos::stop::Stretch;
use crate::chaos::tally::Tally;
use crate::chaos::world::World;

/// Acts on targets at random.
pub struct OnTargets<'a> {
    pub world: &'a World,
    pub record: &'a Record,
    pub tally: &'a Tally,
    pub end: &'a Stretch,
}

impl OnTargets<'_> {
    /// Acts until the end of the stretch, after which no target is frozen.
    pub fn act(&self, mut dice: Dice) {
        loop {
            self.end.sleep(dice.millis(300..=4000));
            if self.end.is_over() {
                return;
            }
            let service = dice.index(self.world.services.len());
            let kills = dice.once_in(2);
            let time = dice.millis(50..=5000);
            let targets = self.world.targets(&self.world.services[service]);
            if targets.is_empty() {
                continue;
            }
            if kills {
                self.tally.count("targets: killed with SIGKILL");
                // Recorded first, so that no connection is cut before its cause is known.
                self.record.kill(service);
                targets.iter().for_each(|target| target.signal(Signal::KILL));
            } else {
                self.tally.count("targets: frozen");
                targets.iter().for_each(|target| target.signal(Signal::STOP));
                self.end.sleep(time);
                targets.iter().for_each(|target| target.signal(Signal::CONT));
            }
        }
    }
}
