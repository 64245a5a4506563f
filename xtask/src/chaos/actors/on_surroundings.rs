//! What stands around Dormouse fails: the reader of its log stands still, and its disk is full.

use crate::chaos::dice::Dice;
use crate::chaos::disk::Disk;
use crate::chaos::proxy::Proxy;
use crate::chaos::stop::Stretch;
use crate::chaos::tally::Tally;

/// Acts on the log and the disk at random.
pub struct OnSurroundings<'a> {
    pub proxy: &'a Proxy<'a>,
    pub disk: &'a Disk,
    pub tally: &'a Tally,
    pub end: &'a Stretch,
    /// Whether Dormouse is not ended in this stretch. Only then is the disk filled: what could not be
    /// written down can't be known after a crash.
    pub spare: bool,
}

impl OnSurroundings<'_> {
    /// Acts until the end of the stretch, after which the log is read and the disk has room.
    pub fn act(&self, mut dice: Dice) {
        while !self.end.is_over() {
            self.end.sleep(dice.millis(500..=8000));
            let time = dice.millis(200..=12_000);
            if self.spare && self.disk.can_be_full() && dice.once_in(3) {
                self.tally.count("disk: full");
                self.disk.fill();
                self.end.sleep(time);
                self.disk.empty();
            } else {
                self.tally.count("log: not read for a while");
                self.proxy.stall_log(true);
                self.end.sleep(time);
                self.proxy.stall_log(false);
            }
        }
    }
}
