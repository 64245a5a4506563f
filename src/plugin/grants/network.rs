//! The network: `allow.connect`, `allow.udp` and `allow.wake_on_lan`.
//!
//! A grant is about addresses, and is compared with the address that is connected to, however the
//! guest came by it. IPv4 in the form of IPv6 (`::ffff:10.0.0.1`) counts as the IPv4 that it is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::config::{Plugin, Reach, Target};

use super::{Denial, toml_key, toml_string};

/// The ways into the network that WASI has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plugin) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// All that `plugin` may reach in this way.
    pub(in crate::plugin) fn granted(self, plugin: &Plugin) -> &[Reach] {
        match self {
            Protocol::Tcp => &plugin.allow.connect,
            Protocol::Udp => &plugin.allow.udp,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Protocol::Tcp => "connect",
            Protocol::Udp => "udp",
        }
    }

    /// The denial of `wanted`, which `grant` would allow.
    fn denial(self, plugin: &Plugin, wanted: String, grant: &str) -> Denial {
        let grants = self.granted(plugin).iter().map(ToString::to_string);
        let remedy = remedy(plugin, self.key(), grants.chain([grant.to_owned()]));
        Denial { wanted, remedy }
    }
}

/// May `plugin` make sockets at all? Without a grant for any address it gets none.
pub(in crate::plugin) fn sockets(plugin: &Plugin, protocol: Protocol) -> Result<(), Denial> {
    if !protocol.granted(plugin).is_empty() {
        return Ok(());
    }
    let wanted = match protocol {
        Protocol::Tcp => "make a TCP connection",
        Protocol::Udp => "send or receive by UDP",
    };
    Err(protocol.denial(plugin, wanted.to_owned(), "ADDRESS:PORT"))
}

/// May `plugin` reach `address`? `target` is where the service's own target is.
pub(in crate::plugin) fn address(
    plugin: &Plugin,
    protocol: Protocol,
    address: SocketAddr,
    target: &[SocketAddr],
) -> Result<(), Denial> {
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let covers = |reach: &Reach| match reach {
        Reach::Target => target.iter().any(|known| {
            known.ip().to_canonical() == address.ip() && known.port() == address.port()
        }),
        Reach::Addresses { network, ports } => {
            network.contains(&address.ip()) && ports.contains(&address.port())
        }
    };
    if protocol.granted(plugin).iter().any(covers) {
        return Ok(());
    }
    let wanted = match protocol {
        Protocol::Tcp => format!("connect to {address}"),
        Protocol::Udp => format!("send to {address} by UDP"),
    };
    Err(protocol.denial(plugin, wanted, &address.to_string()))
}

/// Whether it depends on where the `target` is if `plugin` may reach a port.
pub(in crate::plugin) fn asks_for_target(
    plugin: &Plugin,
    protocol: Protocol,
    port: u16,
    target: &Target,
) -> bool {
    target.port == port && protocol.granted(plugin).contains(&Reach::Target)
}

/// Grants `allow.wake_on_lan`: where `plugin` may send magic packets to, of all that it may send
/// them to: everywhere, or to `wanted`, which has a port if that matters.
pub(in crate::plugin) fn wake_on_lan(
    plugin: &Plugin,
    wanted: Option<(Ipv4Addr, Option<u16>)>,
) -> Result<Vec<SocketAddrV4>, Denial> {
    let is_wanted = |granted: &&SocketAddrV4| {
        wanted.is_none_or(|(address, port)| {
            *granted.ip() == address && port.is_none_or(|port| granted.port() == port)
        })
    };
    let granted = &plugin.allow.wake_on_lan;
    let places: Vec<_> = granted.iter().filter(is_wanted).copied().collect();
    if !places.is_empty() {
        return Ok(places);
    }
    let (wanted, grant) = match wanted {
        Some((address, Some(port))) => {
            (format!(" to {address}:{port}"), format!("{address}:{port}"))
        }
        Some((address, None)) => (format!(" to {address}"), address.to_string()),
        None => (String::new(), "BROADCAST-ADDRESS".to_owned()),
    };
    let grants = granted.iter().map(ToString::to_string).chain([grant]);
    Err(Denial {
        wanted: format!("send a magic packet{wanted}"),
        remedy: remedy(plugin, "wake_on_lan", grants),
    })
}

/// Lines to paste that grant `texts` to `plugin`.
fn remedy(plugin: &Plugin, key: &str, texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<_> = texts.map(|text| toml_string(&text)).collect();
    format!(
        "To allow it, write this under `[plugins.{}.allow]`: {key} = [{}]",
        toml_key(&plugin.name),
        texts.join(", ")
    )
}

