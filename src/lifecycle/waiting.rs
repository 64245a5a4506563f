//! The clients that wait, oldest first.

use std::collections::BTreeMap;
use std::time::Duration;

use super::budget::Origin;
use super::vocabulary::{ClientId, Moment};

/// How far a waiting client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// It came before the deciders were there, and nobody has looked at it.
    New,
    /// The gate judges it.
    AtGate,
    /// It waits for the target.
    Held,
}

/// A waiting client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Waiter {
    pub(super) stage: Stage,
    pub(super) origin: Origin,
    /// It waits no longer than until then.
    pub(super) deadline: Moment,
}

/// Everybody who waits.
///
/// Client numbers grow in the order of arrival and all wait equally long, so the first in the map
/// is also the first whose time is up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Waiting {
    pub(super) clients: BTreeMap<ClientId, Waiter>,
    /// How many of them come from each origin; no entry is 0.
    places: BTreeMap<Origin, usize>,
    /// How many of them are held for the target. Whether one is, is asked at each step, and those at the
    /// gate may be many.
    held: usize,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn contains(&self, client: ClientId) -> bool {
        self.clients.contains_key(&client)
    }

    /// Adds a client from there that has waited so long already and may wait `at_most` in all.
    pub(super) fn add(
        &mut self,
        (client, origin): (ClientId, Origin),
        stage: Stage,
        now: Moment,
        waited: Duration,
        at_most: Duration,
    ) {
        let deadline = now.after(at_most.saturating_sub(waited));
        if let Some(old) = self.clients.insert(client, Waiter { stage, origin, deadline }) {
            self.vacate(old);
        }
        self.held += usize::from(stage == Stage::Held);
        *self.places.entry(origin).or_default() += 1;
    }

    /// Whom to close so that a newcomer from there has a place, where all places are taken: the last
    /// comer of the origin that has the most, if that is still no fewer than the newcomer's origin
    /// has then. So an origin can't take a place from one that has as few, nor the same place back.
    pub(super) fn displaced_by(&self, newcomer: Origin) -> Option<ClientId> {
        let own = self.places.get(&newcomer).copied().unwrap_or(0);
        let most = self.places.values().copied().max()?;
        if most < own + 2 {
            return None;
        }
        self.last_comer()
    }

    /// Whom to close where there is one too many: the last comer of the origin that has the most
    /// places, one at the gate before one who has passed it.
    pub(super) fn last_comer(&self) -> Option<ClientId> {
        let most = self.places.values().copied().max()?;
        let has_most = |waiter: &Waiter| self.places.get(&waiter.origin) == Some(&most);
        let candidates = || self.clients.iter().rev().filter(|(_, waiter)| has_most(waiter));
        let last = candidates().find(|(_, waiter)| waiter.stage == Stage::AtGate);
        last.or_else(|| candidates().next()).map(|(client, _)| *client)
    }

    /// A client does not wait any more.
    fn vacate(&mut self, waiter: Waiter) {
        self.held -= usize::from(waiter.stage == Stage::Held);
        if let Some(places) = self.places.get_mut(&waiter.origin) {
            *places -= 1;
            if *places == 0 {
                self.places.remove(&waiter.origin);
            }
        }
    }

    /// Takes out a client, if it waits.
    pub(super) fn remove(&mut self, client: ClientId) -> Option<Waiter> {
        let waiter = self.clients.remove(&client)?;
        self.vacate(waiter);
        Some(waiter)
    }

    /// The client has passed the gate; `None` if it does not wait any more.
    pub(super) fn hold(&mut self, client: ClientId) -> Option<Waiter> {
        let waiter = self.clients.get_mut(&client)?;
        self.held += usize::from(waiter.stage != Stage::Held);
        waiter.stage = Stage::Held;
        Some(*waiter)
    }

    /// The client that has been held for the target for the longest time.
    pub(super) fn first_held(&self) -> Option<ClientId> {
        if self.held == 0 {
            return None;
        }
        self.all_held().next().map(|(client, _)| client)
    }

    /// Those who are held for the target, oldest first, and where they come from.
    pub(super) fn all_held(&self) -> impl Iterator<Item = (ClientId, Origin)> {
        let held = self.clients.iter().filter(|(_, waiter)| waiter.stage == Stage::Held);
        held.map(|(client, waiter)| (*client, waiter.origin))
    }

    /// Moves everybody who is new on to another stage, and says who that was, oldest first.
    pub(super) fn promote_new(&mut self, stage: Stage) -> Vec<ClientId> {
        let new = self.clients.iter_mut().filter(|(_, waiter)| waiter.stage == Stage::New);
        let promoted: Vec<_> = new
            .map(|(client, waiter)| {
                waiter.stage = stage;
                *client
            })
            .collect();
        if stage == Stage::Held {
            self.held += promoted.len();
        }
        promoted
    }

    /// How many are held for the target.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes out everybody at this stage, oldest first.
    pub(super) fn take(&mut self, stage: Stage) -> Vec<ClientId> {
        let taken: Vec<_> =
            self.clients.extract_if(.., |_, waiter| waiter.stage == stage).collect();
        let vacate = |(client, waiter): (ClientId, Waiter)| {
            self.vacate(waiter);
            client
        };
        taken.into_iter().map(vacate).collect()
    }

    /// Takes out everybody, oldest first.
    pub(super) fn take_all(&mut self) -> Vec<ClientId> {
        std::mem::take(self).clients.into_keys().collect()
    }

    /// When the next client has waited long enough.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.clients.first_key_value().map(|(_, waiter)| waiter.deadline)
    }

    /// Takes out a client that has waited long enough.
    pub(super) fn take_expired(&mut self, now: Moment) -> Option<ClientId> {
        let (client, waiter) = self.clients.first_key_value()?;
        let client = (waiter.deadline <= now).then_some(*client)?;
        self.remove(client)?;
        Some(client)
    }
}
