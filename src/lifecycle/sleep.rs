//! A target that is believed to sleep is looked at: at once where that isn't certain, soon after it
//! has fallen asleep, and then more and more seldom, for ever. One that is up for whatever reason is
//! adopted, and put to sleep in the end (rule 9).

use super::calls::{PendingCall, Poll};
use super::vocabulary::{Moment, News, Question, Record};
use super::{Effect, Lifecycle, Policy, State, Turn};

impl Lifecycle {
    /// The target counts as asleep, and a look has said so, or its stop has. Starts it again at once
    /// if somebody waits for that.
    pub(super) fn fall_asleep(&mut self, turn: &mut Turn) {
        turn.act(Effect::Record(Record::Asleep));
        self.sleep(turn, true, false);
        self.start_if_wanted(turn);
    }

    /// The target counts as asleep, and it is not certain that it is: a look finds out, so that no
    /// server is left running unnoticed. While somebody waits for a start there is none: what its judge
    /// says may be just what a client has found to be wrong. See [`Self::look_if_uncertain`].
    pub(super) fn assume_asleep(&mut self, turn: &mut Turn, refuses: bool) {
        turn.act(Effect::Record(Record::Asleep));
        self.sleep(turn, false, refuses);
    }

    /// Something speaks against the sleep of the target.
    pub(super) fn doubt_sleep(&mut self) {
        if let State::Asleep { certain, .. } = &mut self.state {
            *certain = false;
        }
    }

    /// Looks at a target that counts as asleep without certainty, if no start is about to show what it
    /// does.
    pub(super) fn look_if_uncertain(&mut self, turn: &Turn) {
        if let State::Asleep { certain: false, refuses, .. } = self.state
            && (refuses || !self.someone_wants_it())
        {
            self.look_now(turn);
        }
    }

    pub(super) fn sleep(&mut self, turn: &Turn, certain: bool, refuses: bool) {
        let pause = turn.policy.first_look_pause();
        let look = next_look(turn.policy, turn.now, pause);
        self.state = State::Asleep { look, pause, certain, refuses };
    }

    /// Looks at a sleeping target, unless that is under way.
    pub(super) fn look_now(&mut self, turn: &Turn) {
        if let State::Asleep { look: Poll::Pause(_) | Poll::Never, pause, refuses, .. } = self.state
        {
            let look = Poll::Asking(PendingCall::Due(Question::Look, turn.policy.answer_timeout));
            self.state = State::Asleep { look, pause, certain: false, refuses };
        }
    }

    /// A look at a sleeping target has ended.
    pub(super) fn looked_at_sleeper(&mut self, turn: &mut Turn, up: bool) {
        let State::Asleep { pause, refuses, .. } = self.state else { return };
        if up {
            turn.tell(News::FoundUp);
            self.awaken_for_clients(turn);
            return;
        }
        let look = next_look(turn.policy, turn.now, pause);
        let pause = turn.policy.next_look_pause(pause);
        self.state = State::Asleep { look, pause, certain: true, refuses };
    }

    /// A look at a sleeping target had no answer in time, or is due. An unanswered look isn't repeated at
    /// once.
    pub(super) fn sleeper_is_due(&mut self, turn: &mut Turn) {
        let State::Asleep { look, pause, certain, refuses } = self.state else { return };
        let is_due = look.deadline().is_some_and(|deadline| deadline <= turn.now);
        match look {
            Poll::Asking(_) if is_due => {
                self.cancel(turn);
                let look = next_look(turn.policy, turn.now, pause);
                let pause = turn.policy.next_look_pause(pause);
                self.state = State::Asleep { look, pause, certain: true, refuses };
            }
            Poll::Pause(_) if is_due => {
                let look = PendingCall::Due(Question::Look, turn.policy.answer_timeout);
                self.state = State::Asleep { look: Poll::Asking(look), pause, certain, refuses };
            }
            Poll::Asking(_) | Poll::Pause(_) | Poll::Never => {}
        }
        self.start_if_wanted(turn);
    }
}

fn next_look(policy: &Policy, now: Moment, pause: std::time::Duration) -> Poll {
    match policy.look_pause_most {
        Some(_) => Poll::Pause(now.after(pause)),
        None => Poll::Never,
    }
}
