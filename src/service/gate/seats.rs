//! Seats: how many conversations wait for their clients with something that costs memory: an instance
//! of the plugin, or bytes for a client that does not read.
//!
//! Each new conversation gets a seat. If that is one too many, the origin that has the most loses the one that
//! has waited for the longest time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::lifecycle::Origin;

/// The seats of one service.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    count: usize,
    /// Oldest first. No entry is empty. A seat that is lost has its sender dropped.
    by_origin: HashMap<Origin, BTreeMap<u64, oneshot::Sender<()>>>,
}

/// A seat, until it is dropped or lost.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    origin: Origin,
    id: u64,
    lost: oneshot::Receiver<()>,
}

impl Seats {
    /// So many seats, at least one.
    pub(super) fn new(most: usize) -> Arc<Seats> {
        Arc::new(Seats { most: most.max(1), taken: Mutex::default() })
    }

    /// A seat for a client from there.
    pub(super) fn take(self: &Arc<Self>, origin: Origin) -> Seat {
        let (sender, lost) = oneshot::channel();
        let mut taken = self.taken();
        let id = taken.next;
        taken.next += 1;
        taken.count += 1;
        taken.by_origin.entry(origin).or_default().insert(id, sender);
        if taken.count > self.most
            && let Some((origin, id)) = taken.one_too_many(origin)
        {
            taken.remove(origin, id);
        }
        Seat { seats: Arc::clone(self), origin, id, lost }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// The seat that is lost to a newcomer, who has one already.
    fn one_too_many(&self, newcomer: Origin) -> Option<(Origin, u64)> {
        let most = self.by_origin.values().map(BTreeMap::len).max()?;
        let oldest = |seats: &BTreeMap<u64, _>| seats.first_key_value().map(|(id, _)| *id);
        // Where it is one of those with the most, it is not others who lose theirs.
        if let Some(own) = self.by_origin.get(&newcomer).filter(|own| own.len() == most && most > 1)
        {
            return Some((newcomer, oldest(own)?));
        }
        let crowds = self.by_origin.iter().filter(|(_, seats)| seats.len() == most);
        let oldest = crowds.filter_map(|(origin, seats)| Some((*origin, oldest(seats)?)));
        oldest.min_by_key(|(_, id)| *id)
    }

    fn remove(&mut self, origin: Origin, id: u64) {
        let Some(seats) = self.by_origin.get_mut(&origin) else { return };
        if seats.remove(&id).is_some() {
            self.count -= 1;
        }
        if seats.is_empty() {
            self.by_origin.remove(&origin);
        }
    }
}

impl Seat {
    /// Ends when the seat is lost.
    pub(super) async fn lost(&mut self) {
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().remove(self.origin, self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(number: u8) -> Origin {
        Origin::V4([192, 0, 2, number])
    }

    fn is_lost(seat: &mut Seat) -> bool {
        seat.lost.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    fn lost(seats: &mut [Seat]) -> Vec<bool> {
        seats.iter_mut().map(is_lost).collect()
    }

    #[test]
    fn the_origin_with_the_most_loses_the_seat_that_has_been_waiting_for_the_longest_time() {
        let seats = Seats::new(4);
        let mut single = seats.take(origin(1));
        let mut crowd: Vec<_> = (0..3).map(|_| seats.take(origin(2))).collect();
        let mut newcomer = seats.take(origin(3));
        assert_eq!(lost(&mut crowd), [true, false, false]);
        let mut another = seats.take(origin(3));
        assert_eq!(lost(&mut crowd), [true, false, false], "as many have as many");
        assert!(is_lost(&mut newcomer) && !is_lost(&mut another) && !is_lost(&mut single));
    }

    #[test]
    fn where_all_have_one_the_oldest_is_lost() {
        let seats = Seats::new(2);
        let mut taken: Vec<_> = (1..=3).map(|number| seats.take(origin(number))).collect();
        assert_eq!(lost(&mut taken), [true, false, false]);
    }

    #[test]
    fn a_seat_that_is_given_back_is_free() {
        let seats = Seats::new(1);
        drop(seats.take(origin(1)));
        let mut seat = seats.take(origin(2));
        assert!(!is_lost(&mut seat));
        drop(seats.take(origin(2)));
        assert!(is_lost(&mut seat));
        drop(seat);
        assert_eq!(seats.taken().count, 0);
        assert!(seats.taken().by_origin.is_empty());
    }
}
