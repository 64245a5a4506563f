//! Tells the story of a service in the log: who woke it, how long it took, what failed and what
//! happens next. At the default level an operator can follow it without knowing the code.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tracing::{debug, error, info, warn};

use crate::config::{OnIdlenessError, Target};
use crate::decide::{Client, Failure};
use crate::lifecycle::{Cause, News, OverBudget, Reason, WakeLimit};
use crate::service::Shared;
use crate::service::throttle::Throttle;

/// A start that goes on tells how far it is this often.
const PROGRESS_PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Story {
    shared: Arc<Shared>,
    /// What the last failure said, until it is told with its consequences.
    failure: Option<Failure>,
    progress: Progress,
    full: Throttle,
    closed: Throttle,
    over_budget: Throttle,
}

/// What was told of a start that goes on.
#[derive(Default)]
struct Progress {
    began: Option<Instant>,
    told: Option<Instant>,
    /// The last failure of the plugin that judges readiness.
    last: String,
    /// Why the target was not ready when it was last asked for.
    why: String,
}

impl Story {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Story {
            shared,
            failure: None,
            progress: Progress::default(),
            full: Throttle::default(),
            closed: Throttle::default(),
            over_budget: Throttle::default(),
        }
    }

    fn name(&self) -> &str {
        &self.shared.config.name
    }

    /// A start or a stop failed; what follows from it is told next.
    pub(super) fn failed(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// The plugin that judges readiness failed.
    pub(super) fn readiness_failed(&mut self, failure: &Failure, for_good: bool) {
        if for_good {
            self.failure = Some(failure.clone());
        } else if self.progress.last != failure.message {
            self.progress.last.clone_from(&failure.message);
            warn!(service = self.name(), error = %failure, "readiness can't be judged; asking again");
        }
    }

    /// The target is not ready; `why` may be empty.
    pub(super) fn not_ready(&mut self, why: &str) {
        why.clone_into(&mut self.progress.why);
        let now = Instant::now();
        let due = match self.progress.told.or(self.progress.began) {
            Some(told) => now.saturating_duration_since(told) >= PROGRESS_PAUSE,
            None => false,
        };
        if !due {
            return;
        }
        self.progress.told = Some(now);
        let so_far = self.progress.began.map(|began| now - began).unwrap_or_default();
        info!(service = self.name(), after = %Short(so_far), %why, "not ready yet");
    }

    /// The plugin that has a say in sleep failed.
    pub(super) fn idleness_failed(&self, failure: &Failure) {
        warn!(
            service = self.name(),
            error = %failure,
            "could not ask whether the target may sleep, so it {}, as `on_idleness_error` says",
            self.without_answer(),
        );
    }

    /// What becomes of a target if nobody says whether it may sleep.
    fn without_answer(&self) -> &'static str {
        match self.shared.config.on_idleness_error {
            OnIdlenessError::Sleep => "is stopped",
            OnIdlenessError::Stay => "stays up",
        }
    }

    /// A client would wake the target once too often.
    fn over_budget(&self, client: Option<Client>, budget: OverBudget) {
        let Some(count) = self.over_budget.count(Instant::now()) else { return };
        let wakes = &self.shared.config.wakes;
        let (who, key, most) = match budget.limit {
            WakeLimit::All => ("clients", "per_hour", wakes.per_hour),
            WakeLimit::Each => ("this client", "per_client_per_hour", wakes.per_client_per_hour),
        };
        let most = match most.unwrap_or_default() {
            1 => "once".to_owned(),
            most => format!("{most} times"),
        };
        warn!(
            service = self.name(),
            client = client.map(|client| tracing::field::display(client.address)),
            recent = count.recent,
            all = count.all,
            "client closed: {who} may wake the target {most} within an hour \
             (`wakes.{key}`), which is used up; the next wake is possible in {}",
            Short(budget.next),
        );
    }

    /// The target is elsewhere this time.
    pub(super) fn redirected(&self, target: &Target) {
        info!(service = self.name(), %target, "the target is at this address until it sleeps again");
    }

    /// A waiting client is closed.
    pub(super) fn closed(&self, client: Client, reason: Reason) {
        let throttle = match reason {
            Reason::Full => &self.full,
            Reason::WaitedTooLong | Reason::Unusable => &self.closed,
            // These are told once for all clients.
            Reason::StartFailed | Reason::StartTimedOut | Reason::Exit => return,
            // This has its own line, which says which limit it was.
            Reason::OverBudget => return,
        };
        if let Some(count) = throttle.count(Instant::now()) {
            warn!(
                service = self.name(),
                client = %client.address,
                recent = count.recent,
                all = count.all,
                "client closed: {reason}",
            );
        }
    }

    /// Tells what happened. `client` is the one that caused it, if one did.
    pub(super) fn tell(&mut self, news: News, client: Option<Client>) {
        let service = self.shared.config.name.as_str();
        let target = &self.shared.config.target;
        let failure = self.failure.take();
        let error = failure.as_ref().map_or("unknown", |failure| failure.message.as_str());
        match news {
            News::FoundAwake => info!(service, %target, "the target is up"),
            News::FoundAsleep => {
                info!(service, %target, "the target is down; waiting for a client")
            }
            News::Unusable => error!(
                service,
                "no client can be served: see the error above; mend it and restart Dormouse",
            ),
            News::Starting(cause) => {
                self.progress = Progress { began: Some(Instant::now()), ..Progress::default() };
                match client {
                    Some(client) => {
                        info!(service, client = %client.address, "starting the target for a client");
                    }
                    None => info!(service, cause = word(cause), "starting the target"),
                }
            }
            News::Started(took) => {
                info!(service, took = %Short(took), "start is done; waiting until the target is ready");
            }
            News::Ready { took, held } => {
                info!(service, took = %Short(took), held, "the target is ready");
            }
            News::StartFailed { closed, next: Some(next) } => error!(
                service,
                error,
                closed,
                "the start failed; the next one begins when a client comes, in {} at the earliest",
                Short(next),
            ),
            News::StartFailed { closed, next: None } => error!(
                service,
                error,
                closed,
                "the start failed for good: clients are refused until Dormouse is restarted",
            ),
            News::StartTimedOut { in_call, closed, next } => {
                let timeout = Short(self.shared.config.start_timeout);
                let (what, why, hint) = if in_call {
                    (
                        "the start call had not returned",
                        None,
                        "A start hook has to return once it has launched the server: if it runs \
                         the server itself, let it put it in the background (`server &`, \
                         `systemctl start`, `docker start`). If it needs this long, raise \
                         `start_timeout`.",
                    )
                } else {
                    (
                        "the target was not ready",
                        Some(self.progress.why.as_str()).filter(|why| !why.is_empty()),
                        "If it needs longer, raise `start_timeout`; if it listens elsewhere, \
                         correct `target`.",
                    )
                };
                error!(
                    service,
                    why,
                    closed,
                    "{what} after {timeout}: the start is given up and undone; the next one \
                     begins in {} at the earliest. {hint}",
                    Short(next),
                );
            }
            News::UpDespiteFailedStart => {
                warn!(service, %target, "the target answers although its start failed: it counts as up");
            }
            News::TargetGone => {
                warn!(service, %target, "the target, believed up, does not take clients: it is started again");
            }
            News::NotReadyAfterAll { next } => warn!(
                service,
                %target,
                "the target was said to be ready and does not take clients; it is started again in {}",
                Short(next),
            ),
            News::BackingOff(delay) => {
                info!(service, "a client waits: the next start may begin in {}", Short(delay));
            }
            News::CoolingDown(delay) => {
                info!(service, "no client is left; the target is stopped in {}", Short(delay));
            }
            News::OverBudget { budget, .. } => self.over_budget(client, budget),
            News::NoAnswerAboutSleep => warn!(
                service,
                "nobody answered in time whether the target may sleep, so it {}, as \
                 `on_idleness_error` says",
                self.without_answer(),
            ),
            News::StaysAwake(delay) => {
                let until = SystemTime::now() + delay;
                info!(
                    service,
                    until = %humantime::format_rfc3339_seconds(until),
                    "the target stays up; whether it may sleep is asked again in {}",
                    Short(delay),
                );
            }
            News::Stopping { cause, idle_for } => {
                info!(service, cause = word(cause), idle = %Short(idle_for), "stopping the target");
            }
            News::Stopped(took) => info!(service, took = %Short(took), "the target is stopped"),
            News::StopFailed => {
                error!(service, error, "the stop failed; looking whether the target still answers");
            }
            News::StopTimedOut => error!(
                service,
                "the stop took longer than {} and is given up; looking whether the target still \
                 answers. If it needs longer, raise `stop_timeout`.",
                Short(self.shared.config.stop_timeout),
            ),
            News::StillUp(delay) => warn!(
                service,
                %target,
                "the target still answers: it counts as up, and the stop is tried again in {}",
                Short(delay),
            ),
            News::DownDespiteFailedStop => {
                info!(service, %target, "the target does not answer any more: it counts as stopped");
            }
            News::ClosedAtExit(closed) => {
                info!(service, closed, "clients that waited are closed: Dormouse exits");
            }
        }
        debug!(service, ?news, "news");
    }
}

/// The word for a cause, as plugins know it.
fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::Client(_) => "client",
        Cause::Cooldown => "cooldown",
        Cause::Exit => "exit",
        Cause::FailedStart => "failed-start",
    }
}

/// A length of time as people read it: three digits are enough.
pub(super) struct Short(pub(super) Duration);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = match self.0.as_millis() {
            0..1_000 => Duration::from_millis(self.0.as_millis() as u64),
            1_000..10_000 => {
                return write!(f, "{:.1}s", self.0.as_secs_f64());
            }
            10_000.. => Duration::from_secs(self.0.as_secs()),
        };
        humantime::format_duration(shown).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_with_as_many_digits_as_matter() {
        let shown = |millis| Short(Duration::from_millis(millis)).to_string();
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(42), "42ms");
        assert_eq!(shown(3_260), "3.3s");
        assert_eq!(shown(90_400), "1m 30s");
    }
}
