//! The task that owns the lifecycle of one service: it tells it what happens, and does what it
//! says. It never waits for anything but the next message.

mod calls;
mod story;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::message::{Message, Order, Reply, Waiter};
use super::origin::origin;
use super::recorder::Recorder;
use calls::{Calls, Request};
pub(super) use calls::{Reach, Report};
use story::Story;

use crate::config::{OnIdlenessError, Target};
use crate::decide::{self, Client, Deciders, Failure, FailureKind, Readiness, SleepVerdict};
use crate::lifecycle::{
    Call, Cause, ClientId, Effect, Event, Lifecycle, MaySleep, Moment, News, Outcome, Phase,
    Policy, Question, Ready, Retry, WakeLimits,
};

/// A service with many short connections is vacant all the time. So that neither the log nor the
/// lifecycle hears of each, they hear of it once in this share of the cool-down, or in
/// [`SETTLE_MOST`].
const SETTLE_SHARE: u32 = 10;
const SETTLE_MOST: Duration = Duration::from_secs(1);
/// How long a decider that breaks its own deadline is waited for.
const ANSWER_MOST: Duration = Duration::from_secs(60);
/// With `on_idleness_error = "stay"` the question is asked again after another cool-down, or after
/// this time if that is shorter.
const STAY_AFTER_ERROR: Duration = Duration::from_secs(60);
/// A deadline that is noticed later than this was passed while Dormouse stood still: the machine was
/// suspended, or the process was stopped.
const FROZEN_AFTER: Duration = Duration::from_secs(2);
/// The shortest time that `should-sleep` may ask for.
const STAY_LEAST: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    shared: Arc<Shared>,
    inbox: mpsc::UnboundedReceiver<Message>,
    lifecycle: Lifecycle,
    policy: Policy,
    /// When the service's time began. Time in which Dormouse stood still doesn't count, so this moves.
    began: Instant,
    /// When the last start was ordered.
    start_began: Instant,
    /// `None` until they are loaded.
    deciders: Option<Deciders>,
    calls: Calls,
    reach: Arc<dyn Reach>,
    recorder: Arc<Recorder>,
    waiters: HashMap<ClientId, Waiter>,
    /// The last client that wanted the target and did not stay, and before it the one whose wish is
    /// not fulfilled yet.
    passers: Vec<(ClientId, Client)>,
    /// The connection by which the target was found ready, for the first client.
    connection: Option<TcpStream>,
    story: Story,
    /// When the service became vacant, while it is not certain to stay so.
    vacated: Option<Instant>,
    /// When the cool-down ends that people have not been told of.
    untold_cooldown: Option<Instant>,
    leaving: bool,
    finished: bool,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        inbox: mpsc::UnboundedReceiver<Message>,
        reach: Arc<dyn Reach>,
        recorder: Arc<Recorder>,
        seed: u64,
    ) -> Self {
        let config = &shared.config;
        let policy = Policy {
            cooldown: config.cooldown,
            start_timeout: config.start_timeout,
            stop_timeout: config.stop_timeout,
            hold_timeout: config.hold_timeout,
            answer_timeout: ANSWER_MOST,
            max_held: max_held(&shared),
            gated: false,
            asks_idleness: false,
            without_answer: match config.on_idleness_error {
                OnIdlenessError::Sleep => MaySleep::Yes,
                OnIdlenessError::Stay => MaySleep::NotFor(config.cooldown.max(STAY_AFTER_ERROR)),
            },
            wakes: WakeLimits {
                all: config.wakes.per_hour,
                each: config.wakes.per_client_per_hour,
                window: WakeLimits::WINDOW,
            },
            stop_on_exit: config.stop_on_exit,
            backoff_first: Policy::BACKOFF_FIRST,
            backoff_most: Policy::BACKOFF_MOST,
            ready_pause_first: Policy::READY_PAUSE_FIRST,
            ready_pause_most: Policy::READY_PAUSE_MOST,
            stable_after: Policy::STABLE_AFTER,
            verifies_stop: true,
            settle_most: Policy::SETTLE_MOST,
            look_pause_first: Policy::LOOK_PAUSE_FIRST,
            look_pause_most: config.probe_while_asleep,
        };
        Driver {
            inbox,
            lifecycle: Lifecycle::new(seed),
            policy,
            began: Instant::now(),
            start_began: Instant::now(),
            deciders: None,
            calls: Calls::new(Arc::clone(&reach), Arc::clone(&recorder), shared.inbox.clone()),
            reach,
            recorder,
            waiters: HashMap::new(),
            passers: Vec::new(),
            connection: None,
            story: Story::new(Arc::clone(&shared)),
            vacated: None,
            untold_cooldown: None,
            leaving: false,
            finished: false,
            shared,
        }
    }

    /// Drives until the lifecycle is over.
    pub(super) async fn drive(mut self) {
        while !self.finished {
            let deadline = self.lifecycle.deadline().map(|at| self.began + at.0);
            let settled = self.vacated.map(|at| at + self.settle());
            tokio::select! {
                biased;
                message = self.inbox.recv() => match message {
                    Some(message) => {
                        self.skip_frozen_time(deadline);
                        self.take(message);
                    }
                    // The service holds a sender, so this does not happen.
                    None => return,
                },
                () = self.shared.door.vacated(), if self.vacated.is_none() => self.note_vacancy(),
                () = until(settled) => self.settle_vacancy(),
                () = until(deadline) => {
                    self.skip_frozen_time(deadline);
                    self.feed(Event::Tick);
                }
            }
        }
    }

    /// If `deadline` has been passed for so long that Dormouse must have stood still, the time since
    /// then doesn't count: what was done meanwhile is heard of first.
    fn skip_frozen_time(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        let late = Instant::now().saturating_duration_since(deadline);
        if late > FROZEN_AFTER {
            self.began += late;
            self.story.stood_still(late);
        }
    }

    fn settle(&self) -> Duration {
        (self.policy.cooldown / SETTLE_SHARE).min(SETTLE_MOST)
    }

    fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    fn moment(&self, at: Instant) -> Moment {
        Moment(at.saturating_duration_since(self.began))
    }

    fn note_vacancy(&mut self) {
        if self.shared.door.inside() > 0 {
            return;
        }
        if self.leaving {
            self.feed(Event::Drained);
        } else {
            self.cool_down();
        }
    }

    /// The cool-down begins, or begins again.
    fn cool_down(&mut self) {
        let now = Instant::now();
        self.vacated = Some(now);
        self.feed(Event::Vacant { since: self.moment(now) });
    }

    fn settle_vacancy(&mut self) {
        self.vacated = None;
        let came_and_went = self.shared.door.was_vacated();
        let untold = self.untold_cooldown.take();
        if self.shared.door.inside() > 0 {
            return;
        }
        if came_and_went {
            self.cool_down();
        } else if let Some(until) = untold
            && self.lifecycle.phase() == Phase::Awake
        {
            let left = until.saturating_duration_since(Instant::now());
            self.story.tell(News::CoolingDown(left), None);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Waits { client, refused } => {
                let (id, origin) = (client.id, origin(client.client.address.ip()));
                if client.is_spare {
                    self.policy.max_held = self.lifecycle.waiting().min(self.policy.max_held);
                }
                self.waiters.insert(id, client);
                self.feed(match refused {
                    None => Event::Arrived(id, origin),
                    Some(refusal) => Event::Refused {
                        client: id,
                        origin,
                        period: refusal.period,
                        waited: refusal.waited,
                    },
                });
                self.policy.max_held = max_held(&self.shared);
            }
            Message::Passed { id, stays } => {
                if !stays && let Some(waiter) = self.waiters.remove(&id) {
                    let wanted = self.lifecycle.wanted();
                    self.passers.retain(|(passer, _)| Some(*passer) == wanted);
                    self.passers.push((id, waiter.client));
                }
                self.feed(Event::Passed { client: id, stays });
            }
            Message::Left(id) => {
                self.waiters.remove(&id);
                self.feed(Event::Left(id));
            }
            Message::Booted { deciders: None, .. } => self.feed(Event::Unusable),
            Message::Booted { deciders: Some(deciders), under_way } => {
                self.policy.gated = deciders.gate.is_some();
                self.policy.asks_idleness = deciders.idleness.is_some();
                // A judge can be asked without harm where a probe would wake the target.
                let probes = self.policy.look_pause_most.is_some();
                self.policy.verifies_stop = probes || deciders.readiness.is_some();
                self.deciders = Some(deciders);
                self.start_began = Instant::now();
                self.feed(Event::Booted(under_way));
            }
            Message::MakeRoom => {
                self.shared.slots.is_making_room();
                self.feed(Event::MakeRoom);
            }
            Message::NotReady(why) => self.story.not_ready(&why),
            Message::Recalled { target, found } => self.story.recalled(&target, found),
            Message::Answered(call, reply) => {
                let event = match self.calls.close(call) {
                    None => return,
                    Some(true) => Event::Ended(call),
                    Some(false) => self.understand(call, reply),
                };
                self.feed(event);
                // Whoever had to have it has it.
                self.connection = None;
            }
            Message::Exit => {
                self.leaving = true;
                self.vacated = None;
                self.feed(Event::Exit);
                if self.shared.door.inside() == 0 {
                    self.feed(Event::Drained);
                }
            }
            Message::Cut => self.feed(Event::Drained),
        }
    }

    /// What an answer means for the lifecycle. What it says to people goes into the story.
    fn understand(&mut self, call: Call, reply: Reply) -> Event {
        match reply {
            Reply::Started(result) => Event::StartEnded(call, self.outcome(result)),
            Reply::Stopped(result) => Event::StopEnded(call, self.outcome(result)),
            Reply::Ready(Ok(Readiness::Ready(address))) => {
                self.redirect(address.as_deref());
                Event::ReadyEnded(call, Ready::Yes)
            }
            Reply::Ready(Ok(Readiness::NotYet(progress))) => {
                self.story.not_ready(&progress);
                Event::ReadyEnded(call, Ready::NotYet)
            }
            Reply::Ready(Err(failure)) => {
                let never = failure.kind == FailureKind::Permanent;
                self.story.readiness_failed(&failure, never);
                Event::ReadyEnded(call, if never { Ready::Never } else { Ready::NotYet })
            }
            Reply::Connected(connection) => {
                self.connection = connection;
                Event::ReadyEnded(call, Ready::Yes)
            }
            Reply::Looked(look) => {
                if let Some(failure) = &look.failure {
                    self.story.readiness_failed(failure, false);
                }
                self.redirect(look.address.as_deref());
                Event::LookEnded { call, up: look.up }
            }
            Reply::LeftoverEnded => Event::LeftoverEnded(call),
            Reply::Cancelled => Event::Ended(call),
            Reply::MaySleep(result) => {
                let answer = match result {
                    Ok(SleepVerdict::Sleep) => MaySleep::Yes,
                    Ok(SleepVerdict::StayAwake(delay)) => MaySleep::NotFor(delay.max(STAY_LEAST)),
                    Err(failure) => {
                        self.story.idleness_failed(&failure);
                        self.policy.without_answer
                    }
                };
                Event::MaySleepEnded(call, answer)
            }
        }
    }

    /// The plugin that judges readiness has named the target's address.
    fn redirect(&mut self, address: Option<&str>) {
        if let Some(target) = address.and_then(Target::parse) {
            self.story.redirected(&target);
            self.reach.redirect(Some(target));
        }
    }

    fn outcome(&mut self, result: Result<(), Failure>) -> Outcome {
        match result {
            Ok(()) => Outcome::Done,
            Err(failure) => {
                let retry = match failure.kind {
                    FailureKind::Permanent => Retry::Never,
                    FailureKind::TryAgain(Some(delay)) => Retry::After(delay),
                    FailureKind::TryAgain(None)
                    | FailureKind::WrongSettings
                    | FailureKind::Denied
                    | FailureKind::Broken => Retry::BackOff,
                };
                self.story.failed(failure);
                Outcome::Failed(retry)
            }
        }
    }

    fn feed(&mut self, event: Event) {
        let before = self.lifecycle.phase();
        // The door's answer comes before anything else.
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let lifecycle = std::mem::replace(&mut self.lifecycle, Lifecycle::new(0));
            let (lifecycle, effects) = lifecycle.step(&self.policy, self.now(), event);
            self.lifecycle = lifecycle;
            self.shared.publish(self.lifecycle.phase());
            self.shared.slots.set_held(self.lifecycle.waiting());
            for effect in effects {
                if let Some(answer) = self.carry_out(effect) {
                    next = Some(answer);
                }
            }
        }
        let fell_asleep = before != Phase::Asleep && self.lifecycle.phase() == Phase::Asleep;
        // At the exit a target is left as it is, and the next run finds it where it was.
        let left_as_it_is = self.leaving && !matches!(event, Event::StopEnded(_, Outcome::Done));
        if fell_asleep && !left_as_it_is {
            // Where a plugin found it may be somebody else's by the next start.
            self.reach.redirect(None);
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Ask(call, question) => self.ask(call, question),
            Effect::Cancel(call) => self.calls.cancel(call),
            Effect::Record(record) => self.recorder.set(record),
            Effect::Judge(id) => {
                let gate = self.deciders.as_ref().and_then(|deciders| deciders.gate.clone());
                if let Some(waiter) = self.waiters.get(&id)
                    && let Some(gate) = gate
                {
                    let _ = waiter.orders.send(Order::Judge(gate));
                }
            }
            Effect::Admit(id, period) => {
                if let Some(waiter) = self.waiters.remove(&id) {
                    let inside = self.shared.door.admit(period);
                    let fits = self.shared.wants_target(waiter.client);
                    let connection = if fits { self.connection.take() } else { None };
                    let _ = waiter.orders.send(Order::Admit(inside, connection));
                }
            }
            Effect::Close(id, reason) => {
                if let Some(waiter) = self.waiters.remove(&id) {
                    self.story.closed(waiter.client, reason);
                    let _ = waiter.orders.send(Order::Close(reason));
                }
            }
            Effect::OpenDoor(period) => self.shared.door.open(period),
            Effect::ShutDoor => self.shared.door.shut(),
            Effect::LockDoor => {
                return Some(if self.shared.door.lock() {
                    Event::DoorLocked
                } else {
                    Event::DoorOccupied
                });
            }
            Effect::Tell(news) => self.tell(news),
            Effect::Finish => self.finished = true,
        }
        None
    }

    fn tell(&mut self, news: News) {
        if let News::CoolingDown(delay) = news
            && self.vacated.is_some()
        {
            self.untold_cooldown = Some(Instant::now() + delay);
            return;
        }
        let client = match news {
            News::Starting(cause) | News::Stopping { cause, .. } => self.client_of(cause),
            News::OverBudget { client, .. } => self.client_of(Cause::Client(client)),
            _ => None,
        };
        self.story.tell(news, client);
    }

    fn ask(&mut self, call: Call, question: Question) {
        let Some(deciders) = &self.deciders else { return };
        if let Question::Start(_) = question {
            // It may begin in the very moment in which the target has fallen asleep.
            self.reach.redirect(None);
            self.start_began = Instant::now();
        }
        let request = match question {
            Question::Start(cause) => Request::Start(self.cause(cause)),
            Question::Stop(cause) => Request::Stop(self.cause(cause)),
            Question::AwaitLeftover => Request::AwaitLeftover,
            Question::Ready(attempt) => Request::Ready(attempt, self.start_began),
            Question::Look => Request::Look,
            Question::FirstLook => Request::FirstLook,
            Question::MaySleep(idle_for) => Request::MaySleep(idle_for),
        };
        self.calls.ask(call, request, deciders, &self.shared.config);
    }

    fn cause(&self, cause: Cause) -> decide::Cause {
        match cause {
            Cause::Client(_) => match self.client_of(cause) {
                Some(client) => decide::Cause::Client(client),
                None => decide::Cause::Operator,
            },
            Cause::Cooldown => decide::Cause::Cooldown,
            Cause::Exit => decide::Cause::Exit,
            Cause::FailedStart => decide::Cause::FailedStart,
        }
    }

    fn client_of(&self, cause: Cause) -> Option<Client> {
        let Cause::Client(id) = cause else { return None };
        let waiting = self.waiters.get(&id).map(|waiter| waiter.client);
        let passed = || self.passers.iter().find(|(passer, _)| *passer == id);
        waiting.or_else(|| passed().map(|(_, client)| *client))
    }
}

/// How many clients may be held: no more than there are slots.
fn max_held(shared: &Shared) -> usize {
    shared.config.max_held.min(shared.slots.most())
}

/// Ends at that time, or never.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
