//! The way of one client through the service: in by the open door and straight to the target, or
//! waiting until it may.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Shared;
use super::dialers::Unconnected;
use super::door::Inside;
use super::gate::{self, Passage};
use super::lanes::Place;
use super::listener;
use super::message::{Message, Order, Refusal, Waiter};
use super::presence;
use super::relay::{self, Outcome, Relay};
use super::slots::Slot;
use crate::decide::Client;
use crate::lifecycle::ClientId;

/// Serves one client to its end, on the lane where it has its `place`. Its `slot` is free when its
/// descriptors are.
pub(super) async fn serve(
    shared: Arc<Shared>,
    stream: std::net::TcpStream,
    client: Client,
    place: Place,
    slot: Slot,
) {
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return listener::cannot_take(&shared, client, &error),
    };
    let is_spare = slot.is_spare();
    let (inside, mut relay) = match shared.door.enter() {
        // Rule 4: nothing but the connection itself.
        Some(inside) => {
            let dialed = match shared.dialers.own(client.listener) {
                None => shared.dialers.service().dial().await.map_err(Unconnected::from),
                Some(own) => Box::pin(shared.dialers.dial_own(own, None)).await,
            };
            match dialed {
                Ok(target) => (inside, relay::relay(stream, target, Vec::new(), &shared.paths)),
                Err(error) => {
                    let refusal = Refused { inside, error, waited_since: None };
                    match Box::pin(wait(&shared, stream, client, is_spare, Some(refusal))).await {
                        Some(connected) => connected,
                        None => return,
                    }
                }
            }
        }
        None => match Box::pin(wait(&shared, stream, client, is_spare, None)).await {
            Some(connected) => connected,
            None => return,
        },
    };
    // By reference: awaited by value, the future would have room for a second relay, and that room
    // is most of what an idle connection costs.
    let outcome = (&mut relay).await;
    drop((inside, relay, place, slot));
    told(&shared, client, &outcome);
}

fn told(shared: &Shared, client: Client, outcome: &Outcome) {
    tracing::debug!(
        service = %shared.config.name,
        client = %client.address,
        to_target = outcome.to_target,
        to_client = outcome.to_client,
        end = ?outcome.end,
        "client left",
    );
}

/// A client that was let in and could not connect.
struct Refused {
    inside: Inside,
    error: Unconnected,
    /// Since when it had been held before.
    waited_since: Option<Instant>,
}

/// Holds a client until it is connected. `None` if it is gone.
async fn wait(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    client: Client,
    is_spare: bool,
    mut refused: Option<Refused>,
) -> Option<(Inside, Relay)> {
    let mut waiting = Waiting {
        shared: Arc::clone(shared),
        id: shared.next_client(),
        client,
        since: Instant::now(),
        early: Vec::new(),
        is_spare,
        announced: false,
    };
    loop {
        if let Some(Refused { error: Unconnected { error, is_up }, .. }) = &refused {
            if !error.blames_target() {
                shared.cannot_dial(client, error);
                return None;
            }
            if *is_up {
                shared.port_is_closed(client, error);
                return None;
            }
        }
        let orders = waiting.announce(refused.take())?;
        let admitted = waiting.obey(orders, stream).await?;
        let inside = admitted.inside;
        stream = presence::awaken(admitted.stream).ok()?;
        let target = match admitted.target {
            // It was opened where decisions are made.
            Some(target) => Ok(presence::awaken(target).ok()?),
            None => shared.dialers.dial(client.listener, &shared.connects).await,
        };
        match target {
            Ok(target) => {
                let early = std::mem::take(&mut waiting.early);
                return Some((inside, relay::relay(stream, target, early, &shared.paths)));
            }
            Err(error) => {
                refused = Some(Refused { inside, error, waited_since: Some(waiting.since) });
            }
        }
    }
}

/// A client that was let in after it had waited.
struct Admitted {
    stream: TcpStream,
    inside: Inside,
    /// A connection to the target that is there already.
    target: Option<TcpStream>,
}

/// A client while it waits. Dropping it tells the driver that the client is gone, unless the
/// driver knows.
struct Waiting {
    shared: Arc<Shared>,
    id: ClientId,
    client: Client,
    since: Instant,
    /// What it has sent and the gate has not answered.
    early: Vec<u8>,
    /// It may wait only in the place of another.
    is_spare: bool,
    /// The driver believes that it waits.
    announced: bool,
}

impl Waiting {
    /// Tells the driver that the client waits. `None` if the service is over.
    fn announce(&mut self, refused: Option<Refused>) -> Option<mpsc::UnboundedReceiver<Order>> {
        let (orders, received) = mpsc::unbounded_channel();
        let waiter = Waiter { id: self.id, client: self.client, orders, is_spare: self.is_spare };
        // It has been judged, and has the slot of the one that was closed, from then on.
        self.is_spare = false;
        let refusal = refused.as_ref().map(|refused| {
            tracing::debug!(
                service = %self.shared.config.name,
                client = %self.client.address,
                error = %refused.error.error,
                "the target refused a client",
            );
            Refusal {
                period: refused.inside.period(),
                waited: refused.waited_since.map(|since| since.elapsed()).unwrap_or_default(),
            }
        });
        self.announced = true;
        // The client leaves the inside after this message, so that the service is not taken to be
        // vacant in between.
        self.tell(Message::Waits { client: waiter, refused: refusal })?;
        drop(refused);
        Some(received)
    }

    /// Does what the driver says, until the client is let in. `None` if it is closed or gone.
    async fn obey(
        &mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut stream: TcpStream,
    ) -> Option<Admitted> {
        loop {
            let order = tokio::select! {
                biased;
                order = orders.recv() => order?,
                () = presence::hung_up(&stream) => return None,
            };
            match order {
                Order::Judge(gate) => {
                    // What it has sent while it was watched would go unseen until it sends more.
                    stream = presence::awaken(stream).ok()?;
                    let (back, passage) = tokio::select! {
                        biased;
                        order = orders.recv() => {
                            self.close(order?);
                            return None;
                        }
                        judged = gate::judge(&self.shared, gate, stream, self.client) => judged?,
                    };
                    stream = back;
                    self.pass(passage)?;
                }
                Order::Admit(inside, target) => {
                    self.announced = false;
                    return Some(Admitted { stream, inside, target });
                }
                order @ Order::Close(_) => {
                    self.close(order);
                    return None;
                }
            }
        }
    }

    /// The driver has closed this client.
    fn close(&mut self, order: Order) {
        self.announced = false;
        if let Order::Close(reason) = order {
            tracing::debug!(
                service = %self.shared.config.name,
                client = %self.client.address,
                %reason,
                "client closed",
            );
        }
    }

    /// Tells the driver of a verdict. `None` if the client is to be closed.
    fn pass(&mut self, passage: Passage) -> Option<()> {
        match passage {
            Passage::Held(early) => {
                self.early = early;
                self.tell(Message::Passed { id: self.id, stays: true })
            }
            Passage::WakesOnly => {
                self.announced = false;
                self.tell(Message::Passed { id: self.id, stays: false })?;
                None
            }
            Passage::Closed(reason) => {
                self.shared.refused_at_gate(self.client, reason);
                None
            }
        }
    }

    /// `None` if the service is over.
    fn tell(&self, message: Message) -> Option<()> {
        self.shared.inbox.send(message).ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.announced {
            let _ = self.shared.inbox.send(Message::Left(self.id));
        }
    }
}
