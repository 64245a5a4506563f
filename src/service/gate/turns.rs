//! Turns: how many questions a gate is asked at once, and whose is next.
//!
//! A client that has sent something is asked about before one that is silent. Among those who have,
//! turns go round by origin, so that many clients of one origin do not delay those of another. Two
//! bounds keep some turns free where a question takes long (a hook, say): silent clients have half of
//! the turns at most, and one origin has three quarters.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::lifecycle::Origin;

/// The turns of one service.
#[derive(Debug)]
pub(super) struct Turns {
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    /// How many turns there are, how many silent clients have at most, and how many one origin has.
    most: usize,
    most_silent: usize,
    most_each: usize,
    /// How many are held: by all, by silent clients, and by each origin (never 0).
    held: usize,
    held_silent: usize,
    held_each: HashMap<Origin, usize>,
    next: u64,
    spoken: Line,
    silent: Line,
}

/// Those who wait, by origin.
#[derive(Debug, Default)]
struct Line {
    /// The origins of those who wait, in the order of their turns.
    rota: VecDeque<Origin>,
    /// In the order in which they came. No entry is empty.
    waiting: HashMap<Origin, BTreeMap<u64, oneshot::Sender<Turn>>>,
}

/// The right to ask the gate one question, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    origin: Origin,
    spoken: bool,
}

impl Turns {
    /// So many turns, at least one.
    pub(super) fn new(most: usize) -> Arc<Turns> {
        let most = most.max(1);
        Arc::new(Turns {
            queue: Mutex::new(Queue {
                most,
                most_silent: (most / 2).max(1),
                most_each: most - most / 4,
                held: 0,
                held_silent: 0,
                held_each: HashMap::new(),
                next: 0,
                spoken: Line::default(),
                silent: Line::default(),
            }),
        })
    }

    /// Waits for a turn of a client from there that has spoken, or is silent. Dropping the future
    /// leaves the queue.
    pub(super) async fn take(self: &Arc<Self>, origin: Origin, spoken: bool) -> Turn {
        loop {
            let (sender, receiver) = oneshot::channel();
            let id = self.queue().enqueue(origin, spoken, sender);
            let _waiting = Waiting { turns: self, origin, spoken, id };
            self.hand_out();
            // The sender is there until it is used.
            if let Ok(turn) = receiver.await {
                return turn;
            }
        }
    }

    /// Gives free turns to those who are next.
    fn hand_out(self: &Arc<Self>) {
        loop {
            let Some((sender, origin, spoken)) = self.queue().next_in_turn() else { return };
            // If it has gone in this moment, the turn comes back and is handed out again.
            let _ = sender.send(Turn { turns: Arc::clone(self), origin, spoken });
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.queue().give_back(self.origin, self.spoken);
        self.turns.hand_out();
    }
}

/// Somebody who waits. Dropping it leaves the queue.
struct Waiting<'t> {
    turns: &'t Turns,
    origin: Origin,
    spoken: bool,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut queue = self.turns.queue();
        let line = if self.spoken { &mut queue.spoken } else { &mut queue.silent };
        let left = line.remove(self.origin, self.id);
        drop(queue);
        // Dropped when the queue is unlocked again.
        drop(left);
    }
}

impl Queue {
    fn enqueue(&mut self, origin: Origin, spoken: bool, sender: oneshot::Sender<Turn>) -> u64 {
        let id = self.next;
        self.next += 1;
        let line = if spoken { &mut self.spoken } else { &mut self.silent };
        let waiting = line.waiting.entry(origin).or_default();
        if waiting.is_empty() {
            line.rota.push_back(origin);
        }
        waiting.insert(id, sender);
        id
    }

    /// Takes a free turn for the one who is next, if there are both.
    fn next_in_turn(&mut self) -> Option<(oneshot::Sender<Turn>, Origin, bool)> {
        if self.held >= self.most {
            return None;
        }
        let (each, most_each) = (&self.held_each, self.most_each);
        let may = |origin| each.get(&origin).is_none_or(|held| *held < most_each);
        let (taken, spoken) = match self.spoken.take(may) {
            Some(taken) => (taken, true),
            None if self.held_silent < self.most_silent => (self.silent.take(may)?, false),
            None => return None,
        };
        let (sender, origin) = taken;
        self.held += 1;
        self.held_silent += usize::from(!spoken);
        *self.held_each.entry(origin).or_default() += 1;
        Some((sender, origin, spoken))
    }

    fn give_back(&mut self, origin: Origin, spoken: bool) {
        self.held -= 1;
        self.held_silent -= usize::from(!spoken);
        if let Some(held) = self.held_each.get_mut(&origin) {
            *held -= 1;
            if *held == 0 {
                self.held_each.remove(&origin);
            }
        }
    }
}

