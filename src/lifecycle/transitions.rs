//! What each event does in each state.
//!
//! One function an event, and in it one arm a state: no wildcard, so that the compiler asks about
//! every new pair.

use std::time::Duration;

use super::vocabulary::{
    Call, Cause, ClientId, Effect, Event, MaySleep, Moment, News, Outcome, Period, Question, Ready,
    Reason, Retry,
};
use super::waiting::Stage;
use super::{Asked, Lifecycle, ReadyQuestion, Rest, State, Turn};

impl Lifecycle {
    pub(super) fn take(&mut self, turn: &mut Turn, event: Event) {
        match event {
            // Deadlines have been seen to already.
            Event::Tick => {}
            Event::Booted { listening } => self.booted(turn, listening),
            Event::Unusable => self.unusable(turn),
            Event::Arrived(client) => self.arrived(turn, client),
            Event::Passed { client, stays } => self.passed(turn, client, stays),
            Event::Left(client) => {
                self.waiting.remove(client);
            }
            Event::Refused {
                client,
                period,
                waited,
            } => {
                self.refused(turn, client, period, waited);
            }
            Event::Vacant { since } => self.vacant(turn, since),
            Event::DoorLocked => self.door_locked(turn),
            Event::DoorOccupied => self.door_occupied(turn),
            Event::StartEnded(call, outcome) => self.start_ended(turn, call, outcome),
            Event::ReadyEnded(call, answer) => self.ready_ended(turn, call, answer),
            Event::StopEnded(call, outcome) => self.stop_ended(turn, call, outcome),
            Event::ProbeEnded { call, listening } => self.probe_ended(turn, call, listening),
            Event::MaySleepEnded(call, answer) => self.may_sleep_ended(turn, call, answer),
            Event::Exit => self.exit(turn),
            Event::Drained => self.drained(turn),
        }
    }

    /// Rule 10.
    fn booted(&mut self, turn: &mut Turn, listening: bool) {
        match self.state {
            State::Booting => {
                if listening {
                    turn.tell(News::FoundAwake);
                    if self.awaken(turn, turn.policy.cooldown) == 0 {
                        turn.tell(News::CoolingDown(turn.policy.cooldown));
                    }
                } else {
                    turn.tell(News::FoundAsleep);
                    self.state = State::Asleep {
                        probe: None,
                        refuses: false,
                    };
                    self.look_at_new(turn);
                }
            }
            State::Asleep { .. }
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Undoing
            | State::Awake(_)
            | State::Stopping { .. }
            | State::Checking { .. }
            | State::Leaving { .. }
            | State::LastStop { .. }
            | State::Finished => {}
        }
    }

    fn unusable(&mut self, turn: &mut Turn) {
        match self.state {
            State::Booting => {
                turn.tell(News::Unusable);
                let clients = self.waiting.take_all();
                self.close_all(turn, clients, Reason::Unusable);
                self.state = State::Asleep {
                    probe: None,
                    refuses: true,
                };
            }
            State::Asleep { .. }
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Undoing
            | State::Awake(_)
            | State::Stopping { .. }
            | State::Checking { .. }
            | State::Leaving { .. }
            | State::LastStop { .. }
            | State::Finished => {}
        }
    }

    fn arrived(&mut self, turn: &mut Turn, client: ClientId) {
        if self.waiting.contains(client) {
            return;
        }
        match self.state {
            State::Booting => self.wait(turn, client, Stage::New, Duration::ZERO),
            State::Asleep { refuses: true, .. } => {
                turn.act(Effect::Close(client, Reason::Unusable));
            }
            State::Asleep { refuses: false, .. }
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Undoing
            | State::Stopping { .. }
            | State::Checking { .. } => {
                if turn.policy.gated {
                    self.wait(turn, client, Stage::AtGate, Duration::ZERO);
                    if self.waiting.contains(client) {
                        turn.act(Effect::Judge(client));
                    }
                } else {
                    self.hold(turn, client, Duration::ZERO);
                }
            }
            State::Awake(_) => self.admit(turn, client),
            State::Leaving { .. } | State::LastStop { .. } | State::Finished => {
                turn.act(Effect::Close(client, Reason::Exit));
            }
        }
    }

