//! Tries to connect to a target that starts, until it can be used.
//!
//! Two kinds of target that isn't up yet need opposite things. One that *refuses* does so at once:
//! the next attempt may follow after a short pause, and nothing is gained by a second one beside it.
//! A machine that *swallows* packets (it boots, or is resumed from a file) never answers an attempt
//! from before it was up, until the kernel repeats its packet, 1 s, 3 s and 7 s after the first. So a
//! fresh attempt must follow soon, beside those that hang.
//!
//! With `t`, the time since the start began, the next attempt begins
//!
//! - `t / 20` after the one before, at least 2 ms and at most 200 ms, if that one has ended. So a
//!   client waits at most a twentieth longer than the start took, and at most 0.2 s. These are 20
//!   attempts in the first 40 ms, 94 (`ln 100 / ln 1.05`) until 4 s, and 5 a second from then on:
//!   about 155 in 12 s.
//! - `t` after it, at least 32 ms and at most 200 ms, if one is still under way. A start that swallows
//!   has attempts at 0, 32, 64, 128, 256, 456, 656, 856 and 1056 ms, and then each 200 ms: a machine
//!   that is up gets a packet within 0.2 s, to which [`quiet_time`] adds 20 ms at most. The ninth
//!   comes more than 1 s after the first. So with [`MAX_ATTEMPTS_IN_FLIGHT`], where the oldest makes
//!   room for a new one, each has more than [`MIN_ATTEMPT_TIME`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::Dialer;
use super::error::DialError;
use super::race::{Check, SideBySide, Terms, race};
use super::resolver::{Look, Resolver, SLOW_LOOKUP};

/// How many attempts are under way at a time.
const MAX_ATTEMPTS_IN_FLIGHT: usize = 8;

/// How long an attempt has at least, even if `connect_timeout` is shorter.
const MIN_ATTEMPT_TIME: Duration = Duration::from_secs(1);

const MIN_PAUSE: Duration = Duration::from_millis(2);
const MAX_PAUSE: Duration = Duration::from_millis(200);
/// [`MIN_PAUSE`] while an attempt is under way.
const MIN_PAUSE_BESIDE: Duration = Duration::from_millis(32);

const MIN_QUIET_TIME: Duration = Duration::from_millis(2);
/// How long a connection has to stay open at most, until it counts.
pub(super) const MAX_QUIET_TIME: Duration = Duration::from_millis(20);

/// How long a connection to a target that starts has to stay open until it counts, `elapsed` after
/// the start began.
pub(super) fn quiet_time(elapsed: Duration) -> Duration {
    (elapsed / 40).clamp(MIN_QUIET_TIME, MAX_QUIET_TIME)
}

/// How long after an attempt the next one begins, `elapsed` after the start began.
fn pause(elapsed: Duration, is_beside: bool) -> Duration {
    if is_beside {
        elapsed.clamp(MIN_PAUSE_BESIDE, MAX_PAUSE)
    } else {
        (elapsed / 20).clamp(MIN_PAUSE, MAX_PAUSE)
    }
}

impl Dialer {
    /// Tries to connect to a target whose start `began` then, until it accepts a connection and does
    /// not close it at once. Returns this connection, from which nothing has been read.
    ///
    /// Never fails: dropping the future gives up. Each failed attempt goes to `report`.
    pub async fn until_ready(
        &self,
        began: Instant,
        report: &mut (dyn FnMut(&DialError) + Send),
    ) -> TcpStream {
        let mut attempts = SideBySide::new();
        let mut resolver = self.resolver();
        let mut last_start: Option<Instant> = None;
        let mut is_looking = false;
        // How many attempts have hung for too long.
        let mut hung = 0;
        loop {
            let pause = pause(began.elapsed(), !attempts.is_empty());
            let next_start = last_start.map_or_else(Instant::now, |at| at + pause);
            tokio::select! {
                biased;
                ended = attempts.next() => match ended {
                    Ok((stream, address)) => {
                        resolver.prefer(address);
                        return stream;
                    }
                    Err(error) => report(&error),
                },
                () = resolver.lookup_ended(), if is_looking => {
                    is_looking = false;
                    last_start = None;
                }
                () = sleep_until(next_start) => {
                    let now = Instant::now();
                    last_start = Some(now);
                    let current = self.resolver();
                    if !Arc::ptr_eq(&resolver, &current) {
                        attempts.clear();
                        resolver = current;
                    }
                    let looked = self.look_in_start(&resolver, began, now);
                    is_looking = matches!(looked, Ok(None));
                    match looked {
                        Ok(Some(addresses)) => {
                            if attempts.len() >= MAX_ATTEMPTS_IN_FLIGHT {
                                attempts.drop_oldest();
                                hung += 1;
                                report(&DialError::silent(resolver.target()));
                            }
                            let attempt = self.attempt_in_start(&resolver, &addresses, began, hung);
                            attempts.push(attempt);
                        }
                        Ok(None) => {}
                        Err(error) => report(&error),
                    }
                }
            }
        }
    }

