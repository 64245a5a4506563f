//! The wake budget: how often clients may have the target started.
//!
//! A *wake* is a start that a client causes. Who joins a start that is under way, or comes to a
//! target that is awake, causes none. Budgets count in a sliding window: never are there more wakes
//! within any hour than the limit says, wherever one begins to count. What is counted with stands in
//! one list of the wakes of the last hour, which serves both limits.
//!
//! The list has an end: of more than [`REMEMBERED`] wakes in an hour the oldest are forgotten early,
//! so that whoever caused them has that much of its own budget back. No limit for all clients
//! together is larger than the list, so that one is exact always.

use std::collections::VecDeque;
use std::time::Duration;

use super::vocabulary::Moment;

/// How many wakes are remembered.
pub(super) const REMEMBERED: usize = 4096;

/// Where a client comes from: what a budget of its own is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first half of an IPv6 address: whoever has one address of a /64 has all of them.
    V6([u8; 8]),
}

/// How many wakes there may be within a window of time. `None` sets no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakeLimits {
    /// By all clients together.
    pub all: Option<usize>,
    /// By the clients of one origin.
    pub each: Option<usize>,
    /// The window.
    pub window: Duration,
}

impl WakeLimits {
    /// The window in which wakes are counted.
    pub const WINDOW: Duration = Duration::from_secs(60 * 60);

    /// The largest limit for all clients together that can be kept.
    pub const MOST: usize = REMEMBERED;

    /// No limits.
    pub const NONE: WakeLimits = WakeLimits { all: None, each: None, window: Self::WINDOW };
}

/// A wake would be one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OverBudget {
    /// The limit that it would break.
    pub limit: WakeLimit,
    /// When the same client may wake the target at the earliest, if nobody else does before.
    pub next: Duration,
}

/// Which of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WakeLimit {
    /// That of all clients together.
    All,
    /// That of the clients of one origin.
    Each,
}

/// The wakes of the last window, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) wakes: VecDeque<(Moment, Origin)>,
}

impl Budget {
    /// May a client from there wake the target?
    pub(super) fn judge(
        &self,
        limits: &WakeLimits,
        now: Moment,
        origin: Origin,
    ) -> Result<(), OverBudget> {
        let recent = || self.wakes.iter().filter(|(at, _)| now.since(*at) < limits.window);
        let all = recent().map(|(at, _)| *at);
        let own = recent().filter(|(_, from)| *from == origin).map(|(at, _)| *at);
        let next =
            [(WakeLimit::All, room(all, limits.all)), (WakeLimit::Each, room(own, limits.each))];
        let latest =
            next.into_iter().filter_map(|(limit, at)| Some((at?, limit))).max_by_key(|(at, _)| *at);
        match latest {
            None => Ok(()),
            Some((at, limit)) => {
                Err(OverBudget { limit, next: at.after(limits.window).since(now) })
            }
        }
    }

    /// Takes down a wake by a client from there.
    pub(super) fn charge(&mut self, limits: &WakeLimits, now: Moment, origin: Origin) {
        if limits.all.is_none() && limits.each.is_none() {
            return;
        }
        self.wakes.retain(|(at, _)| now.since(*at) < limits.window);
        self.wakes.push_back((now, origin));
        while self.wakes.len() > REMEMBERED {
            self.wakes.pop_front();
        }
    }
}

/// The wake that has to be over its window before there is room for another; `None` if there is room
/// already.
fn room(wakes: impl Iterator<Item = Moment> + Clone, limit: Option<usize>) -> Option<Moment> {
    let mut wakes = wakes;
    let over = wakes.clone().count().checked_sub(limit?)?;
    wakes.nth(over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::tests::seconds;

    const A: Origin = Origin::V4([192, 0, 2, 1]);
    const B: Origin = Origin::V4([192, 0, 2, 2]);

    fn limits(all: Option<usize>, each: Option<usize>) -> WakeLimits {
        WakeLimits { all, each, ..WakeLimits::NONE }
    }

    /// A budget with these wakes.
    fn spent(limits: &WakeLimits, wakes: &[(u64, Origin)]) -> Budget {
        let mut budget = Budget::default();
        for (at, origin) in wakes {
            assert_eq!(budget.judge(limits, seconds(*at), *origin), Ok(()));
            budget.charge(limits, seconds(*at), *origin);
        }
        budget
    }

    fn over(limit: WakeLimit, next: u64) -> Result<(), OverBudget> {
        Err(OverBudget { limit, next: Duration::from_secs(next) })
    }

    #[test]
    fn without_limits_nobody_is_refused_and_nothing_is_remembered() {
        let mut budget = Budget::default();
        for _ in 0..100 {
            budget.charge(&WakeLimits::NONE, Moment::ZERO, A);
        }
        assert_eq!(budget, Budget::default());
        assert_eq!(budget.judge(&WakeLimits::NONE, Moment::ZERO, A), Ok(()));
    }

    #[test]
    fn all_clients_together_wake_no_more_often_than_the_limit_within_any_hour() {
        let limits = limits(Some(2), None);
        let budget = spent(&limits, &[(0, A), (600, B)]);
        assert_eq!(budget.judge(&limits, seconds(3_000), A), over(WakeLimit::All, 600));
        assert_eq!(budget.judge(&limits, seconds(3_599), B), over(WakeLimit::All, 1));
        assert_eq!(budget.judge(&limits, seconds(3_600), A), Ok(()));
        // A window that slides: the hour does not begin anew for all of them.
        let budget = spent(&limits, &[(0, A), (600, B), (3_600, A)]);
        assert_eq!(budget.judge(&limits, seconds(3_601), A), over(WakeLimit::All, 599));
    }

    #[test]
    fn one_client_that_has_spent_its_budget_costs_the_others_nothing() {
        let limits = limits(None, Some(1));
        let budget = spent(&limits, &[(0, A)]);
        assert_eq!(budget.judge(&limits, seconds(60), A), over(WakeLimit::Each, 3_540));
        assert_eq!(budget.judge(&limits, seconds(60), B), Ok(()));
    }

    #[test]
    fn of_two_limits_the_one_that_takes_longer_is_told() {
        let limits = limits(Some(3), Some(1));
        let budget = spent(&limits, &[(0, B), (10, A), (20, Origin::V6([1; 8]))]);
        assert_eq!(budget.judge(&limits, seconds(30), A), over(WakeLimit::Each, 3_580));
        assert_eq!(
            budget.judge(&limits, seconds(30), Origin::V6([2; 8])),
            over(WakeLimit::All, 3_570)
        );
    }

    #[test]
    fn a_lower_limit_than_what_was_spent_waits_for_enough_of_it_to_be_over() {
        let before = limits(Some(3), None);
        let budget = spent(&before, &[(0, A), (10, A), (20, A)]);
        let after = limits(Some(1), None);
        assert_eq!(budget.judge(&after, seconds(30), A), over(WakeLimit::All, 3_590));
    }

    #[test]
    fn what_is_remembered_has_an_end_and_the_oldest_is_forgotten_first() {
        let limits = limits(None, Some(1));
        let mut budget = spent(&limits, &[(0, A)]);
        for number in 1..=REMEMBERED as u64 {
            budget.charge(&limits, seconds(1), Origin::V6(number.to_be_bytes()));
        }
        assert_eq!(budget.wakes.len(), REMEMBERED);
        assert_eq!(budget.judge(&limits, seconds(2), A), Ok(()));
        let last = Origin::V6((REMEMBERED as u64).to_be_bytes());
        assert_eq!(budget.judge(&limits, seconds(2), last), over(WakeLimit::Each, 3_599));
    }
}
