//! The door: what a new client of an awake target goes through, and what counts who is inside.
//!
//! One atomic word holds whether it is open, which period it was opened for, and how many clients
//! are inside. A client comes in by one compare-and-swap, if it is open; locking is one, too, and
//! succeeds only if nobody is inside. So there is no moment at which a client is inside and the
//! door is locked: no stop can race a new client (rule 5), without a lock or a message
//! on the path of a connection.

#[cfg(not(shuttle))]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

// For `tests/model`, which tries every order of threads.
#[cfg(shuttle)]
use shuttle::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::Notify;

use crate::lifecycle::Period;

/// The bits of the word: 63 open, 32..=62 the period, 0..=31 the clients inside.
const OPEN: u64 = 1 << 63;
const PERIOD_SHIFT: u32 = 32;
const PERIOD_MASK: u64 = 0x7fff_ffff << PERIOD_SHIFT;
const INSIDE_MASK: u64 = 0xffff_ffff;

/// Counts the clients inside, and lets them in or not.
#[derive(Debug, Default)]
pub(super) struct Door {
    word: AtomicU64,
    vacated: Notify,
}

impl Door {
    /// Lets a client in, if the door is open.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Inside> {
        let word = self
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (word & OPEN != 0).then_some(word + 1)
            })
            .ok()?;
        Some(Inside { door: Arc::clone(self), period: period_of(word) })
    }

    /// Lets a client in, whether the door is open or not: it has been waiting for this.
    pub(super) fn admit(self: &Arc<Self>, period: Period) -> Inside {
        self.word.fetch_add(1, Ordering::AcqRel);
        Inside { door: Arc::clone(self), period }
    }

    /// Opens the door for this period.
    pub(super) fn open(&self, period: Period) {
        let bits = OPEN | ((u64::from(period.0) << PERIOD_SHIFT) & PERIOD_MASK);
        self.change(|word| bits | (word & INSIDE_MASK));
    }

    /// Shuts the door. Who is inside stays.
    pub(super) fn shut(&self) {
        self.change(|word| word & !OPEN);
    }

    /// Shuts the door if nobody is inside, and says whether it is shut and nobody is.
    pub(super) fn lock(&self) -> bool {
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (word & INSIDE_MASK == 0).then_some(word & !OPEN)
            })
            .is_ok()
    }

    /// Whether a client that comes now gets in.
    pub(super) fn is_open(&self) -> bool {
        self.word.load(Ordering::Acquire) & OPEN != 0
    }

    /// How many clients are inside.
    pub(super) fn inside(&self) -> u64 {
        self.word.load(Ordering::Acquire) & INSIDE_MASK
    }

    /// Ends when a client has left as the last one, at once if that has happened since the last
    /// call. Others may have come in since.
    pub(super) async fn vacated(&self) {
        self.vacated.notified().await;
    }

    /// Whether a client has left as the last one since the last call of this or of
    /// [`vacated`](Self::vacated).
    pub(super) fn was_vacated(&self) -> bool {
        std::pin::pin!(self.vacated.notified()).enable()
    }

    fn change(&self, change: impl Fn(u64) -> u64) {
        let mut word = self.word.load(Ordering::Acquire);
        while let Err(other) =
            self.word.compare_exchange_weak(word, change(word), Ordering::AcqRel, Ordering::Acquire)
        {
            word = other;
        }
    }
}

fn period_of(word: u64) -> Period {
    Period(((word & PERIOD_MASK) >> PERIOD_SHIFT) as u32)
}

/// The proof that a client is inside. It leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Inside {
    door: Arc<Door>,
    period: Period,
}

