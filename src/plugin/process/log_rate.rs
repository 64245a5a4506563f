//! How much a stream or a plugin may log in a second.

use std::time::{Duration, Instant};

/// How many lines of one stream are logged in a second; the others are counted.
pub(in crate::plugin) const MAX_LINES_PER_SECOND: u32 = 1000;

/// Lets so many lines, and so many bytes, pass in each second.
#[derive(Debug)]
pub(in crate::plugin) struct LogRate {
    max_bytes: usize,
    second: Instant,
    lines: u32,
    bytes: usize,
    left_out: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::plugin) enum Admission {
    /// The line passes; so many before it did not.
    Passed {
        /// How many were left out since the last one that passed.
        left_out_before: u64,
    },
    /// The line does not pass.
    LeftOut,
}

impl LogRate {
    /// At most `max_bytes` a second, and [`MAX_LINES_PER_SECOND`].
    pub(in crate::plugin) fn new(max_bytes: usize, now: Instant) -> Self {
        Self { max_bytes, second: now, lines: 0, bytes: 0, left_out: 0 }
    }

    /// Whether a line of `length` bytes may pass.
    pub(in crate::plugin) fn admit(&mut self, length: usize, now: Instant) -> Admission {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.lines = 0;
            self.bytes = 0;
        }
        // One line passes in each second, however long it is: it is cut elsewhere.
        let has_room = self.lines == 0 || self.bytes.saturating_add(length) <= self.max_bytes;
        if has_room && self.lines < MAX_LINES_PER_SECOND {
            self.lines += 1;
            self.bytes += length;
            Admission::Passed { left_out_before: std::mem::take(&mut self.left_out) }
        } else {
            self.left_out += 1;
            Admission::LeftOut
        }
    }

    /// How many lines were left out since the last one that passed.
    pub(in crate::plugin) fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: Admission = Admission::Passed { left_out_before: 0 };

    #[test]
    fn lines_that_are_left_out_are_counted_until_the_next_second() {
        let start = Instant::now();
        let mut rate = LogRate::new(1 << 20, start);
        for _ in 0..MAX_LINES_PER_SECOND {
            assert_eq!(rate.admit(1, start), PASSED);
        }
        assert_eq!(rate.admit(1, start), Admission::LeftOut);
        assert_eq!(rate.admit(1, start), Admission::LeftOut);
        let next_second = start + Duration::from_secs(1);
        assert_eq!(rate.admit(1, next_second), Admission::Passed { left_out_before: 2 });
        assert_eq!(rate.admit(1, next_second), PASSED);
    }

    #[test]
    fn a_few_long_lines_are_as_many_as_many_short_ones() {
        let start = Instant::now();
        let mut rate = LogRate::new(100, start);
        assert_eq!(rate.admit(60, start), PASSED);
        assert_eq!(rate.admit(60, start), Admission::LeftOut);
        assert_eq!(rate.admit(40, start), Admission::Passed { left_out_before: 1 });
        assert_eq!(rate.admit(1, start), Admission::LeftOut);
        let next_second = start + Duration::from_secs(1);
        assert_eq!(rate.admit(500, next_second), Admission::Passed { left_out_before: 1 });
    }
}