impl Line {
    /// Takes out the first one of the next origin that may have a turn.
    fn take(&mut self, may: impl Fn(Origin) -> bool) -> Option<(oneshot::Sender<Turn>, Origin)> {
        let at = self.rota.iter().position(|origin| may(*origin))?;
        let origin = self.rota.remove(at)?;
        let waiting = self.waiting.get_mut(&origin)?;
        let (_, sender) = waiting.pop_first()?;
        if waiting.is_empty() {
            self.waiting.remove(&origin);
        } else {
            self.rota.push_back(origin);
        }
        Some((sender, origin))
    }

    fn remove(&mut self, origin: Origin, id: u64) -> Option<oneshot::Sender<Turn>> {
        let waiting = self.waiting.get_mut(&origin)?;
        let sender = waiting.remove(&id)?;
        if waiting.is_empty() {
            self.waiting.remove(&origin);
            self.rota.retain(|other| *other != origin);
        }
        Some(sender)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const A: Origin = Origin::V4([192, 0, 2, 1]);
    const B: Origin = Origin::V4([192, 0, 2, 2]);
    const SPOKEN: bool = true;
    const SILENT: bool = false;

    /// Somebody who asks for a turn.
    struct Asks(Pin<Box<dyn Future<Output = Turn>>>);

    impl Asks {
        fn of(turns: &Arc<Turns>, origin: Origin, spoken: bool) -> Asks {
            let turns = Arc::clone(turns);
            let mut asks = Asks(Box::pin(async move { turns.take(origin, spoken).await }));
            assert!(asks.turn().is_none(), "it had a turn at once");
            asks
        }

        fn turn(&mut self) -> Option<Turn> {
            match self.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(turn) => Some(turn),
                Poll::Pending => None,
            }
        }
    }

    fn at_once(turns: &Arc<Turns>, origin: Origin, spoken: bool) -> Turn {
        let taken = std::pin::pin!(turns.take(origin, spoken));
        match taken.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => turn,
            Poll::Pending => panic!("it had to wait"),
        }
    }

    #[test]
    fn who_has_spoken_comes_before_who_is_silent() {
        let turns = Turns::new(1);
        let turn = at_once(&turns, A, SPOKEN);
        let mut silent = Asks::of(&turns, A, SILENT);
        let mut spoken = Asks::of(&turns, A, SPOKEN);
        drop(turn);
        assert!(silent.turn().is_none());
        drop(spoken.turn().unwrap());
        silent.turn().unwrap();
    }

    #[test]
    fn turns_go_round_by_origin_and_within_it_by_arrival() {
        let turns = Turns::new(1);
        let mut turn = at_once(&turns, A, SPOKEN);
        let mut crowd: VecDeque<_> = (0..100).map(|_| Asks::of(&turns, A, SPOKEN)).collect();
        let mut others: VecDeque<_> = (0..2).map(|_| Asks::of(&turns, B, SPOKEN)).collect();
        for next in [A, B, A, B, A, A] {
            drop(turn);
            let line = if next == A { &mut crowd } else { &mut others };
            turn = line.pop_front().unwrap().turn().unwrap();
            assert_eq!(turn.origin, next);
        }
    }

    #[test]
    fn silent_clients_have_half_of_the_turns_and_one_origin_three_quarters() {
        let turns = Turns::new(8);
        let _silent: Vec<_> = (0..4).map(|_| at_once(&turns, B, SILENT)).collect();
        let mut fifth = Asks::of(&turns, B, SILENT);
        let mut spoken: Vec<_> = (0..2).map(|_| at_once(&turns, B, SPOKEN)).collect();
        let mut seventh = Asks::of(&turns, B, SPOKEN);
        let other = at_once(&turns, A, SPOKEN);
        assert!(fifth.turn().is_none() && seventh.turn().is_none());
        drop(spoken.pop());
        assert!(seventh.turn().is_some());
        drop(other);
        assert!(fifth.turn().is_none());
    }

    #[test]
    fn who_leaves_the_queue_has_no_turn_and_leaves_nothing_behind() {
        let turns = Turns::new(1);
        let turn = at_once(&turns, A, SPOKEN);
        drop(Asks::of(&turns, B, SPOKEN));
        // This one is given the turn, and goes before it takes it.
        let gone = Asks::of(&turns, B, SPOKEN);
        let mut last = Asks::of(&turns, B, SPOKEN);
        drop(turn);
        assert!(last.turn().is_none());
        drop(gone);
        drop(last.turn().unwrap());
        let queue = turns.queue();
        assert_eq!((queue.held, queue.held_each.len()), (0, 0));
        assert!(queue.spoken.rota.is_empty() && queue.spoken.waiting.is_empty());
    }
}