    /// Rule 12.
    fn wait(&mut self, turn: &mut Turn, client: ClientId, stage: Stage, waited: Duration) {
        if self.waiting.len() >= turn.policy.max_held {
            turn.act(Effect::Close(client, Reason::Full));
        } else if waited >= turn.policy.hold_timeout {
            turn.act(Effect::Close(client, Reason::WaitedTooLong));
        } else {
            self.waiting
                .add(client, stage, turn.now, waited, turn.policy.hold_timeout);
        }
    }

    fn hold(&mut self, turn: &mut Turn, client: ClientId, waited: Duration) {
        self.wait(turn, client, Stage::Held, waited);
        self.want(turn, client);
    }

    /// A client wants the target. If it is the first to wait for the end of a back-off, people are
    /// told.
    pub(super) fn want(&mut self, turn: &mut Turn, client: ClientId) {
        self.start_if_wanted(turn);
        if let State::Asleep { refuses: false, .. } = self.state
            && self.waiting.first_held().or(self.wanted) == Some(client)
        {
            turn.tell(News::BackingOff(self.start_backoff.until.since(turn.now)));
        }
    }

    /// The clients that came before the deciders were there have their turn.
    fn look_at_new(&mut self, turn: &mut Turn) {
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
        if let State::Awake(Rest::Judging { .. } | Rest::Locking { .. }) = self.state {
            self.cancel_questions(turn);
            turn.act(Effect::OpenDoor(self.period));
        }
        self.waiting.remove(client);
        turn.act(Effect::Admit(client, self.period));
        self.state = State::Awake(Rest::Occupied);
    }

    fn passed(&mut self, turn: &mut Turn, client: ClientId, stays: bool) {
        if stays {
            if !self.waiting.hold(client) {
                return;
            }
        } else if !self.waiting.remove(client) {
            return;
        }
        match self.state {
            State::Booting => {}
            State::Asleep { refuses: true, .. } => {
                if self.waiting.remove(client) {
                    turn.act(Effect::Close(client, Reason::Unusable));
                }
            }
            State::Asleep { refuses: false, .. }
            | State::Undoing
            | State::Stopping { .. }
            | State::Checking { .. } => {
                if !stays {
                    self.wanted = Some(client);
                }
                self.want(turn, client);
            }
            State::Starting { .. } | State::Readying { .. } => {}
            State::Awake(_) => {
                if stays {
                    self.admit(turn, client);
                }
            }
            State::Leaving { .. } | State::LastStop { .. } | State::Finished => {
                if self.waiting.remove(client) {
                    turn.act(Effect::Close(client, Reason::Exit));
                }
            }
        }
    }

    /// Rule 7.
    fn refused(&mut self, turn: &mut Turn, client: ClientId, period: Period, waited: Duration) {
        if self.waiting.contains(client) {
            return;
        }
        match self.state {
            State::Booting
            | State::Asleep { refuses: false, .. }
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Undoing
            | State::Stopping { .. }
            | State::Checking { .. } => self.hold(turn, client, waited),
            State::Asleep { refuses: true, .. } => {
                turn.act(Effect::Close(client, Reason::Unusable));
            }
            State::Awake(_) if period != self.period => self.admit(turn, client),
            State::Awake(_) => {
                self.cancel_questions(turn);
                turn.act(Effect::ShutDoor);
                // A client that had been held was let in because the target was said to be ready:
                // so that start was none, and the next one has to wait.
                if waited > Duration::ZERO {
                    let next = self
                        .start_backoff
                        .fail(turn.policy, turn.now, Retry::BackOff);
                    turn.tell(News::NotReadyAfterAll { next });
                } else {
                    turn.tell(News::TargetGone);
                }
                self.state = State::Asleep {
                    probe: None,
                    refuses: false,
                };
                self.hold(turn, client, waited);
                self.look_if_asleep(turn);
            }
            State::Leaving { .. } | State::LastStop { .. } | State::Finished => {
                turn.act(Effect::Close(client, Reason::Exit));
            }
        }
    }

    /// Rule 5: the cool-down begins, or begins again.
    fn vacant(&mut self, turn: &mut Turn, since: Moment) {
        match self.state {
            State::Awake(Rest::Occupied | Rest::CoolingDown { .. }) => {
                let until = since.after(turn.policy.cooldown);
                turn.tell(News::CoolingDown(until.since(turn.now)));
                self.state = State::Awake(Rest::CoolingDown { since, until });
            }
            // The last client of a target that was believed gone has left. It may be up after all.
            State::Asleep { .. } => self.look_if_asleep(turn),
            State::Booting
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Undoing
            | State::Awake(Rest::Locking { .. } | Rest::Judging { .. })
            | State::Stopping { .. }
            | State::Checking { .. }
            | State::Leaving { .. }
            | State::LastStop { .. }
            | State::Finished => {}
        }
    }

