//! The time between a failure and the next try.

use std::time::Duration;

use super::policy::Policy;
use super::vocabulary::{Moment, Retry};

/// Counts failures in a row and says when the next try may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Backoff {
    /// Failures since the last success.
    pub(super) failures: u32,
    /// Before this moment there is no try.
    pub(super) until: Moment,
    /// Where the jitter comes from; 0 means no jitter.
    pub(super) seed: u64,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Backoff { failures: 0, until: Moment::ZERO, seed }
    }

    /// Forgets all failures.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
        self.until = Moment::ZERO;
    }

    /// Takes down a failure, and says how long the next try has to wait.
    pub(super) fn fail(&mut self, policy: &Policy, now: Moment, retry: Retry) -> Duration {
        let doubled = policy
            .backoff_first
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX))
            .min(policy.backoff_most);
        self.failures = self.failures.saturating_add(1);
        let delay = match retry {
            Retry::BackOff | Retry::Never => self.jitter(doubled),
            Retry::After(delay) => delay,
        };
        self.until = now.after(delay);
        delay
    }

    /// Up to a tenth more or less, so that services which failed together don't try together.
    fn jitter(&mut self, delay: Duration) -> Duration {
        if self.seed == 0 {
            return delay;
        }
        // xorshift64: Marsaglia, "Xorshift RNGs", 2003.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let per_mille = 900 + (self.seed % 201) as u32;
        delay.saturating_mul(per_mille) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::tests::{policy, seconds};

    fn real() -> Policy {
        Policy {
            backoff_first: Policy::BACKOFF_FIRST,
            backoff_most: Policy::BACKOFF_MOST,
            ..policy()
        }
    }

    #[test]
    fn rule_8_back_off_doubles_from_one_second_to_sixty() {
        let mut backoff = Backoff::new(0);
        let delays: Vec<u64> = (0..40)
            .map(|_| backoff.fail(&real(), Moment::ZERO, Retry::BackOff).as_secs())
            .collect();
        assert_eq!(delays[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delays[39], 60);
    }

    #[test]
    fn rule_8_a_success_resets_the_back_off() {
        let mut backoff = Backoff::new(0);
        backoff.fail(&real(), Moment::ZERO, Retry::BackOff);
        backoff.fail(&real(), Moment::ZERO, Retry::BackOff);
        backoff.reset();
        assert_eq!(backoff.fail(&real(), Moment::ZERO, Retry::BackOff), Policy::BACKOFF_FIRST);
    }

    #[test]
    fn rule_8_jitter_spreads_by_a_tenth_and_differs_between_services() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 1..200 {
            let delay = Backoff::new(seed).fail(&real(), Moment::ZERO, Retry::BackOff);
            assert!(delay >= Duration::from_millis(900) && delay <= Duration::from_millis(1100));
            seen.insert(delay);
        }
        assert!(seen.len() > 50, "only {} different delays", seen.len());
    }

    #[test]
    fn a_plugin_that_names_the_time_is_believed() {
        let mut backoff = Backoff::new(7);
        let delay = backoff.fail(&real(), seconds(5), Retry::After(Duration::from_secs(17)));
        assert_eq!(delay, Duration::from_secs(17));
        assert_eq!(backoff.until, seconds(22));
    }
}
