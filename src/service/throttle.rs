//! Keeps what happens often from filling the log: everything is counted, and told every few
//! seconds at most.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The time between two lines about the same thing.
const PAUSE: Duration = Duration::from_secs(5);

/// Counts one kind of occurrence and says when it is worth a line.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Tally>);

#[derive(Debug, Default)]
struct Tally {
    told: Option<Instant>,
    untold: u64,
    all: u64,
}

/// How often something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// Since the last line about it.
    pub(super) recent: u64,
    /// Since the service began.
    pub(super) all: u64,
}

impl Throttle {
    /// Takes down one more at `now`. The counts are there if it is time for a line.
    pub(super) fn count(&self, now: Instant) -> Option<Count> {
        let mut tally = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tally.untold += 1;
        tally.all += 1;
        if tally.told.is_some_and(|told| now.saturating_duration_since(told) < PAUSE) {
            return None;
        }
        tally.told = Some(now);
        Some(Count { recent: std::mem::take(&mut tally.untold), all: tally.all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_rest_together_later() {
        let throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.count(start), Some(Count { recent: 1, all: 1 }));
        for _ in 0..40 {
            assert_eq!(throttle.count(start + PAUSE / 2), None);
        }
        assert_eq!(throttle.count(start + PAUSE), Some(Count { recent: 41, all: 42 }));
    }
}