    fn door_locked(&mut self, turn: &mut Turn) {
        match self.state {
            State::Awake(Rest::Locking { since }) => {
                let idle_for = turn.now.since(since);
                if turn.policy.asks_idleness {
                    let question = Question::MaySleep(idle_for);
                    let question = self.ask_until(turn, question, turn.policy.answer_timeout);
                    self.state = State::Awake(Rest::Judging { since, question });
                } else {
                    self.stop(turn, Cause::Cooldown, idle_for);
                }
            }
            State::Undoing => self.stop(turn, Cause::FailedStart, Duration::ZERO),
            State::Booting
            | State::Asleep { .. }
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Awake(Rest::Occupied | Rest::CoolingDown { .. } | Rest::Judging { .. })
            | State::Stopping { .. }
            | State::Checking { .. }
            | State::Leaving { .. }
            | State::LastStop { .. }
            | State::Finished => {}
        }
    }

    fn door_occupied(&mut self, turn: &mut Turn) {
        match self.state {
            State::Awake(Rest::Locking { .. }) => self.state = State::Awake(Rest::Occupied),
            State::Undoing => {
                turn.tell(News::UpDespiteFailedStart);
                self.awaken(turn, turn.policy.cooldown);
                self.state = State::Awake(Rest::Occupied);
            }
            State::Booting
            | State::Asleep { .. }
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Awake(Rest::Occupied | Rest::CoolingDown { .. } | Rest::Judging { .. })
            | State::Stopping { .. }
            | State::Checking { .. }
            | State::Leaving { .. }
            | State::LastStop { .. }
            | State::Finished => {}
        }
    }

    // An answer belongs to the one state that asked for it: in every other state, and with every
    // other number, it is stale and changes nothing.

    fn start_ended(&mut self, turn: &mut Turn, answered: Call, outcome: Outcome) {
        let State::Starting {
            start: Asked { call, until },
            since,
        } = self.state
        else {
            return;
        };
        if answered != call {
            return;
        }
        match outcome {
            Outcome::Done => {
                turn.tell(News::Started(turn.now.since(since)));
                let call = self.ask(turn, Question::Ready(1));
                let question = ReadyQuestion::Asked { call, at: turn.now };
                self.state = State::Readying {
                    since,
                    until,
                    attempt: 1,
                    question,
                };
            }
            Outcome::Failed(retry) => self.start_failed(turn, retry),
        }
    }

    /// Rule 8. Whatever the start did before it failed, a server that runs now is not left alone:
    /// a probe looks.
    fn start_failed(&mut self, turn: &mut Turn, retry: Retry) {
        let (closed, next) = self.fail_start(turn, retry, Reason::StartFailed);
        let refuses = retry == Retry::Never;
        turn.tell(News::StartFailed {
            closed,
            next: (!refuses).then_some(next),
        });
        self.state = State::Asleep {
            probe: None,
            refuses,
        };
        self.look_if_asleep(turn);
    }

    /// The target counts as asleep, and it is not certain that it is: a probe looks, so that no
    /// server is left running unnoticed.
    fn look_if_asleep(&mut self, turn: &mut Turn) {
        if let State::Asleep {
            probe: None,
            refuses,
        } = self.state
        {
            let probe = self.ask_until(turn, Question::Probe, turn.policy.answer_timeout);
            self.state = State::Asleep {
                probe: Some(probe),
                refuses,
            };
        }
    }

    fn ready_ended(&mut self, turn: &mut Turn, answered: Call, answer: Ready) {
        let State::Readying {
            since,
            until,
            attempt,
            question,
        } = self.state
        else {
            return;
        };
        let ReadyQuestion::Asked { call, at } = question else {
            return;
        };
        if answered != call {
            return;
        }
        match answer {
            Ready::Yes => {
                self.start_backoff.reset();
                let took = turn.now.since(since);
                let held = self.waiting.held();
                turn.tell(News::Ready { took, held });
                if self.awaken(turn, turn.policy.cooldown) == 0 {
                    turn.tell(News::CoolingDown(turn.policy.cooldown));
                }
            }
            Ready::NotYet => {
                let pause = turn
                    .policy
                    .ready_pause(turn.now.since(since), turn.now.since(at));
                let question = ReadyQuestion::Pause(turn.now.after(pause));
                self.state = State::Readying {
                    since,
                    until,
                    attempt,
                    question,
                };
            }
            Ready::Never => self.start_failed(turn, Retry::Never),
        }
    }

