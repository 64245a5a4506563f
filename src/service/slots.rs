//! Slots: how many clients there may be at once, over all services.
//!
//! A slot stands for the descriptors that a client needs ([`super::capacity`]). It is taken before the
//! client is accepted and given back when the client is gone, by one atomic operation each. Where none is
//! left, clients wait in the queue of the kernel.
//!
//! No service takes all of them: a part of the slots belongs to each service alone. When the others are
//! used up, the service that holds the most clients is asked to close one for a service that holds fewer
//! ([`Member::make_room`]); a client that is connected is never closed for another. And a service that
//! holds several accepts one more all the same, so that the rule by which held clients share their places
//! out can choose between them ([`Slot::is_spare`]).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

/// How many clients may be judged that have no slot. Their descriptors are set aside.
const SPARE: usize = 4;

/// The part of all slots that belongs to services alone: one in so many.
const OWN_SHARE: usize = 4;

/// All slots. A clone is another handle to the same.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: Pool,
    /// How many slots each service has for itself.
    own: usize,
    /// How many listeners wait for a slot, and what tells them.
    waiting: AtomicUsize,
    freed: Notify,
    members: Mutex<Vec<Weak<Member>>>,
}

#[derive(Debug)]
struct Pool {
    most: usize,
    taken: AtomicUsize,
}

/// The share of a service.
pub(super) struct Member {
    slots: Slots,
    own: Pool,
    /// How many slots it has, and for how many clients that it holds.
    taken: AtomicUsize,
    held: AtomicUsize,
    /// It was asked to make room, and has not done so yet.
    asked: AtomicBool,
    ask: Box<dyn Fn() + Send + Sync>,
    /// How many of its clients are connected to the target.
    connected: Box<dyn Fn() -> usize + Send + Sync>,
}

/// A client's slot, until it is dropped.
pub(super) struct Slot {
    member: Arc<Member>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Own,
    Shared,
    Spare,
}

impl Slots {
    /// Slots for so many clients of so many services.
    pub fn new(clients: usize, services: usize) -> Slots {
        let own = match services {
            0 | 1 => 0,
            _ => clients / OWN_SHARE / services,
        };
        Slots(Arc::new(Shared {
            pool: Pool::new(clients - own * services),
            own,
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
            members: Mutex::default(),
        }))
    }

    /// More slots than there can be clients.
    pub fn unlimited() -> Slots {
        Slots::new(usize::MAX / 2, 1)
    }

