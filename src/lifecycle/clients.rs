//! What clients and the door do to each state.

use std::time::Duration;

use super::budget::Origin;
use super::calls::PendingCall;
use super::vocabulary::{Cause, ClientId, Effect, Moment, News, Period, Reason, Retry};
use super::waiting::{Stage, Waiter};
use super::{Lifecycle, Question, Rest, State, Turn};

/// A client, and where it comes from.
type Newcomer = (ClientId, Origin);

impl Lifecycle {
    pub(super) fn arrived(&mut self, turn: &mut Turn, newcomer: Newcomer) {
        let (client, _) = newcomer;
        if self.waiting.contains(client) {
            return;
        }
        match self.state {
            State::Booting | State::FirstLook(_) => {
                self.wait(turn, newcomer, Stage::New, Duration::ZERO);
            }
            State::Asleep { refuses: true, .. } => {
                turn.act(Effect::Close(client, Reason::Unusable));
            }
            State::Asleep { refuses: false, .. }
            | State::Starting { .. }
            | State::AwaitingReady { .. }
            | State::RollingBack { .. }
            | State::Stopping { .. }
            | State::VerifyingStop { .. } => {
                if turn.policy.gated {
                    self.wait(turn, newcomer, Stage::AtGate, Duration::ZERO);
                    if self.waiting.contains(client) {
                        turn.act(Effect::Judge(client));
                    }
                } else {
                    self.hold(turn, newcomer, Duration::ZERO);
                }
            }
            State::Awake { .. } => self.admit(turn, client),
            State::Draining { .. } | State::FinalStop { .. } | State::Finished => {
                turn.act(Effect::Close(client, Reason::Exit));
            }
        }
    }

    /// Rule 12. Places are shared out by origin.
    fn wait(&mut self, turn: &mut Turn, newcomer: Newcomer, stage: Stage, waited: Duration) {
        let (client, origin) = newcomer;
        if waited >= turn.policy.hold_timeout {
            turn.act(Effect::Close(client, Reason::WaitedTooLong));
            return;
        }
        if self.waiting.len() >= turn.policy.max_held {
            let Some(displaced) = self.waiting.displaced_by(origin) else {
                turn.act(Effect::Close(client, Reason::Full));
                return;
            };
            self.close(turn, displaced, Reason::Displaced);
        }
        self.waiting.add(newcomer, stage, turn.now, waited, turn.policy.hold_timeout);
    }

    /// What a client has here is needed elsewhere: another service has fewer clients.
    pub(super) fn make_room(&mut self, turn: &mut Turn) {
        if let Some(client) = self.waiting.last_comer() {
            self.close(turn, client, Reason::MadeRoom);
        }
    }

    fn close(&mut self, turn: &mut Turn, client: ClientId, reason: Reason) {
        self.waiting.remove(client);
        turn.act(Effect::Close(client, reason));
    }

    fn hold(&mut self, turn: &mut Turn, newcomer: Newcomer, waited: Duration) {
        self.wait(turn, newcomer, Stage::Held, waited);
        self.want(turn, newcomer.0);
    }

    /// A client wants the target. If it would be one wake too many, it is refused at once, and not
    /// first held for a start that will not be. If it is the first to wait for the end of a
    /// back-off, people are told.
    pub(super) fn want(&mut self, turn: &mut Turn, client: ClientId) {
        match self.state {
            State::Asleep { refuses: false, .. }
            | State::RollingBack { .. }
            | State::Stopping { .. }
            | State::VerifyingStop { .. } => {
                self.waker(turn);
            }
            // It joins a start, or nobody starts anything.
            State::Booting
            | State::FirstLook(_)
            | State::Asleep { refuses: true, .. }
            | State::Starting { .. }
            | State::AwaitingReady { .. }
            | State::Awake { .. }
            | State::Draining { .. }
            | State::FinalStop { .. }
            | State::Finished => {}
        }
        self.start_if_wanted(turn);
        if let State::Asleep { refuses: false, .. } = self.state
            && self.waiting.first_held().or(self.wanted()) == Some(client)
        {
            turn.tell(News::BackingOff(self.start_backoff.until.since(turn.now)));
        }
    }

