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
    /// The shortest pause between two questions for readiness. Pauses grow to a tenth of the time
    /// that the start has taken so far.
    pub ready_pause_first: Duration,
    /// The longest pause between two questions for readiness.
    pub ready_pause_most: Duration,
    /// A target that refuses clients sooner than this after it was ready did not start: the next
    /// start has to wait for a back-off.
    pub stable_after: Duration,
    /// Whether a stop that says that it is done is believed only after a look.
    pub verifies_stop: bool,
    /// A target that still answered after its stop was done, and closes at last, is given as long to
    /// end as it took to close, and this time at most.
    pub settle_most: Duration,
    /// How soon a target that has fallen asleep is looked at. Each further look waits twice as long.
    pub look_pause_first: Duration,
    /// The longest pause between two looks at a sleeping target; `None` never looks.
    pub look_pause_most: Option<Duration>,
}

impl Policy {
    /// The first back-off: rule 8.
    pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
    /// The longest back-off: rule 8.
    pub const BACKOFF_MOST: Duration = Duration::from_secs(60);
    /// The shortest pause between two questions for readiness. A hook costs milliseconds of CPU
    /// time, so it is asked less often than a probe is made (`service/dial`).
    pub const READY_PAUSE_FIRST: Duration = Duration::from_millis(50);
    /// The longest pause between two questions for readiness. A client is to be answered at most
    /// 0.3 s after the target could answer.
    pub const READY_PAUSE_MOST: Duration = Duration::from_millis(250);
    /// How long a pause an expensive question can cause.
    pub const SLOW_ANSWER_MOST: Duration = Duration::from_secs(1);
    /// How long a target has to be up before its start counts as a success.
    pub const STABLE_AFTER: Duration = Duration::from_secs(30);
    /// How long a target that has closed its port may take to end.
    pub const SETTLE_MOST: Duration = Duration::from_secs(3);
    /// How soon a target that has fallen asleep is looked at.
    pub const LOOK_PAUSE_FIRST: Duration = Duration::from_secs(10);

    /// The pause before readiness is asked again, when the start has taken `elapsed` so far and
    /// the last answer took `answered_in`: a target that needs long is asked less often, and an
    /// expensive question takes half of the time at most.
    pub(super) fn ready_pause(&self, elapsed: Duration, answered_in: Duration) -> Duration {
        (elapsed / 10)
            .clamp(self.ready_pause_first, self.ready_pause_most)
            .max(answered_in.min(Self::SLOW_ANSWER_MOST))
    }

    /// The pause between falling asleep and the first look.
    pub(super) fn first_look_pause(&self) -> Duration {
        self.bounded_look_pause(self.look_pause_first)
    }

    /// The pause after the next look, where that before it is `pause`.
    pub(super) fn next_look_pause(&self, pause: Duration) -> Duration {
        self.bounded_look_pause(pause.saturating_mul(2))
    }

    fn bounded_look_pause(&self, pause: Duration) -> Duration {
        self.look_pause_most.map_or(pause, |most| pause.min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::tests::policy;

    fn pauses() -> Policy {
        Policy {
            ready_pause_first: Policy::READY_PAUSE_FIRST,
            ready_pause_most: Policy::READY_PAUSE_MOST,
            ..policy()
        }
    }

    #[test]
    fn rule_2_readiness_is_asked_often_at_first_and_four_times_a_second_in_the_end() {
        let policy = pauses();
        let pause = |elapsed| policy.ready_pause(Duration::from_millis(elapsed), Duration::ZERO);
        assert_eq!(pause(0), Duration::from_millis(50));
        assert_eq!(pause(500), Duration::from_millis(50));
        assert_eq!(pause(1_000), Duration::from_millis(100));
        assert_eq!(pause(60_000), Duration::from_millis(250));
    }

    #[test]
    fn rule_2_ten_seconds_of_readiness_are_at_most_sixty_questions() {
        let (policy, mut at, mut asked) = (pauses(), Duration::ZERO, 0);
        while at < Duration::from_secs(10) {
            asked += 1;
            at += policy.ready_pause(at, Duration::ZERO);
        }
        assert!((40..=60).contains(&asked), "{asked}");
    }

    #[test]
    fn rule_2_a_slow_answer_is_followed_by_a_pause_as_long_as_it_took() {
        let policy = pauses();
        let pause = |answered| policy.ready_pause(Duration::ZERO, Duration::from_millis(answered));
        assert_eq!(pause(80), Duration::from_millis(80));
        assert_eq!(pause(80_000), Duration::from_secs(1));
    }

    #[test]
    fn rule_9_looks_at_a_sleeping_target_become_less_frequent() {
        let policy = Policy {
            look_pause_first: Duration::from_secs(10),
            look_pause_most: Some(Duration::from_secs(300)),
            ..policy()
        };
        let mut pause = policy.first_look_pause();
        let mut pauses = vec![pause.as_secs()];
        for _ in 0..6 {
            pause = policy.next_look_pause(pause);
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300]);
        let often = Policy { look_pause_most: Some(Duration::from_secs(2)), ..policy };
        assert_eq!(often.first_look_pause(), Duration::from_secs(2));
    }
}
