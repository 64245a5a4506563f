//! What the config says of one lifecycle.

use std::time::Duration;

use super::budget::WakeLimits;
use super::vocabulary::MaySleep;

/// The rules of one lifecycle that differ between services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The time without clients after which the target is stopped.
    pub cooldown: Duration,
    /// How long start and readiness may take together.
    pub start_timeout: Duration,
    /// How long a stop may take.
    pub stop_timeout: Duration,
    /// How long a client may wait.
    pub hold_timeout: Duration,
    /// After how long an unanswered probe or an unanswered idleness call counts as answered: with
    /// no (it does not listen) or as `without_answer` says. The deciders have deadlines of their
    /// own, which are shorter as a rule: this is for those that break them.
    pub answer_timeout: Duration,
    /// How many clients may wait at once.
    pub max_held: usize,
    /// Whether a gate judges clients.
    pub gated: bool,
    /// Whether somebody may veto the sleep.
    pub asks_idleness: bool,
    /// What it counts as if the question whether the target may sleep gets no answer.
    pub without_answer: MaySleep,
    /// How often clients may have the target started.
    pub wakes: WakeLimits,
    /// Whether the target is stopped at the exit.
    pub stop_on_exit: bool,
    /// The first back-off after a failure; each further failure doubles it.
    pub backoff_first: Duration,
    /// The longest back-off.
    pub backoff_most: Duration,
    /// The pause before the second question for readiness. Pauses grow to a two-hundredth of the time
    /// that the start has taken so far.
    pub ready_pause_first: Duration,
    /// The longest pause between two questions for readiness.
    pub ready_pause_most: Duration,
}

impl Policy {
    /// The first back-off: rule 8.
    pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
    /// The longest back-off: rule 8.
    pub const BACKOFF_MOST: Duration = Duration::from_secs(60);
    /// The first pause between two questions for readiness. A probe of the target costs some
    /// 50 µs, and no client should wait longer than this for nothing.
    pub const READY_PAUSE_FIRST: Duration = Duration::from_millis(2);
    /// The longest pause between two questions for readiness.
    pub const READY_PAUSE_MOST: Duration = Duration::from_secs(1);

    /// The pause before readiness is asked again, when the start has taken `elapsed` so far and
    /// the last answer took `answered_in`: a target that needs long is asked seldom, and an
    /// expensive question takes half of the time at most.
    pub(super) fn ready_pause(&self, elapsed: Duration, answered_in: Duration) -> Duration {
        (elapsed / 200)
            .clamp(self.ready_pause_first, self.ready_pause_most)
            .max(answered_in.min(self.ready_pause_most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::tests::policy;

    #[test]
    fn readiness_is_asked_every_two_milliseconds_at_first_and_every_second_in_the_end() {
        let policy = Policy {
            ready_pause_first: Policy::READY_PAUSE_FIRST,
            ready_pause_most: Policy::READY_PAUSE_MOST,
            ..policy()
        };
        let pause = |elapsed| policy.ready_pause(Duration::from_millis(elapsed), Duration::ZERO);
        assert_eq!(pause(0), Duration::from_millis(2));
        assert_eq!(pause(100), Duration::from_millis(2));
        assert_eq!(pause(5_000), Duration::from_millis(25));
        assert_eq!(pause(500_000), Duration::from_secs(1));
    }

    #[test]
    fn a_slow_answer_is_followed_by_a_pause_as_long_as_it_took() {
        let policy = Policy {
            ready_pause_first: Policy::READY_PAUSE_FIRST,
            ready_pause_most: Policy::READY_PAUSE_MOST,
            ..policy()
        };
        let pause = |answered| policy.ready_pause(Duration::ZERO, Duration::from_millis(answered));
        assert_eq!(pause(80), Duration::from_millis(80));
        assert_eq!(pause(80_000), Duration::from_secs(1));
    }
}