    /// The clients that came before the deciders were there have their turn.
    pub(super) fn look_at_new(&mut self, turn: &mut Turn) {
        if turn.policy.gated {
            for client in self.waiting.promote_new(Stage::AtGate) {
                turn.act(Effect::Judge(client));
            }
        } else {
            self.waiting.promote_new(Stage::Held);
            self.start_if_wanted(turn);
        }
    }

    /// Lets in a client of an awake target, and ends the cool-down (rule 5).
    fn admit(&mut self, turn: &mut Turn, client: ClientId) {
        let State::Awake { since, rest } = self.state else { return };
        if let Rest::Judging { .. } | Rest::Locking { .. } = rest {
            self.cancel(turn);
            turn.act(Effect::OpenDoor(self.period));
        }
        self.waiting.remove(client);
        turn.act(Effect::Admit(client, self.period));
        self.state = State::Awake { since, rest: Rest::Occupied };
    }

    pub(super) fn passed(&mut self, turn: &mut Turn, client: ClientId, stays: bool) {
        let passed = if stays { self.waiting.hold(client) } else { self.waiting.remove(client) };
        let Some(Waiter { origin, .. }) = passed else { return };
        match self.state {
            State::Booting | State::FirstLook(_) => {}
            State::Asleep { refuses: true, .. } => {
                if self.waiting.remove(client).is_some() {
                    turn.act(Effect::Close(client, Reason::Unusable));
                }
            }
            State::Asleep { refuses: false, .. }
            | State::RollingBack { .. }
            | State::Stopping { .. }
            | State::VerifyingStop { .. } => {
                if !stays && self.takes_over(turn, origin) {
                    self.wanted = Some((client, origin));
                }
                self.want(turn, client);
            }
            State::Starting { .. } | State::AwaitingReady { .. } => {}
            State::Awake { .. } => {
                if stays {
                    self.admit(turn, client);
                }
            }
            State::Draining { .. } | State::FinalStop { .. } | State::Finished => {
                if self.waiting.remove(client).is_some() {
                    turn.act(Effect::Close(client, Reason::Exit));
                }
            }
        }
    }

    /// Whether one who does not stay is the one to start the target for, and not who came before:
    /// one whose wake is over the budget does not undo the wish of another.
    fn takes_over(&self, turn: &Turn, origin: Origin) -> bool {
        let within = self.budget.judge(&turn.policy.wakes, turn.now, origin).is_ok();
        within || self.wanted.is_none()
    }

    /// Rule 7.
    pub(super) fn refused(
        &mut self,
        turn: &mut Turn,
        newcomer: Newcomer,
        period: Period,
        waited: Duration,
    ) {
        let (client, _) = newcomer;
        if self.waiting.contains(client) {
            return;
        }
        match self.state {
            State::Booting
            | State::FirstLook(_)
            | State::Asleep { refuses: false, .. }
            | State::Starting { .. }
            | State::AwaitingReady { .. }
            | State::RollingBack { .. }
            | State::Stopping { .. }
            | State::VerifyingStop { .. } => self.hold(turn, newcomer, waited),
            State::Asleep { refuses: true, .. } => {
                turn.act(Effect::Close(client, Reason::Unusable));
            }
            State::Awake { .. } if period != self.period => self.admit(turn, client),
            State::Awake { since, .. } => {
                self.cancel(turn);
                turn.act(Effect::ShutDoor);
                self.target_gone(turn, turn.now.since(since), waited);
                self.assume_asleep(turn, false);
                self.hold(turn, newcomer, waited);
            }
            State::Draining { .. } | State::FinalStop { .. } | State::Finished => {
                turn.act(Effect::Close(client, Reason::Exit));
            }
        }
    }

