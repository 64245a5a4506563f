//! Where the clients of a service are connected: to its target, or to the target of the listener by
//! which they came.
//!
//! A listener's own target is another port of the same server: it sleeps and wakes with the service,
//! and it moves with the server when a plugin names another address. A server that is up may refuse
//! connections to one of its ports, so a refusal there is not enough to start the server again: the
//! target of the service has to refuse as well.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::dial::{DialError, Dialer, OwnListeners};
use super::socket::Keepalive;
use crate::config::{Service, Target};

/// The pause before a port that refuses is tried again; each further one is twice as long.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The dialers of a service.
pub(super) struct Dialers {
    /// Of the service's target.
    service: Arc<Dialer>,
    /// The host of the target in the config.
    host: String,
    /// Of the listeners that have targets of their own; one for each such target.
    own: HashMap<SocketAddr, Arc<OwnTarget>>,
    /// How long a port that refuses is tried, while the server is up.
    patience: Duration,
}

/// The target of a listener.
pub(super) struct OwnTarget {
    configured: Target,
    dialer: Dialer,
}

/// Why a client is not connected.
pub(super) struct Unconnected {
    pub(super) error: DialError,
    /// The target of the service takes connections: it is up, only this port is not open.
    pub(super) is_up: bool,
}

impl From<DialError> for Unconnected {
    fn from(error: DialError) -> Unconnected {
        Unconnected { error, is_up: false }
    }
}

impl Dialers {
    /// The dialers for the listeners of `config`; `dialer` is that of its target. No target may lead
    /// to one of `listeners`.
    pub(super) fn new(
        config: &Service,
        dialer: Arc<Dialer>,
        listeners: &Arc<OwnListeners>,
    ) -> Dialers {
        let mut targets: HashMap<&Target, Arc<OwnTarget>> = HashMap::new();
        let mut own = HashMap::new();
        for listener in &config.listen {
            let Some(target) = listener.target.as_ref().filter(|own| **own != config.target) else {
                continue;
            };
            let keepalive = config.keepalive.map(Keepalive::after);
            let to = targets.entry(target).or_insert_with(|| {
                let dialer = Dialer::new(target.clone(), config.connect_timeout, keepalive);
                let dialer = dialer.with_own_listeners(Arc::clone(listeners));
                Arc::new(OwnTarget { configured: target.clone(), dialer })
            });
            own.insert(listener.at, Arc::clone(to));
        }
        let (host, patience) = (config.target.host.clone(), config.connect_timeout);
        Dialers { service: dialer, host, own, patience }
    }

    /// The dialers of a service whose listeners have no targets of their own.
    #[cfg(test)]
    pub(super) fn bare(service: Arc<Dialer>) -> Dialers {
        let (host, patience) = (service.target().host, Duration::ZERO);
        Dialers { service, host, own: HashMap::new(), patience }
    }

    /// The dialer of the service's target.
    pub(super) fn service(&self) -> &Arc<Dialer> {
        &self.service
    }

    /// The target of a listener, if it has one of its own.
    pub(super) fn own(&self, listener: SocketAddr) -> Option<&Arc<OwnTarget>> {
        // Most services have none, and need not hash an address for each client.
        if self.own.is_empty() { None } else { self.own.get(&listener) }
    }

    /// From now on the server is at this address, or again where the config says. Targets of
    /// listeners with the same host move to the new host, and keep their ports.
    pub(super) fn redirect(&self, target: Option<Target>) {
        for own in self.own.values().filter(|own| is_same_host(&own.configured.host, &self.host)) {
            let port = own.configured.port;
            own.dialer.set(target.as_ref().map(|to| Target { host: to.host.clone(), port }));
        }
        self.service.set(target);
    }

    /// Connects a client that came by this listener, when its turn has come.
    ///
    /// # Errors
    ///
    /// As [`Dialers::dial_own`].
    pub(super) async fn dial(
        &self,
        listener: SocketAddr,
        turns: &Semaphore,
    ) -> Result<TcpStream, Unconnected> {
        match self.own(listener) {
            None => Ok(take_turn(Some(turns), &self.service).await?),
            Some(own) => Box::pin(self.dial_own(own, Some(turns))).await,
        }
    }