    fn stop_ended(&mut self, turn: &mut Turn, answered: Call, outcome: Outcome) {
        let (State::Stopping { stop, since } | State::LastStop { stop, since }) = self.state else {
            return;
        };
        if answered != stop.call {
            return;
        }
        let last = matches!(self.state, State::LastStop { .. });
        match outcome {
            Outcome::Done => {
                turn.tell(News::Stopped(turn.now.since(since)));
                self.stop_backoff.reset();
                if last {
                    self.finish(turn)
                } else {
                    self.fall_asleep(turn)
                }
            }
            Outcome::Failed(_) => {
                turn.tell(News::StopFailed);
                if last {
                    self.finish(turn)
                } else {
                    self.stop_failed(turn)
                }
            }
        }
    }

    fn probe_ended(&mut self, turn: &mut Turn, answered: Call, listening: bool) {
        match self.state {
            State::Checking { probe } if probe.call == answered => {
                self.found_after_failed_stop(turn, listening);
            }
            State::Asleep {
                probe: Some(probe),
                refuses,
            } if probe.call == answered => {
                if listening {
                    turn.tell(News::UpDespiteFailedStart);
                    if self.awaken(turn, turn.policy.cooldown) == 0 {
                        turn.tell(News::CoolingDown(turn.policy.cooldown));
                    }
                } else {
                    self.state = State::Asleep {
                        probe: None,
                        refuses,
                    };
                }
            }
            State::Booting
            | State::Asleep { .. }
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Undoing
            | State::Awake(_)
            | State::Stopping { .. }
            | State::Checking { .. }
            | State::Leaving { .. }
            | State::LastStop { .. }
            | State::Finished => {}
        }
    }

    fn may_sleep_ended(&mut self, turn: &mut Turn, answered: Call, answer: MaySleep) {
        let State::Awake(Rest::Judging { since, question }) = self.state else {
            return;
        };
        if answered != question.call {
            return;
        }
        match answer {
            MaySleep::Yes => self.stop(turn, Cause::Cooldown, turn.now.since(since)),
            MaySleep::NotFor(delay) => {
                turn.tell(News::StaysAwake(delay));
                turn.act(Effect::OpenDoor(self.period));
                let until = turn.now.after(delay);
                self.state = State::Awake(Rest::CoolingDown { since, until });
            }
        }
    }

    /// Rule 14. All calls are taken back, but for the stop that is made for the exit.
    fn exit(&mut self, turn: &mut Turn) {
        let up = match self.state {
            State::Leaving { .. } | State::LastStop { .. } | State::Finished => return,
            State::Booting | State::Asleep { probe: None, .. } => false,
            State::Asleep { probe: Some(_), .. }
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Undoing
            | State::Awake(_)
            | State::Stopping { .. }
            | State::Checking { .. } => true,
        };
        let clients = self.waiting.take_all();
        let closed = self.close_all(turn, clients, Reason::Exit);
        if closed > 0 {
            turn.tell(News::ClosedAtExit(closed));
        }
        self.cancel_questions(turn);
        self.wanted = None;
        turn.act(Effect::ShutDoor);
        self.state = State::Leaving { up };
    }

    fn drained(&mut self, turn: &mut Turn) {
        match self.state {
            State::Leaving { up } => {
                if up && turn.policy.stop_on_exit {
                    let stop = self.ask_to_stop(turn, Cause::Exit, Duration::ZERO);
                    self.state = State::LastStop {
                        stop,
                        since: turn.now,
                    };
                } else {
                    self.finish(turn);
                }
            }
            State::Booting
            | State::Asleep { .. }
            | State::Starting { .. }
            | State::Readying { .. }
            | State::Undoing
            | State::Awake(_)
            | State::Stopping { .. }
            | State::Checking { .. }
            | State::LastStop { .. }
            | State::Finished => {}
        }
    }
}
