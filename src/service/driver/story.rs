//! Tells the story of a service in the log: who woke it, how long it took, what failed and what
//! happens next. At the default level an operator can follow it without knowing the code.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tracing::{debug, error, info, warn};

use crate::config::{OnIdlenessError, Target};
use crate::decide::{Client, Failure};
use crate::lifecycle::{News, OverBudget, Reason, WakeLimit};
use crate::service::Shared;
use crate::service::throttle::Throttle;

/// A start that goes on tells how far it is this often.
const PROGRESS_PAUSE: Duration = Duration::from_secs(10);

/// How long a target may answer after its stop until that is worth a warning.
const LINGERS_LONG: Duration = Duration::from_secs(30);

pub(super) struct Story {
    shared: Arc<Shared>,
    /// What the last failure said, until it is told with its consequences.
    failure: Option<Failure>,
    progress: Progress,
    /// The address of the target that was reported last.
    address_told: Option<Target>,
    /// The last failure of the plugin that judges readiness, which is reported once.
    judge_failure: String,
    /// What was said last of a target that answers after its stop: how long after it.
    still_answers_told: Option<Duration>,
    full: Throttle,
    displaced: Throttle,
    closed: Throttle,
    over_budget: Throttle,
}

/// What was told of a start that goes on.
#[derive(Default)]
struct Progress {
    began: Option<Instant>,
    told: Option<Instant>,
    /// Why the target was not ready when it was last asked for.
    why: String,
}

impl Story {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Story {
            shared,
            failure: None,
            progress: Progress::default(),
            address_told: None,
            judge_failure: String::new(),
            still_answers_told: None,
            full: Throttle::default(),
            displaced: Throttle::default(),
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
        } else if self.judge_failure != failure.message {
            self.judge_failure.clone_from(&failure.message);
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

    /// The target answers, although its stop was done so long ago.
    fn still_answers(&mut self, since: Duration) {
        let is_due = self.still_answers_told.is_none_or(|told| since >= told + PROGRESS_PAUSE);
        if !is_due {
            return;
        }
        self.still_answers_told = Some(since);
        let (service, target) = (self.name(), &self.shared.config.target);
        if since < LINGERS_LONG {
            info!(
                service,
                %target,
                after = %Short(since),
                "the stop is done, and the target still answers; waiting until it is down",
            );
        } else {
            warn!(
                service,
                %target,
                after = %Short(since),
                "the stop said that it was done, and the target still answers. Check that the stop \
                 stops this server, and that nothing starts it again (a restart policy, a supervisor)",
            );
        }
    }

    /// Dormouse stood still for this time.
    pub(super) fn stood_still(&self, late: Duration) {
        warn!(
            service = self.name(),
            stood_still_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX),
            "Dormouse was suspended or stopped; deadlines are moved by that time",
        );
    }

    /// The target was looked for where the last run has left it.
    pub(super) fn recalled(&self, target: &Target, found: bool) {
        let service = self.name();
        if found {
            info!(service, %target, "the target is up where it was before the restart");
        } else {
            info!(service, %target, "the target is not where it was before the restart");
        }
    }

    /// The target is elsewhere this time. Reported once until it is started again.
    pub(super) fn redirected(&mut self, target: &Target) {
        if self.address_told.as_ref() == Some(target) {
            return;
        }
        self.address_told = Some(target.clone());
        info!(service = self.name(), %target, "the target is at this address until it sleeps again");
    }

    /// A waiting client is closed.
    pub(super) fn closed(&self, client: Client, reason: Reason) {
        let throttle = match reason {
            Reason::Full => &self.full,
            Reason::Displaced | Reason::MadeRoom => &self.displaced,
            Reason::WaitedTooLong | Reason::Unusable => &self.closed,
            // These are told once for all clients.
            Reason::StartFailed | Reason::StartTimedOut | Reason::Exit => return,
            // This has its own line, which says which limit it was.
            Reason::OverBudget => return,
        };
        // Which limit it was: the one of the config, or that of the system.
        let limit = match reason {
            Reason::Full | Reason::Displaced if self.shared.slots.are_short() => {
                " (the limit of open files allows no more; raise it: `LimitNOFILE=` under systemd, \
                 `ulimit -n`)"
            }
            Reason::Full | Reason::Displaced => " (`max_held`)",
            _ => "",
        };
        if let Some(count) = throttle.count(Instant::now()) {
            warn!(
                service = self.name(),
                client = %client.address,
                recent = count.recent,
                all = count.all,
                "client closed: {reason}{limit}",
            );
        }
    }

    /// Tells what happened. `client` is the one that caused it, if one did.
    pub(super) fn tell(&mut self, news: News, client: Option<Client>) {
        if let News::StillAnswers(since) = news {
            return self.still_answers(since);
        }
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
                self.address_told = None;
                self.progress = Progress { began: Some(Instant::now()), ..Progress::default() };
                match client {
                    Some(client) => {
                        info!(service, client = %client.address, "starting the target for a client");
                    }
                    None => info!(service, cause = cause.word(), "starting the target"),
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
            News::FoundUp => {
                warn!(service, %target, "the target was believed to sleep, and is up: adopting it");
            }
            News::GoingOnWithStart => info!(
                service,
                %target,
                "a start was under way when Dormouse last ended: waiting until the target is ready",
            ),
            News::UndoingStart => info!(
                service,
                %target,
                "a start was cancelled when Dormouse last ended: undoing it",
            ),
            News::GoingOnWithStop => info!(
                service,
                %target,
                "a stop was under way when Dormouse last ended: waiting until the target is down",
            ),
            News::TargetGone => {
                warn!(service, %target, "the target refused a connection; starting it again");
            }
            News::DidNotLast { up_for, next } => warn!(
                service,
                %target,
                up_for = %Short(up_for),
                "the target refused a connection so soon after its start that the start counts as \
                 failed; the next one begins in {} at the earliest",
                Short(next),
            ),
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
                self.still_answers_told = None;
                info!(service, cause = cause.word(), idle = %Short(idle_for), "stopping the target");
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
            // Reported above.
            News::StillAnswers(_) => {}
            News::StillUp { next, done: false } => warn!(
                service,
                %target,
                "the target still answers: it counts as up, and the stop is tried again in {}",
                Short(next),
            ),
            News::StillUp { next, done: true } => warn!(
                service,
                %target,
                "the stop said that it was done, and {} later the target still answers: it counts as \
                 up, and the stop is tried again in {}. Check that the stop stops this server, and \
                 that nothing starts it again (a restart policy, a supervisor)",
                Short(self.shared.config.stop_timeout),
                Short(next),
            ),
            News::DownDespiteFailedStop => {
                info!(service, %target, "the target does not answer any more: it counts as stopped");
            }
            News::StopGoesOn => info!(
                service,
                "the target is being stopped: Dormouse exits when that is done, after {} at the latest",
                Short(self.shared.config.stop_timeout),
            ),
            News::ClosedAtExit(closed) => {
                info!(service, closed, "clients that waited are closed: Dormouse exits");
            }
        }
        debug!(service, ?news, "news");
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