/// The address of a target that needs no look-up.
pub(in crate::plugin) fn fixed(target: &Target) -> Option<SocketAddr> {
    target.host.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, target.port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::grants::for_tests::plugin;

    fn reach(text: &str) -> Reach {
        let (addresses, port) = text.rsplit_once(':').unwrap();
        let port = port.parse().unwrap();
        Reach::Addresses { network: addresses.parse().unwrap(), ports: port..=port }
    }

    fn connects(granted: &[Reach], to: &str, target: &[SocketAddr]) -> bool {
        let mut plugin = plugin();
        plugin.allow.connect = granted.to_vec();
        address(&plugin, Protocol::Tcp, to.parse().unwrap(), target).is_ok()
    }

    #[test]
    fn nothing_is_reached_without_a_grant() {
        assert!(!connects(&[], "127.0.0.1:80", &["127.0.0.1:80".parse().unwrap()]));
        assert!(sockets(&plugin(), Protocol::Tcp).is_err());
        assert!(sockets(&plugin(), Protocol::Udp).is_err());
        assert!(wake_on_lan(&plugin(), None).is_err());
    }

    #[test]
    fn a_network_is_reached_and_its_neighbours_are_not() {
        let granted = [reach("10.0.0.0/8:25575")];
        assert!(connects(&granted, "10.0.0.0:25575", &[]));
        assert!(connects(&granted, "10.255.255.255:25575", &[]));
        for other in ["11.0.0.0:25575", "9.255.255.255:25575", "10.0.0.1:25574", "10.0.0.1:25576"] {
            assert!(!connects(&granted, other, &[]), "{other}");
        }
    }

    #[test]
    fn the_target_is_looked_up_only_for_its_port_and_where_it_is_granted() {
        let target = Target { host: "db.example".to_owned(), port: 5432 };
        let asks = |granted: Vec<Reach>, port| {
            let mut plugin = plugin();
            plugin.allow.connect = granted;
            asks_for_target(&plugin, Protocol::Tcp, port, &target)
        };
        assert!(asks(vec![Reach::Target], 5432));
        assert!(!asks(vec![Reach::Target], 5433));
        assert!(!asks(vec![reach("10.0.0.0/8:5432")], 5432));
        assert!(!asks(vec![], 5432));
    }

    #[test]
    fn a_target_with_an_address_needs_no_name_server() {
        let at = |host: &str| fixed(&Target { host: host.to_owned(), port: 80 });
        assert_eq!(at("10.0.0.7"), Some("10.0.0.7:80".parse().unwrap()));
        assert_eq!(at("fd00::7"), Some("[fd00::7]:80".parse().unwrap()));
        assert_eq!(at("db.example"), None);
    }

    #[test]
    fn ipv4_in_the_form_of_ipv6_is_the_ipv4_that_it_is() {
        let granted = [reach("10.0.0.0/8:22")];
        assert!(connects(&granted, "[::ffff:10.0.0.1]:22", &[]));
        assert!(!connects(&granted, "[::ffff:11.0.0.1]:22", &[]));
        let all_of_ipv6 = [reach("::/0:22")];
        assert!(connects(&all_of_ipv6, "[2001:db8::1]:22", &[]));
        assert!(!connects(&all_of_ipv6, "[::ffff:10.0.0.1]:22", &[]));
        assert!(!connects(&all_of_ipv6, "10.0.0.1:22", &[]));
    }

    #[test]
    fn the_target_is_its_addresses_with_its_port() {
        let target = ["10.0.0.7:80".parse().unwrap(), "[fd00::7]:80".parse().unwrap()];
        assert!(connects(&[Reach::Target], "10.0.0.7:80", &target));
        assert!(connects(&[Reach::Target], "[fd00::7]:80", &target));
        assert!(!connects(&[Reach::Target], "10.0.0.7:81", &target));
        assert!(!connects(&[Reach::Target], "10.0.0.8:80", &target));
        assert!(!connects(&[Reach::Target], "10.0.0.7:80", &[]));
    }

    #[test]
    fn a_grant_for_tcp_is_none_for_udp() {
        let mut plugin = plugin();
        plugin.allow.connect = vec![reach("10.0.0.0/8:22")];
        assert!(address(&plugin, Protocol::Udp, "10.0.0.1:22".parse().unwrap(), &[]).is_err());
        assert!(sockets(&plugin, Protocol::Udp).is_err());
    }

    #[test]
    fn the_remedy_is_toml_that_keeps_what_was_granted_and_adds_the_address() {
        let mut plugin = plugin();
        plugin.allow.connect = vec![reach("10.0.0.0/8:22"), Reach::Target];
        let wanted = "[fd00::7]:80".parse().unwrap();
        let denial = address(&plugin, Protocol::Tcp, wanted, &[]).unwrap_err();
        let (_, toml) = denial.remedy.split_once("`: ").unwrap();
        assert_eq!(toml, r#"connect = ["10.0.0.0/8:22", "target", "[fd00::7]:80"]"#);
    }

    #[test]
    fn magic_packets_go_to_all_granted_places_or_to_one_of_them() {
        let mut plugin = plugin();
        let places = ["10.0.0.255:9", "10.0.0.255:7", "10.0.1.255:9"];
        plugin.allow.wake_on_lan = places.iter().map(|place| place.parse().unwrap()).collect();
        let of = |wanted| wake_on_lan(&plugin, wanted).map(|places| places.len()).ok();
        let address = Ipv4Addr::new(10, 0, 0, 255);
        assert_eq!(of(None), Some(3));
        assert_eq!(of(Some((address, None))), Some(2));
        assert_eq!(of(Some((address, Some(7)))), Some(1));
        assert_eq!(of(Some((address, Some(8)))), None);
        assert_eq!(of(Some((Ipv4Addr::BROADCAST, None))), None);
    }
}
