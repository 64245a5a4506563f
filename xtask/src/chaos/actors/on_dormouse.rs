//! Ends, restarts and freezes of Dormouse.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::chaos::dice::Dice;
use crate::chaos::invariants::Record;
use crate::chaos::proxy::Proxy;
use crate::chaos::stop::Stretch;
use crate::chaos::tally::Tally;

/// Acts on Dormouse at random.
pub struct OnDormouse<'a> {
    pub proxy: &'a Proxy<'a>,
    pub record: &'a Record,
    pub tally: &'a Tally,
    pub end: &'a Stretch,
    /// Dormouse is frozen only, so that one process lives through the stretch.
    pub spare: bool,
}

impl OnDormouse<'_> {
    /// Acts until the end of the stretch. An error means that Dormouse could not be started.
    pub fn act(&self, mut dice: Dice) -> Result<(), String> {
        loop {
            self.end.sleep(dice.millis(500..=6000));
            if self.end.is_over() {
                return Ok(());
            }
            match dice.within(0..=9) {
                0..=2 => self.freeze(&mut dice),
                _ if self.spare => {}
                3..=6 => {
                    if dice.once_in(2) {
                        self.await_a_hook(&mut dice);
                    }
                    self.proxy.kill();
                    self.restart(&mut dice)?;
                }
                _ => {
                    let hurry = dice.once_in(3).then(|| dice.millis(0..=1500));
                    self.proxy.terminate(hurry);
                    self.restart(&mut dice)?;
                }
            }
        }
    }

    fn restart(&self, dice: &mut Dice) -> Result<(), String> {
        if dice.once_in(2) {
            self.end.sleep(dice.millis(0..=3000));
        }
        self.proxy.start()
    }

    fn freeze(&self, dice: &mut Dice) {
        self.tally.count("Dormouse: frozen");
        self.proxy.signal(Signal::STOP);
        self.end.sleep(dice.millis(50..=5000));
        self.proxy.signal(Signal::CONT);
    }

    /// Waits until a hook begins, and a moment more: a kill at this time is the most interesting.
    fn await_a_hook(&self, dice: &mut Dice) {
        let begun = self.record.hooks_begun();
        let begin = Instant::now();
        while self.record.hooks_begun() == begun
            && begin.elapsed() < Duration::from_secs(3)
            && !self.end.is_over()
        {
            self.end.sleep(Duration::from_millis(5));
        }
        self.end.sleep(dice.millis(0..=400));
    }
}
