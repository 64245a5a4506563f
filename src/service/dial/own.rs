//! The listeners of this process, so that no target leads back to one of them (rule 19): each client
//! would be passed on to Dormouse itself, as one more client, without end.
//!
//! Addresses are checked when they become known: when a lookup ends, or when a target that is an IP
//! address is set. A connection costs nothing more.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Reserved addresses, which no machine has.
const NEVER_LOCAL_V4: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 1);
const NEVER_LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);

/// The addresses that this process listens on, for all services together. Two services whose targets
/// are each other's listeners are a circle as well.
#[derive(Debug, Default)]
pub struct OwnListeners {
    addresses: Vec<SocketAddr>,
}

impl OwnListeners {
    /// The listeners at these addresses, as they were bound: `0.0.0.0` and `[::]` stand for all
    /// addresses of their family. An IPv6 listener is taken to accept IPv6 alone, as
    /// [`listen`](crate::service::socket::listen) opens it.
    pub fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> OwnListeners {
        OwnListeners { addresses: addresses.into_iter().collect() }
    }

    /// The listener that accepts what is sent to `address`. Sends nothing.
    pub fn reached_by(&self, address: SocketAddr) -> Option<SocketAddr> {
        let same_port = |listener: &&SocketAddr| listener.port() == address.port();
        if !self.addresses.iter().any(|listener| same_port(&listener)) {
            return None;
        }
        let address = canonical(address);
        // Found out once, and only for a wildcard listener.
        let mut local = None;
        self.addresses.iter().filter(same_port).copied().find(|listener| {
            let ip = listener.ip().to_canonical();
            if !ip.is_unspecified() {
                return ip == address.ip();
            }
            ip.is_ipv4() == address.is_ipv4()
                && *local.get_or_insert_with(|| is_local(address, can_bind, source_towards))
        })
    }
}

/// Where a connection to `address` goes: Linux takes an unspecified address for the loopback, and an
/// IPv4 address within IPv6 for what it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        IpAddr::V4(ip) => (ip, address.port()).into(),
        // As it is: a link-local address needs its scope.
        IpAddr::V6(_) => address,
    }
}

/// Whether `address` is one of this machine's own. Only these can be bound, unless the system lets
/// every address be bound (`net.ipv4.ip_nonlocal_bind`): then, whether we would send to it from
/// itself.
fn is_local(
    address: SocketAddr,
    can_bind: impl Fn(SocketAddr) -> bool,
    source_towards: impl Fn(SocketAddr) -> io::Result<IpAddr>,
) -> bool {
    if address.ip().is_loopback() {
        return true;
    }
    if !can_bind(address) {
        return false;
    }
    let never_local: IpAddr = match address {
        SocketAddr::V4(_) => NEVER_LOCAL_V4.into(),
        SocketAddr::V6(_) => NEVER_LOCAL_V6.into(),
    };
    if !can_bind(SocketAddr::new(never_local, 0)) {
        return true;
    }
    source_towards(address).is_ok_and(|source| source == address.ip())
}

/// Whether a socket can have the IP address. The port doesn't matter.
fn can_bind(mut address: SocketAddr) -> bool {
    address.set_port(0);
    UdpSocket::bind(address).is_ok()
}

/// The address of this machine that it sends from to `address`.
fn source_towards(address: SocketAddr) -> io::Result<IpAddr> {
    let unspecified: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((unspecified, 0))?;
    socket.connect(address)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn reached(to: &str, listeners: &[&str]) -> Option<SocketAddr> {
        OwnListeners::new(listeners.iter().map(|text| address(text))).reached_by(address(to))
    }

    /// An address of a network card, if this machine has one with a route.
    fn of_a_card() -> Option<IpAddr> {
        let ip = source_towards(address("198.51.100.1:9")).ok()?;
        (!ip.is_loopback()).then_some(ip)
    }

    #[test]
    fn rule_19_a_wildcard_listener_is_reached_by_every_address_of_this_machine() {
        for to in ["127.0.0.1:80", "127.9.9.9:80", "0.0.0.0:80", "[::ffff:127.0.0.1]:80"] {
            let listener = Some(address("0.0.0.0:80"));
            assert_eq!(reached(to, &["0.0.0.0:80"]), listener, "{to}");
            assert_eq!(reached(to, &["10.0.0.1:81", "[::]:80", "0.0.0.0:80"]), listener, "{to}");
            assert_eq!(reached(to, &["[::]:80"]), None, "{to}");
        }
        for to in ["[::1]:80", "[::]:80"] {
            assert_eq!(reached(to, &["[::]:80"]), Some(address("[::]:80")), "{to}");
            assert_eq!(reached(to, &["0.0.0.0:80"]), None, "{to}");
        }
        if let Some(card) = of_a_card() {
            let to = SocketAddr::new(card, 80).to_string();
            assert_eq!(reached(&to, &["0.0.0.0:80"]), Some(address("0.0.0.0:80")));
        }
    }

    #[test]
    fn rule_19_an_exact_listener_is_reached_by_its_address_alone() {
        let listener = Some(address("127.0.0.1:80"));
        for to in ["127.0.0.1:80", "0.0.0.0:80", "[::ffff:127.0.0.1]:80", "[::ffff:0.0.0.0]:80"] {
            assert_eq!(reached(to, &["127.0.0.1:80"]), listener, "{to}");
        }
        for to in ["127.0.0.2:80", "[::1]:80", "[::]:80", "10.0.0.1:80"] {
            assert_eq!(reached(to, &["127.0.0.1:80"]), None, "{to}");
        }
        assert_eq!(reached("10.0.0.1:80", &["10.0.0.1:80"]), Some(address("10.0.0.1:80")));
        assert_eq!(reached("[::]:80", &["[::1]:80"]), Some(address("[::1]:80")));
    }

    #[test]
    fn other_ports_and_other_machines_are_not_ours() {
        let all = ["0.0.0.0:80", "[::]:80", "127.0.0.1:81"];
        for to in ["127.0.0.1:82", "0.0.0.0:82", "[::1]:81", "127.0.0.2:81", "240.0.0.1:80"] {
            assert_eq!(reached(to, &all), None, "{to}");
        }
        assert_eq!(reached("127.0.0.1:80", &[]), None);
    }

    #[test]
    fn where_every_address_can_be_bound_the_way_back_tells_which_are_ours() {
        let (ours, other) = (address("10.0.0.5:80"), address("10.0.0.7:80"));
        let source = |_| Ok(ours.ip());
        assert!(is_local(ours, |_| true, source));
        assert!(!is_local(other, |_| true, source));
        assert!(!is_local(other, |_| true, |_| Err(io::ErrorKind::NetworkUnreachable.into())));
        // Where it is not so, binding is enough: a second address of a card is never a source.
        assert!(is_local(other, |asked| asked == other, source));
    }
}