    /// The addresses for one attempt; `None` while they are looked up.
    fn look_in_start(
        &self,
        resolver: &Resolver,
        began: Instant,
        now: Instant,
    ) -> Result<Option<Arc<[SocketAddr]>>, DialError> {
        let (since, old) = match resolver.look()? {
            Look::Found(addresses) => return Ok(Some(addresses.all)),
            Look::Looking { since, old } => (since, old),
        };
        let waited = now.saturating_duration_since(since);
        match old {
            // What was found in this start goes on being tried while it is looked up again.
            Some(old) if old.since >= began || waited >= SLOW_LOOKUP => Ok(Some(old.addresses)),
            None if waited >= self.connect_timeout => Err(resolver.no_answer()),
            Some(_) | None => Ok(None),
        }
    }

    /// Tries all addresses once. `hung`: how many attempts have hung before.
    fn attempt_in_start(
        &self,
        resolver: &Resolver,
        addresses: &[SocketAddr],
        began: Instant,
        hung: usize,
    ) -> impl Future<Output = Result<(TcpStream, SocketAddr), DialError>> + Send + use<> {
        let mut addresses = addresses.to_vec();
        // Of very many silent addresses, an attempt reaches only the first ones before it has to
        // make room.
        let first = hung % addresses.len().max(1);
        addresses.rotate_left(first);
        let terms = Terms {
            target: resolver.target().clone(),
            deadline: Instant::now() + self.connect_timeout.max(MIN_ATTEMPT_TIME),
            keepalive: self.keepalive,
            check: Check::StaysOpenInStart(began),
        };
        async move { race(&addresses, &terms).await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_of_twelve_seconds_takes_some_150_attempts() {
        let (mut begins, mut now) = (Vec::new(), Duration::ZERO);
        while now < Duration::from_secs(12) {
            begins.push(now);
            now += pause(now, false);
        }
        assert!((145..=160).contains(&begins.len()), "{}", begins.len());
        for pair in begins.windows(2) {
            let pause = pair[1] - pair[0];
            assert!(pause <= MAX_PAUSE && pause <= (pair[0] / 20).max(MIN_PAUSE), "{pair:?}");
        }
    }

    #[test]
    fn attempts_that_hang_have_a_second_each_and_are_never_more_than_200_ms_apart() {
        for began in [0, 1, 2, 5, 40, 100, 250, 1000, 5000] {
            // The first one hangs from here on.
            let mut begins = vec![Duration::from_millis(began)];
            while begins.len() < 40 {
                let last = begins[begins.len() - 1];
                begins.push(last + pause(last, true));
            }
            for pair in begins.windows(2) {
                assert!(pair[1] - pair[0] <= Duration::from_millis(200), "{pair:?}");
            }
            for attempts in begins.windows(MAX_ATTEMPTS_IN_FLIGHT + 1) {
                let time = attempts[MAX_ATTEMPTS_IN_FLIGHT] - attempts[0];
                assert!(time >= MIN_ATTEMPT_TIME, "{attempts:?}");
            }
        }
    }

    #[test]
    fn a_connection_has_to_stay_open_for_a_fortieth_of_the_start_or_for_20_ms() {
        for (elapsed, quiet) in [(0, 2), (80, 2), (200, 5), (800, 20), (60_000, 20)] {
            let elapsed = Duration::from_millis(elapsed);
            assert_eq!(quiet_time(elapsed), Duration::from_millis(quiet), "{elapsed:?}");
        }
    }
}