    /// The share of one more service, which closes a held client when it is asked to, and says how many
    /// of its clients are connected.
    pub(super) fn join(
        &self,
        ask: impl Fn() + Send + Sync + 'static,
        connected: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Arc<Member> {
        let member = Arc::new(Member {
            slots: self.clone(),
            own: Pool::new(self.0.own),
            taken: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            ask: Box::new(ask),
            connected: Box::new(connected),
        });
        self.members().push(Arc::downgrade(&member));
        member
    }

    fn members(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Member>>> {
        self.0.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// How many clients the service can have at most.
    pub(super) fn most(&self) -> usize {
        self.own.most + self.slots.0.pool.most
    }

    /// A slot for one more client, if one is free.
    pub(super) fn take(self: &Arc<Self>) -> Option<Slot> {
        let shared = &self.slots.0.pool;
        let kind =
            if self.own.take(0) { Kind::Own } else { shared.take(0).then_some(Kind::Shared)? };
        Some(self.slot(kind))
    }

    /// A slot for a client for which another one of this service has to go, or which has to go itself.
    /// `None` where the service holds too few to choose from, or too many clients have one already.
    pub(super) fn take_spare(self: &Arc<Self>) -> Option<Slot> {
        let is_taken = self.held() >= 2 && self.slots.0.pool.take(SPARE);
        is_taken.then(|| self.slot(Kind::Spare))
    }

    fn slot(self: &Arc<Self>, kind: Kind) -> Slot {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Slot { member: Arc::clone(self), kind }
    }

    /// Asks the service that holds the most clients to close one, if it holds at least two more than
    /// this one has, those that are connected included. Says whether there is such a service.
    pub(super) fn make_room(self: &Arc<Self>) -> bool {
        let members: Vec<_> = self.slots.members().iter().filter_map(Weak::upgrade).collect();
        let Some(largest) = members.into_iter().max_by_key(|member| member.not_connected()) else {
            return false;
        };
        if largest.not_connected() < self.taken.load(Ordering::Relaxed) + 2 {
            return false;
        }
        if !largest.asked.swap(true, Ordering::AcqRel) {
            (largest.ask)();
        }
        true
    }

    /// The service is about to make room.
    pub(super) fn is_making_room(&self) {
        self.asked.store(false, Ordering::Release);
    }

    /// The service holds so many clients from now on.
    pub(super) fn set_held(&self, held: usize) {
        self.held.store(held, Ordering::Relaxed);
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How many clients it holds or is about to hold: a client that was just accepted has a slot before
    /// the driver counts it as held.
    fn not_connected(&self) -> usize {
        let connected = (self.connected)();
        self.held().max(self.taken.load(Ordering::Relaxed).saturating_sub(connected))
    }

    /// Whether none is free.
    pub(super) fn are_short(&self) -> bool {
        !(self.own.is_free() || self.slots.0.pool.is_free())
    }

    /// Waits until a slot may be free.
    pub(super) async fn wait(self: &Arc<Self>) {
        let shared = &self.slots.0;
        let mut freed = std::pin::pin!(shared.freed.notified());
        // Before the look at what is free: a slot that is given back after that look wakes this task.
        freed.as_mut().enable();
        let _waiting = Waits::new(&shared.waiting);
        if self.are_short() {
            freed.await;
        }
    }
}

/// Counts one that waits.
struct Waits<'c>(&'c AtomicUsize);

impl<'c> Waits<'c> {
    fn new(count: &'c AtomicUsize) -> Waits<'c> {
        count.fetch_add(1, Ordering::SeqCst);
        Waits(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Pool {
    fn new(most: usize) -> Pool {
        Pool { most, taken: AtomicUsize::new(0) }
    }

    /// Takes one, if fewer are taken than there are and `spare` beside.
    fn take(&self, spare: usize) -> bool {
        let most = self.most + spare;
        let take = |taken: usize| (taken < most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }

    fn is_free(&self) -> bool {
        self.taken.load(Ordering::SeqCst) < self.most
    }
}

impl Slot {
    /// Whether this is one too many: the client has to be closed, or another one that is held.
    pub(super) fn is_spare(&self) -> bool {
        self.kind == Kind::Spare
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let shared = &self.member.slots.0;
        let pool = match self.kind {
            Kind::Own => &self.member.own,
            Kind::Shared | Kind::Spare => &shared.pool,
        };
        self.member.taken.fetch_sub(1, Ordering::Relaxed);
        pool.taken.fetch_sub(1, Ordering::SeqCst);
        if shared.waiting.load(Ordering::SeqCst) > 0 {
            shared.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn joined(slots: &Slots) -> (Arc<Member>, Arc<AtomicUsize>) {
        joined_with(slots, &Arc::default())
    }

    /// A member of whose clients so many are connected.
    fn joined_with(slots: &Slots, connected: &Arc<AtomicUsize>) -> (Arc<Member>, Arc<AtomicUsize>) {
        let connected = Arc::clone(connected);
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let count = move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        (slots.join(count, move || connected.load(Ordering::Relaxed)), asked)
    }

    fn take(member: &Arc<Member>, most: usize) -> Vec<Slot> {
        (0..most).map_while(|_| member.take()).collect()
    }

    #[test]
    fn there_are_so_many_slots_and_one_that_is_given_back_is_free() {
        let (member, _) = joined(&Slots::new(3, 1));
        assert_eq!(member.most(), 3);
        let mut taken = take(&member, 10);
        assert_eq!(taken.len(), 3);
        taken.pop();
        assert_eq!(take(&member, 10).len(), 1);
    }

    #[test]
    fn each_of_several_services_has_some_for_itself() {
        let slots = Slots::new(80, 2);
        let ((one, _), (other, _)) = (joined(&slots), joined(&slots));
        let taken = take(&one, 100);
        assert_eq!(taken.len(), 70);
        assert_eq!(take(&other, 100).len(), 10);
        drop(taken);
        assert_eq!(take(&other, 100).len(), 70);
    }

    #[test]
    fn who_waits_is_told_of_a_slot_that_is_given_back() {
        let (member, _) = joined(&Slots::new(1, 1));
        let is_ready = |future: std::pin::Pin<&mut dyn Future<Output = ()>>| {
            future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        assert!(is_ready(pin!(member.wait())), "one is free");
        let slot = member.take().unwrap();
        let mut waits = pin!(member.wait());
        assert!(!is_ready(waits.as_mut()));
        drop(slot);
        assert!(is_ready(waits.as_mut()));
    }

    #[test]
    fn a_service_that_holds_several_may_choose_between_them_and_one_more() {
        let (member, _) = joined(&Slots::new(2, 1));
        let _taken = take(&member, 2);
        member.set_held(1);
        assert!(member.take_spare().is_none());
        member.set_held(2);
        let spare: Vec<_> = (0..10).map_while(|_| member.take_spare()).collect();
        assert_eq!(spare.len(), SPARE);
        assert!(spare[0].is_spare() && member.take().is_none());
    }

    #[test]
    fn the_service_that_holds_the_most_makes_room_for_one_that_holds_fewer() {
        let slots = Slots::new(9, 3);
        let connected = Arc::default();
        let ((few, _), (some, other_asked), (most, asked)) =
            (joined(&slots), joined(&slots), joined_with(&slots, &connected));
        let has = |member: &Arc<Member>, taken, held| {
            member.taken.store(taken, Ordering::Relaxed);
            member.set_held(held);
        };
        has(&few, 1, 1);
        has(&some, 3, 3);
        has(&most, 5, 5);
        assert!(few.make_room() && few.make_room());
        assert_eq!(asked.load(Ordering::Relaxed), 1, "asked once until it does so");
        most.is_making_room();
        has(&most, 4, 4);
        assert!(!some.make_room() && few.make_room());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        // Those that are connected count for who asks, and not for who is asked.
        has(&few, 3, 0);
        has(&most, 99, 4);
        connected.store(95, Ordering::Relaxed);
        assert!(!few.make_room());
        assert_eq!(other_asked.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn clients_that_are_accepted_count_before_the_driver_has_counted_them() {
        let slots = Slots::new(9, 2);
        let ((few, _), (most, asked)) = (joined(&slots), joined(&slots));
        few.taken.store(1, Ordering::Relaxed);
        most.taken.store(7, Ordering::Relaxed);
        most.set_held(1);
        assert!(few.make_room());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
