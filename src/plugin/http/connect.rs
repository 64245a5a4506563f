//! Opens the connection for a request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::Target;
use crate::plugin::grants;
use crate::plugin::guest::Worker;

use super::address::Leads;
use super::failure::Failure;
use super::route::{Route, Way};

/// A connection, of whatever kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How long connecting may take: the service's `connect_timeout`, or `timeout` if that is shorter.
pub(super) fn time(worker: &Worker, timeout: Option<Duration>) -> Duration {
    let longest = worker.service.connect_timeout;
    timeout.map_or(longest, |timeout| timeout.min(longest))
}

/// Connects on `route`, within `time`.
pub(super) async fn connect(
    worker: &Worker,
    route: &Route,
    time: Duration,
) -> Result<Box<dyn Stream>, Failure> {
    let deadline = Instant::now() + time;
    let connected = async {
        match &route.way {
            Way::Socket(socket) => unix(worker, socket).await,
            Way::Host { tls, at, leads } => {
                let stream = tcp(at, leads, deadline).await?;
                if *tls { secured(worker, at, stream).await } else { Ok(Box::new(stream) as _) }
            }
        }
    };
    tokio::time::timeout_at(deadline, connected).await.unwrap_or(Err(Failure::Slow(time)))
}

/// Connects to the socket at this path. The server may make it anew at any time, so it is looked up for
/// each request, and no link is followed that a plugin could have made.
async fn unix(worker: &Worker, socket: &Path) -> Result<Box<dyn Stream>, Failure> {
    let (path, writable) = (socket.to_owned(), Arc::clone(&worker.resources.writable));
    let connected = async {
        // On the plugin's own blocking threads: a file system may hang.
        let opening = tokio::task::spawn_blocking(move || {
            grants::open_without_following(&path, &writable, OFlags::PATH)
        });
        let opened = opening.await.map_err(io::Error::other)??;
        UnixStream::connect(format!("/proc/self/fd/{}", opened.as_raw_fd())).await
    };
    match connected.await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(Failure::Socket { socket: socket.to_owned(), error }),
    }
}

/// Connects to one of the addresses that `at` leads to and may lead to.
async fn tcp(at: &Target, leads: &Leads, deadline: Instant) -> Result<TcpStream, Failure> {
    let found = match at.host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, at.port)],
        Err(_) => {
            let found = lookup_host((at.host.as_str(), at.port)).await.map_err(Failure::Lookup)?;
            found.collect()
        }
    };
    let addresses = permitted(&found, leads)?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (number, address) in addresses.iter().enumerate() {
        // Each gets its share of the time that is left, so that one that is silent doesn't keep the
        // others from being tried.
        let left = deadline.saturating_duration_since(Instant::now());
        let others = u32::try_from(addresses.len() - number).unwrap_or(u32::MAX);
        match tokio::time::timeout(left / others, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it, a request in two pieces waits for an acknowledgement in between.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(Failure::Connect { at: at.clone(), error: last })
}

/// Those of `found` that a host may lead to, in the form that is connected to.
fn permitted(found: &[SocketAddr], leads: &Leads) -> Result<Vec<SocketAddr>, Failure> {
    let canonical =
        found.iter().map(|found| SocketAddr::new(found.ip().to_canonical(), found.port()));
    let (permitted, others): (Vec<_>, Vec<_>) =
        canonical.partition(|address| leads.permit(address.ip()));
    match (permitted.is_empty(), others.first()) {
        (true, Some(other)) => Err(Failure::Elsewhere(other.ip())),
        (true, None) => Err(Failure::Lookup(io::ErrorKind::NotFound.into())),
        (false, _) => Ok(permitted),
    }
}

/// Shakes hands for TLS: the certificate has to be for the host of the grant.
async fn secured(
    worker: &Worker,
    at: &Target,
    stream: TcpStream,
) -> Result<Box<dyn Stream>, Failure> {
    let config = worker.resources.trust.config().await?;
    let name = ServerName::try_from(at.host.clone()).map_err(|_| Failure::Request)?;
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(Failure::Tls)?;
    Ok(Box::new(stream))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    fn choose(found: &[&str], leads: &Leads) -> Result<Vec<String>, IpAddr> {
        let found: Vec<SocketAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
        match permitted(&found, leads) {
            Ok(addresses) => Ok(addresses.iter().map(ToString::to_string).collect()),
            Err(Failure::Elsewhere(address)) => Err(address),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_the_addresses_of_a_name_only_those_are_connected_to_that_it_may_lead_to() {
        let public = Leads::new("a.example", [&[][..]].into_iter());
        let found = ["127.0.0.1:80", "93.184.215.14:80", "[::1]:80", "[2606:2800::1]:80"];
        let expected = ["93.184.215.14:80", "[2606:2800::1]:80"].map(str::to_owned);
        assert_eq!(choose(&found, &public), Ok(expected.to_vec()));
    }

    #[test]
    fn a_name_that_leads_nowhere_else_is_told_with_its_address() {
        let public = Leads::new("a.example", [&[][..]].into_iter());
        let metadata: IpAddr = "169.254.169.254".parse().unwrap();
        assert_eq!(choose(&["169.254.169.254:80", "10.0.0.1:80"], &public), Err(metadata));
        assert_eq!(choose(&["[::ffff:169.254.169.254]:80"], &public), Err(metadata));
    }

    #[test]
    fn an_ipv4_address_within_ipv6_is_connected_to_as_ipv4() {
        let here = Leads::new("localhost", [&[][..]].into_iter());
        let expected = vec!["127.0.0.1:80".to_owned()];
        assert_eq!(choose(&["[::ffff:127.0.0.1]:80"], &here), Ok(expected));
    }

    #[test]
    fn a_name_without_addresses_is_not_found() {
        let public = Leads::new("a.example", [&[][..]].into_iter());
        assert!(matches!(permitted(&[], &public), Err(Failure::Lookup(_))));
    }
}
