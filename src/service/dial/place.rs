//! Where a target is: its addresses, as far as they are known.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::Target;

/// How long the addresses of a name hold. Long enough that a crowd of clients asks once, short
/// enough that a server that moved is found by the time it is up.
const HOLDS: Duration = Duration::from_secs(3);

/// A target, and the addresses of its name.
#[derive(Debug)]
pub(super) struct Place {
    target: Target,
    /// The address, if the target is named by it.
    literal: Option<SocketAddr>,
    found: Mutex<Option<Found>>,
}

#[derive(Debug)]
struct Found {
    addresses: Arc<[SocketAddr]>,
    since: Instant,
}

impl Place {
    pub(super) fn new(target: Target) -> Place {
        let literal = target.host.parse::<IpAddr>().ok();
        let literal = literal.map(|address| SocketAddr::new(address, target.port));
        Place { target, literal, found: Mutex::new(None) }
    }

    /// What the config, or a plugin, says of it.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The address, if the target is named by it.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        self.literal
    }

    /// The addresses, in the order in which they should be tried. Never empty. Where a name has to
    /// be looked up, one client asks, and others who come meanwhile wait for its answer.
    ///
    /// # Errors
    ///
    /// The name has no address, or nobody could be asked. The next call asks again.
    pub(super) async fn addresses(&self) -> io::Result<Arc<[SocketAddr]>> {
        if let Some(address) = self.literal {
            return Ok([address].into());
        }
        let mut found = self.found.lock().await;
        if let Some(found) = &*found
            && found.since.elapsed() < HOLDS
        {
            return Ok(found.addresses.clone());
        }
        let host = (self.target.host.as_str(), self.target.port);
        let addresses: Arc<[SocketAddr]> = tokio::net::lookup_host(host).await?.collect();
        if addresses.is_empty() {
            return Err(no_address());
        }
        *found = Some(Found { addresses: addresses.clone(), since: Instant::now() });
        Ok(addresses)
    }
}

/// The error of a name that is known and leads nowhere.
pub(super) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "it has no address")
}

/// The error of a name that nobody told us about in time.
pub(super) fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no name server answered in time")
}
