//! Connects to the target.
//!
//! While the target is awake this stands between each client and its first byte. So an address is
//! connected to at once; a name is resolved on a thread of its own (`resolver.rs`), by one client for
//! all, and its addresses are tried side by side (`race.rs`).
//!
//! A failure is evidence: a target that refuses, keeps silent or can't be reached may be asleep
//! (see [`DialError::blames_target`]). A lack of descriptors or ports on our side says nothing of
//! the target, and must not have it started again.
//!
//! A connection is evidence, too, that the target is up ([`Dialer::until_ready`],
//! [`Dialer::probe`]): unless it is closed at once, or leads back to Dormouse ([`OwnListeners`]).

mod connect;
mod error;
mod own;
mod race;
mod ready;
mod resolver;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

pub use error::{DialError, DialErrorKind};
pub use own::OwnListeners;

use self::connect::{Attempt, connect};
use self::race::{Check, Terms, race};
use self::ready::MAX_QUIET_TIME;
use self::resolver::{Resolver, ask_system};
use super::socket::Keepalive;
use crate::config::Target;

/// The pause before a target is probed again for which we lacked something; each further one is twice as
/// long.
const MIN_PAUSE_IN_NEED: Duration = Duration::from_millis(50);
/// The longest pause.
const MAX_PAUSE_IN_NEED: Duration = Duration::from_secs(1);

/// Opens connections to one target.
#[derive(Debug)]
pub struct Dialer {
    /// The target of the config. Kept, with its addresses, while there is another one.
    configured: Arc<Resolver>,
    /// The target.
    resolver: RwLock<Arc<Resolver>>,
    connect_timeout: Duration,
    keepalive: Option<Keepalive>,
}

impl Dialer {
    /// A dialer for `target`. A connection that isn't there after `connect_timeout`, the lookup of
    /// the name included, has failed.
    pub fn new(target: Target, connect_timeout: Duration, keepalive: Option<Keepalive>) -> Dialer {
        let resolver = Resolver::new(target, Arc::default(), Arc::new(ask_system));
        Dialer::with(resolver, connect_timeout, keepalive)
    }

    /// The same, and a target that leads to one of `own` is an error ([`DialErrorKind::Itself`]).
    #[must_use]
    pub fn with_own_listeners(self, own: Arc<OwnListeners>) -> Dialer {
        Dialer::with(self.configured.with_own(own), self.connect_timeout, self.keepalive)
    }

    fn with(resolver: Resolver, connect_timeout: Duration, keepalive: Option<Keepalive>) -> Dialer {
        let configured = Arc::new(resolver);
        let resolver = RwLock::new(Arc::clone(&configured));
        Dialer { configured, resolver, connect_timeout, keepalive }
    }

    /// From now on connects to `instead`, or again to the target that was configured.
    pub fn set(&self, instead: Option<Target>) {
        let target = instead.as_ref().unwrap_or_else(|| self.configured.target());
        let mut resolver = self.resolver.write().unwrap_or_else(PoisonError::into_inner);
        if resolver.target() == target {
            return;
        }
        *resolver = if target == self.configured.target() {
            Arc::clone(&self.configured)
        } else {
            Arc::new(self.configured.with_target(target.clone()))
        };
    }

    /// Where it connects to.
    pub fn target(&self) -> Target {
        self.resolver().target().clone()
    }

    /// Connects. Dropping the future gives up.
    ///
    /// # Errors
    ///
    /// No address of the target accepted in time. Of several failures it is the one that tells the
    /// most.
    pub async fn dial(&self) -> Result<TcpStream, DialError> {
        let resolver = self.resolver();
        let mut first = resolver.literal().map(|address| Attempt::begin(address, self.keepalive));
        if let Some(Ok(attempt)) = first {
            match attempt.connected() {
                Ok(stream) => return Ok(stream),
                Err(attempt) => first = Some(Ok(attempt)),
            }
        }
        // In a box: a client's task has room for this future as long as it lives.
        Box::pin(self.dial_patiently(&resolver, first)).await
    }

    /// Connects, and sees whether the connection stays open: the target is up. Takes up to
    /// `connect_timeout` and 20 ms. Nothing has been read from the connection.
    ///
    /// A lack of our own (descriptors, ports) is no answer: it is tried again until there is one.
    ///
    /// # Errors
    ///
    /// As for [`dial`](Dialer::dial); also [`DialErrorKind::ClosedAtOnce`].
    pub async fn probe(&self) -> Result<TcpStream, DialError> {
        let mut pause = MIN_PAUSE_IN_NEED;
        loop {
            let probed = self.dial_any(&self.resolver(), Check::StaysOpen(MAX_QUIET_TIME)).await;
            match probed {
                Err(error) if error.kind() == DialErrorKind::Exhausted => {
                    if pause == MIN_PAUSE_IN_NEED {
                        tracing::warn!("can't see whether the target is up, trying again: {error}");
                    }
                }
                probed => return probed,
            }
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE_IN_NEED);
        }
    }

    /// Connects, going on from a first attempt at a target that is an address.
    async fn dial_patiently(
        &self,
        resolver: &Resolver,
        first: Option<io::Result<Attempt>>,
    ) -> Result<TcpStream, DialError> {
        if let (Some(first), Some(address)) = (first, resolver.literal()) {
            let deadline = Instant::now() + self.connect_timeout;
            let connected = connect(first, address, deadline, self.keepalive).await;
            connected.map_err(|error| DialError::new(resolver.target(), address, error))
        } else {
            // In another box, for which a target that is an address has no use.
            Box::pin(self.dial_any(resolver, Check::Connected)).await
        }
    }

    /// Connects to whichever address of the target accepts first.
    async fn dial_any(&self, resolver: &Resolver, check: Check) -> Result<TcpStream, DialError> {
        let deadline = Instant::now() + self.connect_timeout;
        let target = resolver.target().clone();
        let terms = Terms { target, deadline, keepalive: self.keepalive, check };
        // An old answer must have time to be of use.
        let addresses = resolver.addresses(deadline, self.connect_timeout / 2).await?;
        let first = race(&addresses.all, &terms);
        let (stream, address) = if addresses.is_stale {
            // The target may have moved.
            tokio::select! {
                biased;
                won = first => won,
                moved = resolver.other_than(&addresses.all) => race(&moved, &terms).await,
            }
        } else {
            first.await
        }?;
        resolver.prefer(address);
        Ok(stream)
    }

    fn resolver(&self) -> Arc<Resolver> {
        self.resolver.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
