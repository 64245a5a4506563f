//! Connects to the target.
//!
//! While the target is awake this stands between each client and its first byte. So an address is
//! connected to at once; a name is resolved on a thread of its own, by one client for all, and
//! what it resolved to holds for some seconds.
//!
//! A failure is evidence: a target that refuses, keeps silent or can't be reached may be asleep
//! (see [`DialError::blames_target`]). A lack of descriptors or ports on our side says nothing of
//! the target, and must not have it started again.

mod connect;
mod error;
mod place;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

pub use error::{DialError, DialErrorKind};

use self::connect::{Attempt, connect};
use self::place::Place;
use super::socket::Keepalive;
use crate::config::Target;

/// Opens connections to one target.
#[derive(Debug)]
pub struct Dialer {
    configured: Target,
    place: RwLock<Arc<Place>>,
    connect_timeout: Duration,
    keepalive: Option<Keepalive>,
}

impl Dialer {
    /// A dialer for `target`. A connection that isn't there after `connect_timeout`, the lookup of
    /// the name included, has failed.
    pub fn new(target: Target, connect_timeout: Duration, keepalive: Option<Keepalive>) -> Dialer {
        let place = RwLock::new(Arc::new(Place::new(target.clone())));
        Dialer { configured: target, place, connect_timeout, keepalive }
    }

    /// From now on connects to `instead`, or again to the target that was configured.
    pub fn set(&self, instead: Option<Target>) {
        let target = instead.unwrap_or_else(|| self.configured.clone());
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        if place.target() != &target {
            *place = Arc::new(Place::new(target));
        }
    }

    /// Where it connects to.
    pub fn target(&self) -> Target {
        self.place().target().clone()
    }

    /// Connects. Dropping the future gives up.
    ///
    /// # Errors
    ///
    /// No address of the target accepted in time. Of several failures it is the one that tells the
    /// most.
    pub async fn dial(&self) -> Result<TcpStream, DialError> {
        let place = self.place();
        let mut first = place.literal().map(|address| Attempt::begin(address, self.keepalive));
        if let Some(Ok(attempt)) = first {
            match attempt.connected() {
                Ok(stream) => return Ok(stream),
                Err(attempt) => first = Some(Ok(attempt)),
            }
        }
        // In a box: a client's task has room for this future as long as it lives.
        Box::pin(self.dial_patiently(&place, first)).await
    }

    async fn dial_patiently(
        &self,
        place: &Place,
        first: Option<io::Result<Attempt>>,
    ) -> Result<TcpStream, DialError> {
        let deadline = Instant::now() + self.connect_timeout;
        match timeout_at(deadline, place.addresses()).await {
            Ok(Ok(addresses)) => self.dial_any(place, &addresses, first, deadline).await,
            Ok(Err(error)) => Err(DialError::unresolved(place.target(), error)),
            Err(_) => Err(DialError::unresolved(place.target(), place::no_answer())),
        }
    }

    /// Tries one address after the other; `first` is an attempt at the first of them. Each gets its share of the time that is left, so that
    /// one that keeps silent leaves some to the next.
    async fn dial_any(
        &self,
        place: &Place,
        addresses: &[SocketAddr],
        mut first: Option<io::Result<Attempt>>,
        deadline: Instant,
    ) -> Result<TcpStream, DialError> {
        let mut failure: Option<DialError> = None;
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for &address in addresses {
            let now = Instant::now();
            let share = deadline.saturating_duration_since(now) / left.max(1);
            left = left.saturating_sub(1);
            let attempt = first.take();
            let attempt = attempt.unwrap_or_else(|| Attempt::begin(address, self.keepalive));
            match connect(attempt, address, now + share, self.keepalive).await {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    let error = DialError::new(place.target(), address, error);
                    if failure.as_ref().is_none_or(|other| error.kind() > other.kind()) {
                        failure = Some(error);
                    }
                }
            }
        }
        Err(failure.unwrap_or_else(|| DialError::unresolved(place.target(), place::no_address())))
    }

    fn place(&self) -> Arc<Place> {
        self.place.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