    /// The target, believed awake for this time, refused a client that had been held for that time
    /// before. A target that lasted is started again at once. One that did not was no success, and
    /// the next start has to wait.
    fn target_gone(&mut self, turn: &mut Turn, up_for: Duration, waited: Duration) {
        if waited > Duration::ZERO {
            let next = self.start_backoff.fail(turn.policy, turn.now, Retry::BackOff);
            turn.tell(News::NotReadyAfterAll { next });
        } else if up_for < turn.policy.stable_after {
            let next = self.start_backoff.fail(turn.policy, turn.now, Retry::BackOff);
            turn.tell(News::DidNotLast { up_for, next });
        } else {
            self.start_backoff.reset();
            turn.tell(News::TargetGone);
        }
    }

    /// Rule 5: the cool-down begins, or begins again.
    pub(super) fn vacant(&mut self, turn: &mut Turn, since: Moment) {
        match self.state {
            State::Awake { since: up, rest: Rest::Occupied | Rest::CoolingDown { .. } } => {
                let until = since.after(turn.policy.cooldown);
                turn.tell(News::CoolingDown(until.since(turn.now)));
                self.state = State::Awake { since: up, rest: Rest::CoolingDown { since, until } };
            }
            // The last client of a target that was believed gone has left. It may be up after all.
            State::Asleep { .. } => self.doubt_sleep(),
            State::Booting
            | State::FirstLook(_)
            | State::Starting { .. }
            | State::AwaitingReady { .. }
            | State::RollingBack { .. }
            | State::Awake { rest: Rest::Locking { .. } | Rest::Judging { .. }, .. }
            | State::Stopping { .. }
            | State::VerifyingStop { .. }
            | State::Draining { .. }
            | State::FinalStop { .. }
            | State::Finished => {}
        }
    }

    pub(super) fn door_locked(&mut self, turn: &mut Turn) {
        match self.state {
            State::Awake { since: up, rest: Rest::Locking { since } } => {
                if turn.policy.asks_idleness {
                    let question = Question::MaySleep(turn.now.since(since));
                    let question = PendingCall::Due(question, turn.policy.answer_timeout);
                    self.state =
                        State::Awake { since: up, rest: Rest::Judging { since, question } };
                } else {
                    self.stop(turn, Cause::Cooldown, since);
                }
            }
            State::RollingBack { .. } => self.stop(turn, Cause::FailedStart, turn.now),
            State::Booting
            | State::FirstLook(_)
            | State::Asleep { .. }
            | State::Starting { .. }
            | State::AwaitingReady { .. }
            | State::Awake {
                rest: Rest::Occupied | Rest::CoolingDown { .. } | Rest::Judging { .. },
                ..
            }
            | State::Stopping { .. }
            | State::VerifyingStop { .. }
            | State::Draining { .. }
            | State::FinalStop { .. }
            | State::Finished => {}
        }
    }

    pub(super) fn door_occupied(&mut self, turn: &mut Turn) {
        match self.state {
            State::Awake { since, rest: Rest::Locking { .. } } => {
                self.state = State::Awake { since, rest: Rest::Occupied };
            }
            State::RollingBack { .. } => {
                turn.tell(News::FoundUp);
                self.awaken(turn, turn.policy.cooldown, turn.now);
                self.state = State::Awake { since: turn.now, rest: Rest::Occupied };
            }
            State::Booting
            | State::FirstLook(_)
            | State::Asleep { .. }
            | State::Starting { .. }
            | State::AwaitingReady { .. }
            | State::Awake {
                rest: Rest::Occupied | Rest::CoolingDown { .. } | Rest::Judging { .. },
                ..
            }
            | State::Stopping { .. }
            | State::VerifyingStop { .. }
            | State::Draining { .. }
            | State::FinalStop { .. }
            | State::Finished => {}
        }
    }
}
