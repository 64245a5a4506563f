//! Random choices that are the same for the same seed.

use std::ops::RangeInclusive;
use std::time::Duration;

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// The dice of one part of the run: its choices don't depend on what other parts choose.
    pub fn of_part(seed: u64, part: &str) -> Self {
        // FNV-1a: names of parts are short, and differ in any byte.
        let hash = part.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Dice(mix(seed) ^ hash)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number out of `range`.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    /// A time out of `range`, in milliseconds.
    pub fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    /// A place in a list of `length` elements; `length` is at least 1.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.next() % length as u64).unwrap_or(0)
    }
}

/// A bijection in which each bit of the result depends on all bits of `value`.
pub fn mix(value: u64) -> u64 {
    let mut mixed = value;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_part_make_the_same_choices() {
        let choices = |seed, part| {
            let mut dice = Dice::of_part(seed, part);
            [dice.next(), dice.next(), dice.next()]
        };
        assert_eq!(choices(1, "a"), choices(1, "a"));
        assert_ne!(choices(1, "a"), choices(1, "b"));
        assert_ne!(choices(1, "a"), choices(2, "a"));
    }

    #[test]
    fn numbers_stay_within_their_range() {
        let mut dice = Dice::new(3);
        for _ in 0..1000 {
            assert!((5..=7).contains(&dice.within(5..=7)));
            assert!(dice.index(3) < 3);
        }
    }
}