impl Inside {
    /// The period in which it came in.
    pub(super) fn period(&self) -> Period {
        self.period
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if self.door.word.fetch_sub(1, Ordering::AcqRel) & INSIDE_MASK == 1 {
            self.door.vacated.notify_one();
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicBool;
    use std::task::{Context, Waker};
    use std::thread;

    use super::*;

    #[test]
    fn only_an_open_door_lets_clients_in() {
        let door = Arc::new(Door::default());
        assert!(door.enter().is_none());
        door.open(Period(7));
        let inside = door.enter().unwrap();
        assert_eq!((inside.period(), door.inside()), (Period(7), 1));
        door.shut();
        assert!(door.enter().is_none());
        assert_eq!(door.inside(), 1);
        drop(inside);
        assert_eq!(door.inside(), 0);
    }

    #[test]
    fn a_door_is_not_locked_while_somebody_is_inside() {
        let door = Arc::new(Door::default());
        door.open(Period(1));
        let inside = door.enter().unwrap();
        assert!(!door.lock());
        assert!(door.enter().is_some(), "a failed lock leaves the door open");
        drop(inside);
        assert!(door.lock());
        assert!(door.enter().is_none());
    }

    #[test]
    fn whoever_is_admitted_is_inside_of_a_shut_door() {
        let door = Arc::new(Door::default());
        let inside = door.admit(Period(3));
        assert!(!door.lock());
        assert_eq!(inside.period(), Period(3));
        drop(inside);
        assert!(door.lock());
    }

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(future).poll(&mut context).is_ready()
    }

    #[test]
    fn rule_5_the_last_client_that_leaves_is_noticed_and_once() {
        let door = Arc::new(Door::default());
        door.open(Period(1));
        let inside = (door.enter().unwrap(), door.enter().unwrap());
        assert!(!is_ready(door.vacated()) && !door.was_vacated());
        drop(inside.0);
        assert!(!is_ready(door.vacated()) && !door.was_vacated());
        drop(inside.1);
        assert!(is_ready(door.vacated()));
        assert!(!is_ready(door.vacated()) && !door.was_vacated());
        drop(door.enter());
        assert!(door.was_vacated());
        assert!(!door.was_vacated() && !is_ready(door.vacated()));
    }

    /// Each operation on the door is one atomic step, so these are all the ways in which three
    /// clients and a driver can meet: every order of their steps.
    #[test]
    fn rule_5_no_order_of_steps_has_a_client_inside_of_a_locked_door() {
        let door = Arc::new(Door::default());
        door.open(Period(1));
        let orders = meet(&door, &mut Vec::new(), [2; 3], 4, false);
        assert!(orders > 1_000, "only {orders} orders");
    }

    /// Goes on in every order from here, and counts the orders. `clients`: how many steps each
    /// client has left; it enters with the first, if it can, and leaves with the second. `driver`:
    /// how many times it locks, or opens what it has `locked`.
    fn meet(
        door: &Arc<Door>,
        inside: &mut Vec<(usize, Inside)>,
        clients: [u32; 3],
        driver: u32,
        locked: bool,
    ) -> u32 {
        assert!(!locked || inside.is_empty(), "inside of a locked door");
        assert_eq!(door.inside(), inside.len() as u64);
        let word = door.word.load(Ordering::Acquire);
        let mut orders = 0;
        for client in 0..clients.len() {
            if clients[client] == 0 {
                continue;
            }
            let mut left = clients;
            left[client] -= 1;
            let guests: Vec<usize> = inside.iter().map(|(who, _)| *who).collect();
            if clients[client] == 2 {
                if let Some(guard) = door.enter() {
                    inside.push((client, guard));
                } else {
                    left[client] = 0;
                }
            } else {
                inside.retain(|(who, _)| *who != client);
            }
            orders += meet(door, inside, left, driver, locked);
            undo(door, inside, word, &guests);
        }
        if driver > 0 {
            let guests: Vec<usize> = inside.iter().map(|(who, _)| *who).collect();
            let locks = if locked {
                door.open(Period(2));
                false
            } else {
                door.lock()
            };
            orders += meet(door, inside, clients, driver - 1, locks);
            undo(door, inside, word, &guests);
        }
        orders.max(1)
    }

    /// Brings the door and those inside back to an earlier moment.
    fn undo(door: &Arc<Door>, inside: &mut Vec<(usize, Inside)>, word: u64, guests: &[usize]) {
        inside.clear();
        inside.extend(guests.iter().map(|who| (*who, door.admit(period_of(word)))));
        door.word.store(word, Ordering::Release);
    }

    #[test]
    fn rule_5_no_client_is_inside_of_a_locked_door_whatever_the_threads_do() {
        let door = Arc::new(Door::default());
        let locked = Arc::new(AtomicBool::new(false));
        door.open(Period(1));
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let (door, locked) = (Arc::clone(&door), Arc::clone(&locked));
                thread::spawn(move || {
                    for _ in 0..2_000 {
                        if let Some(inside) = door.enter() {
                            assert!(!locked.load(Ordering::SeqCst), "inside of a locked door");
                            drop(inside);
                        }
                        thread::yield_now();
                    }
                })
            })
            .collect();
        for _ in 0..2_000 {
            if door.lock() {
                locked.store(true, Ordering::SeqCst);
                thread::yield_now();
                locked.store(false, Ordering::SeqCst);
                door.open(Period(1));
            }
            thread::yield_now();
        }
        for client in clients {
            client.join().unwrap();
        }
        assert_eq!(door.inside(), 0);
    }
}
