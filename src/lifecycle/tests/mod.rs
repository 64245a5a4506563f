//! Tests of the lifecycle: what must never happen (`walk`), and what we want (`stories`).

mod stories;
mod walk;

use std::time::Duration;

use super::{MaySleep, Moment, Policy, WakeLimits};

/// The moment so many seconds after the beginning.
pub(super) fn seconds(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

/// A policy with small numbers, no gate and no jitter.
pub(super) fn policy() -> Policy {
    Policy {
        cooldown: Duration::from_secs(4),
        start_timeout: Duration::from_secs(6),
        stop_timeout: Duration::from_secs(3),
        hold_timeout: Duration::from_secs(8),
        answer_timeout: Duration::from_secs(2),
        max_held: 2,
        gated: false,
        asks_idleness: false,
        without_answer: MaySleep::Yes,
        wakes: WakeLimits::NONE,
        stop_on_exit: false,
        backoff_first: Duration::from_secs(1),
        backoff_most: Duration::from_secs(2),
        ready_pause_first: Duration::from_secs(1),
        ready_pause_most: Duration::from_secs(1),
        stable_after: Duration::from_secs(3),
        verifies_stop: true,
        settle_most: Duration::from_secs(2),
        look_pause_first: Duration::from_secs(10),
        look_pause_most: None,
    }
}
