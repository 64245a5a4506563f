//! One call at a time.
//!
//! A state that needs an answer has a [`PendingCall`]. The call is asked as soon as no cancelled call
//! is left: a hook that was cancelled may run on for seconds, and what follows must not run beside it
//! (rule 17). So there is never more than one call under way, the cancelled one included.

use std::time::Duration;

use super::vocabulary::{Call, Effect, Event, Moment, Question};
use super::{Lifecycle, Rest, State, Turn};

/// A call that a state needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PendingCall {
    /// To be asked once no cancelled call is left, and then to be answered within this time.
    Due(Question, Duration),
    /// Asked.
    Asked {
        call: Call,
        since: Moment,
        /// When its time is up.
        until: Moment,
    },
}

impl PendingCall {
    /// Whether this is the call that was answered.
    pub(super) fn is(self, answered: Call) -> bool {
        match self {
            PendingCall::Asked { call, .. } => call == answered,
            PendingCall::Due(..) => false,
        }
    }

    /// When its time is up; never before it is asked.
    pub(super) fn until(self) -> Option<Moment> {
        match self {
            PendingCall::Asked { until, .. } => Some(until),
            PendingCall::Due(..) => None,
        }
    }

    /// When it was asked; `now` if it wasn't yet.
    pub(super) fn since(self, now: Moment) -> Moment {
        match self {
            PendingCall::Asked { since, .. } => since,
            PendingCall::Due(..) => now,
        }
    }
}

/// A question that is asked again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Poll {
    /// It is being asked.
    Asking(PendingCall),
    /// It is asked again at that time.
    Pause(Moment),
    /// It isn't asked.
    Never,
}

impl Poll {
    /// When something is due.
    pub(super) fn deadline(self) -> Option<Moment> {
        match self {
            Poll::Asking(pending) => pending.until(),
            Poll::Pause(again) => Some(again),
            Poll::Never => None,
        }
    }

    /// Whether this is the call that was answered.
    pub(super) fn is(self, answered: Call) -> bool {
        match self {
            Poll::Asking(pending) => pending.is(answered),
            Poll::Pause(_) | Poll::Never => false,
        }
    }
}

impl Lifecycle {
    /// The call of the present state.
    fn pending(&mut self) -> Option<&mut PendingCall> {
        match &mut self.state {
            State::FirstLook(pending)
            | State::Asleep { look: Poll::Asking(pending), .. }
            | State::Starting { start: pending, .. }
            | State::AwaitingReady { question: Poll::Asking(pending), .. }
            | State::Awake { rest: Rest::Judging { question: pending, .. }, .. }
            | State::Stopping { stop: pending, .. }
            | State::VerifyingStop { look: Poll::Asking(pending), .. }
            | State::Draining { stop: Some(pending), .. }
            | State::FinalStop { stop: pending } => Some(pending),
            State::Booting
            | State::Asleep { look: Poll::Pause(_) | Poll::Never, .. }
            | State::AwaitingReady { question: Poll::Pause(_) | Poll::Never, .. }
            | State::RollingBack { .. }
            | State::Awake {
                rest: Rest::Occupied | Rest::CoolingDown { .. } | Rest::Locking { .. },
                ..
            }
            | State::VerifyingStop { look: Poll::Pause(_) | Poll::Never, .. }
            | State::Draining { stop: None, .. }
            | State::Finished => None,
        }
    }

    /// Whether this is the answer to the call of the present state.
    pub(super) fn is_answered_by(&mut self, event: &Event) -> bool {
        let pending = self.pending().copied();
        event.answered().zip(pending).is_some_and(|(call, pending)| pending.is(call))
    }

    /// Cancels the call of the present state, if it was asked. What follows waits for its end.
    pub(super) fn cancel(&mut self, turn: &mut Turn) {
        if let Some(PendingCall::Asked { call, .. }) = self.pending().copied() {
            turn.act(Effect::Cancel(call));
            self.ending = Some(call);
        }
    }

    /// A cancelled call has ended: nothing that it ran is left.
    pub(super) fn ended(&mut self, call: Call) {
        self.ending.take_if(|ending| *ending == call);
    }

    /// Does what had to wait for the end of a cancelled call, if none is left.
    pub(super) fn proceed(&mut self, turn: &mut Turn) {
        if self.ending.is_some() {
            return;
        }
        if let State::RollingBack { locking: false } = self.state {
            self.state = State::RollingBack { locking: true };
            turn.act(Effect::LockDoor);
        }
        if let State::Draining { up, drained: true, stop: None } = self.state {
            self.leave(turn, up);
        }
        self.look_if_uncertain(turn);
        let call = Call(self.next_call);
        if let Some(pending) = self.pending()
            && let PendingCall::Due(question, at_most) = *pending
        {
            let (since, until) = (turn.now, turn.now.after(at_most));
            *pending = PendingCall::Asked { call, since, until };
            self.next_call += 1;
            turn.act(Effect::Ask(call, question));
        }
    }
}