    /// Connects to the target of a listener. A port that refuses while the server is up may open a
    /// moment later than that of `target`, and is tried again within `connect_timeout`. Each attempt
    /// waits for its turn, if there are `turns`.
    ///
    /// # Errors
    ///
    /// The target of the listener can't be connected to.
    pub(super) async fn dial_own(
        &self,
        own: &OwnTarget,
        turns: Option<&Semaphore>,
    ) -> Result<TcpStream, Unconnected> {
        let deadline = Instant::now() + self.patience;
        let mut pause = MIN_PAUSE;
        let mut was_up = false;
        loop {
            let error = match take_turn(turns, &own.dialer).await {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            if !error.blames_target() {
                return Err(error.into());
            }
            let is_late = Instant::now() + pause >= deadline;
            // Only the first refusal and the last one are verified: each check is a connection that
            // the server sees.
            if !was_up || is_late {
                match take_turn(turns, &self.service).await {
                    Ok(_) => {}
                    // A lack of ours: whether the server is up is not known.
                    Err(own) if !own.blames_target() => return Err(own.into()),
                    Err(_) => return Err(error.into()),
                }
            }
            if is_late {
                return Err(Unconnected { error, is_up: true });
            }
            was_up = true;
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}

async fn take_turn(turns: Option<&Semaphore>, dialer: &Dialer) -> Result<TcpStream, DialError> {
    let _turn = match turns {
        // The semaphore is never closed, and first come, first served.
        Some(turns) => turns.acquire().await.ok(),
        None => None,
    };
    dialer.dial().await
}

/// Whether two hosts of a config are one.
fn is_same_host(one: &str, other: &str) -> bool {
    let address = |host: &str| host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let name = |host: &str| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    match (address(one), address(other)) {
        (None, None) => name(one) == name(other),
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;
    use crate::config::trial;

    fn target(text: &str) -> Target {
        Target::parse(text).unwrap()
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// The dialers of a service at `host:80` whose listeners 1, 2, … have these targets.
    fn dialers(host: &str, own: &[&str]) -> Dialers {
        let plugin = trial::source("builtin:shell").unwrap();
        let mut config = trial::bare(plugin).services.remove(0);
        config.target = target(&format!("{host}:80"));
        config.listen = (1..)
            .zip(own)
            .map(|(port, own)| crate::config::Listener { at: at(port), target: Some(target(own)) })
            .collect();
        let dialer = Dialer::new(config.target.clone(), config.connect_timeout, None);
        Dialers::new(&config, Arc::new(dialer), &Arc::default())
    }

    #[test]
    fn listeners_with_one_target_share_a_dialer_and_that_of_the_service_is_no_other() {
        let dialers = dialers("vm", &["vm:80", "vm:81", "vm:81", "vm:82"]);
        assert!(dialers.own(at(1)).is_none());
        assert!(dialers.own(at(9)).is_none());
        let own = |port| dialers.own(at(port)).unwrap();
        assert!(Arc::ptr_eq(own(2), own(3)));
        assert!(!Arc::ptr_eq(own(2), own(4)));
        assert_eq!(own(4).dialer.target(), target("vm:82"));
    }

    #[tokio::test]
    async fn what_can_not_be_verified_is_not_held_against_the_server() {
        // Nobody listens at the listener's target, and that of the service leads back to us.
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = closed.local_addr().unwrap().to_string();
        drop(closed);
        let here = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let here = here.local_addr().unwrap();
        let plugin = trial::source("builtin:shell").unwrap();
        let mut config = trial::bare(plugin).services.remove(0);
        config.target = target(&here.to_string());
        config.listen = vec![crate::config::Listener { at: at(1), target: Some(target(&own)) }];
        let listeners = Arc::new(OwnListeners::new([here]));
        let dialer = Dialer::new(config.target.clone(), config.connect_timeout, None);
        let dialer = Arc::new(dialer.with_own_listeners(Arc::clone(&listeners)));
        let dialers = Dialers::new(&config, dialer, &listeners);
        let own = dialers.own(at(1)).unwrap();
        let Unconnected { error, is_up } = dialers.dial_own(own, None).await.unwrap_err();
        assert!(!error.blames_target() && !is_up, "{error}");
    }

    #[test]
    fn targets_on_the_host_of_the_service_move_with_it_and_keep_their_ports() {
        for (host, same, other) in [
            ("vm.example", "VM.example.:81", "vm2.example:81"),
            ("10.0.0.7", "[::ffff:10.0.0.7]:81", "10.0.0.8:81"),
        ] {
            let dialers = dialers(host, &[same, other]);
            let now = |port| dialers.own(at(port)).unwrap().dialer.target();
            dialers.redirect(Some(target("10.9.8.7:8080")));
            assert_eq!(dialers.service().target(), target("10.9.8.7:8080"));
            assert_eq!(now(1), target("10.9.8.7:81"));
            assert_eq!(now(2), target(other));
            dialers.redirect(None);
            assert_eq!(now(1), target(same));
        }
    }
}
