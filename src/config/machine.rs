//! What is known of this machine without sending anything: its addresses, its name, and the ports
//! that the kernel gives to connections.
//!
//! Tests put another machine in its place.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::Target;

/// How long all lookups of names together may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// The most names that are looked up, each on a thread of its own.
const MAX_LOOKUPS: usize = 64;

/// Names that are the loopback wherever `/etc/hosts` is as a distribution wrote it.
const LOOPBACK_NAMES: [&str; 4] =
    ["localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"];

/// The machine that Dormouse runs on.
pub(super) struct Machine {
    /// The host name, in lower case; empty if it is not known.
    name: String,
    is_own: Box<dyn Fn(IpAddr) -> bool>,
    /// The addresses of names that were looked up.
    resolved: HashMap<String, Vec<IpAddr>>,
    ephemeral: Option<EphemeralPorts>,
}

/// The ports from which the kernel takes those of outgoing connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EphemeralPorts {
    pub(super) range: RangeInclusive<u16>,
    /// Ports in the range that the kernel leaves alone.
    pub(super) reserved: Vec<RangeInclusive<u16>>,
}

impl Machine {
    /// This one.
    pub(super) fn local() -> Machine {
        // `uname` says the same, and would need a further part of rustix.
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Machine {
            name: name.trim().to_ascii_lowercase(),
            is_own: Box::new(is_own_address),
            resolved: HashMap::new(),
            ephemeral: EphemeralPorts::of_kernel(),
        }
    }

    /// Another one, for tests.
    #[cfg(test)]
    pub(super) fn fake(
        name: &str,
        own: &[&str],
        resolved: &[(&str, &str)],
        ephemeral: Option<EphemeralPorts>,
    ) -> Machine {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap_or(IpAddr::V4(Ipv4Addr::BROADCAST));
        let own: Vec<IpAddr> = own.iter().map(|text| parse(text)).collect();
        let resolved =
            resolved.iter().map(|(name, address)| ((*name).to_owned(), vec![parse(address)]));
        Machine {
            name: name.to_owned(),
            is_own: Box::new(move |address| own.contains(&address)),
            resolved: resolved.collect(),
            ephemeral,
        }
    }

    /// Looks these names up, within two seconds. A name that does not resolve is left out.
    pub(super) fn look_up(&mut self, hosts: impl IntoIterator<Item = String>) {
        let (sender, receiver) = mpsc::channel();
        let mut open: usize = 0;
        for host in hosts.into_iter().take(MAX_LOOKUPS) {
            let sender = sender.clone();
            let look_up = move || {
                let found = (host.as_str(), 0).to_socket_addrs();
                let found = found.map(|all| all.map(|address| address.ip()).collect());
                let _ = sender.send((host, found.unwrap_or_default()));
            };
            // A thread that a name server keeps waiting is left behind.
            if thread::Builder::new().name("lookup".into()).spawn(look_up).is_ok() {
                open += 1;
            }
        }
        let deadline = Instant::now() + LOOKUP_TIMEOUT;
        while open > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((host, addresses)) = receiver.recv_timeout(left) else { return };
            self.resolved.insert(host, addresses);
            open -= 1;
        }
    }

    /// Whether a connection to `target` ends at `listen`, as far as it is known.
    pub(super) fn reaches(&self, target: &Target, listen: SocketAddr) -> bool {
        if target.port != listen.port() {
            return false;
        }
        let at = listen.ip().to_canonical();
        // The name of this machine may stand for any of its addresses.
        if at.is_unspecified() && self.is_called(&target.host) {
            return true;
        }
        self.addresses(&target.host).into_iter().any(|address| {
            // A wildcard takes the clients of its own family only: the listener sets IPV6_V6ONLY.
            let is_covered = at.is_unspecified() && at.is_ipv4() == address.is_ipv4();
            address == at || (is_covered && (address.is_loopback() || (self.is_own)(address)))
        })
    }

    /// Whether `target` is on this machine, as far as it is known.
    pub(super) fn has(&self, target: &Target) -> bool {
        let is_here = |address: IpAddr| address.is_loopback() || (self.is_own)(address);
        self.is_called(&target.host) || self.addresses(&target.host).into_iter().any(is_here)
    }

    /// Whether both hosts are one, as far as it is known.
    pub(super) fn is_same_host(&self, one: &str, other: &str) -> bool {
        if normal(one) == normal(other) {
            return true;
        }
        let others = self.addresses(other);
        self.addresses(one).iter().any(|address| others.contains(address))
    }

    /// The ports that the kernel may give to a connection; none if it does not say.
    pub(super) fn ephemeral(&self) -> Option<&EphemeralPorts> {
        self.ephemeral.as_ref()
    }

    /// Whether it is the name of this machine, with or without its domain.
    fn is_called(&self, host: &str) -> bool {
        let host = normal(host);
        let short = self.name.split('.').next().unwrap_or_default();
        !short.is_empty() && (host == self.name || host == short)
    }

    /// The addresses that a connection to `host` tries; none if they are not known.
    fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        if let Ok(address) = host.parse::<IpAddr>() {
            return vec![connected(address)];
        }
        let name = normal(host);
        if let Some(address) = numeric(&name) {
            return vec![connected(IpAddr::V4(address))];
        }
        if LOOPBACK_NAMES.contains(&name.as_str()) || name.ends_with(".localhost") {
            return loopback.to_vec();
        }
        let resolved = self.resolved.get(host).into_iter().flatten();
        resolved.copied().map(connected).collect()
    }
}

impl EphemeralPorts {
    /// What `/proc` says.
    fn of_kernel() -> Option<EphemeralPorts> {
        let read = |name| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        let reserved = read("ip_local_reserved_ports").unwrap_or_default();
        EphemeralPorts::parse(&read("ip_local_port_range").ok()?, &reserved)
    }

    /// A range as `32768 60999`, and reserved ports as `8080,9148-9200`.
    fn parse(range: &str, reserved: &str) -> Option<EphemeralPorts> {
        let mut ports = range.split_whitespace().map(|port| port.parse::<u16>().ok());
        let range = ports.next()??..=ports.next()??;
        let reserved = reserved.trim().split(',').filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        });
        Some(EphemeralPorts { range, reserved: reserved.collect() })
    }

    /// Whether the kernel may give this port to a connection.
    pub(super) fn contains(&self, port: u16) -> bool {
        self.range.contains(&port) && !self.reserved.iter().any(|range| range.contains(&port))
    }
}

/// Where Linux connects to: an unspecified address is the loopback, and IPv4 in the form of IPv6 is
/// IPv4.
fn connected(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    }
}

/// An IPv4 address in the old notation, which resolvers still understand: `0x7f000001` and `0x7f.1`
/// are 127.0.0.1.
fn numeric(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = host.split('.').map(number).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 || leading.iter().any(|part| *part > 255) {
        return None;
    }
    // The last part fills the bytes that are left.
    let room = 8 * (4 - leading.len());
    if u64::from(*last) >> room != 0 {
        return None;
    }
    let high = leading.iter().fold(0, |high, part| high << 8 | u64::from(*part));
    u32::try_from(high << room | u64::from(*last)).ok().map(Ipv4Addr::from)
}

/// A number in hexadecimal (`0x`), octal (`0`) or decimal digits.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        (None, _) => (text, 10),
    };
    // `from_str_radix` would take a sign.
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

/// A host as it is compared: without the dot of the root, in lower case.
fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Whether this machine has the address. Nothing is sent: only own addresses can be bound.
fn is_own_address(address: IpAddr) -> bool {
    let can_bind = |address: IpAddr| UdpSocket::bind((address, 0)).is_ok();
    // With `ip_nonlocal_bind` every address can be bound, those of documentation included.
    let foreign = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    };
    if address.is_multicast() || !can_bind(address) {
        return false;
    }
    !can_bind(foreign) || is_own_source(address)
}

/// Whether the kernel would send from the address to itself. It says no for a further address of
/// one network, so this is the second choice.
fn is_own_source(address: IpAddr) -> bool {
    let any = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // Connecting a UDP socket only chooses a route.
    UdpSocket::bind((any, 0))
        .and_then(|socket| socket.connect((address, 9)).and_then(|()| socket.local_addr()))
        .is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    fn machine() -> Machine {
        let own = ["192.168.1.5", "2001:db8::5"];
        let resolved = [("nas.example", "192.168.1.5"), ("far.example", "203.0.113.9")];
        Machine::fake("box.home.example", &own, &resolved, None)
    }

    fn reaches(to: &str, at: &str) -> bool {
        machine().reaches(&Target::parse(to).unwrap(), at.parse().unwrap())
    }

    #[test]
    fn rule_19_a_listener_is_reached_by_every_spelling_of_its_address() {
        for (to, at) in [
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("127.0.0.1:80", "0.0.0.0:80"),
            ("127.0.0.9:80", "0.0.0.0:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("[::]:80", "[::]:80"),
            ("[::1]:80", "[::]:80"),
            ("[::ffff:127.0.0.1]:80", "0.0.0.0:80"),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
            ("[::ffff:192.168.1.5]:80", "0.0.0.0:80"),
            ("192.168.1.5:80", "0.0.0.0:80"),
            ("[2001:db8::5]:80", "[::]:80"),
            ("0x7f000001:80", "0.0.0.0:80"),
            ("0X7f.1:80", "127.0.0.1:80"),
            ("localhost:80", "127.0.0.1:80"),
            ("LocalHost.:80", "[::1]:80"),
            ("localhost:80", "0.0.0.0:80"),
            ("web.localhost:80", "0.0.0.0:80"),
            ("box:80", "0.0.0.0:80"),
            ("Box.home.example:80", "[::]:80"),
            ("nas.example:80", "0.0.0.0:80"),
            ("nas.example:80", "192.168.1.5:80"),
        ] {
            assert!(reaches(to, at), "{to} is {at}");
        }
    }

    #[test]
    fn a_listener_is_not_reached_by_what_leads_elsewhere() {
        for (to, at) in [
            ("127.0.0.1:81", "0.0.0.0:80"),
            ("127.0.0.1:80", "[::]:80"),
            ("[::1]:80", "0.0.0.0:80"),
            ("127.0.0.2:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "192.168.1.5:80"),
            ("192.168.1.5:80", "127.0.0.1:80"),
            ("192.168.1.6:80", "0.0.0.0:80"),
            ("localhost:80", "192.168.1.5:80"),
            ("box:80", "127.0.0.1:80"),
            ("box.other.example:80", "0.0.0.0:80"),
            ("example.com:80", "0.0.0.0:80"),
            ("far.example:80", "0.0.0.0:80"),
        ] {
            assert!(!reaches(to, at), "{to} is not {at}");
        }
    }

    #[test]
    fn the_old_notation_of_ipv4_is_understood() {
        for (text, expected) in [
            ("0x7f000001", Some([127, 0, 0, 1])),
            ("0x7f.1", Some([127, 0, 0, 1])),
            ("0x0a.0.0x102", Some([10, 0, 1, 2])),
            ("0x1.2.3.010", Some([1, 2, 3, 8])),
            ("0xffffffff", Some([255, 255, 255, 255])),
            ("0x1.0x1000000", None),
            ("0x100.1", None),
            ("1.2.3.4.5", None),
            ("0x", None),
            ("0x+1", None),
            ("web.1", None),
        ] {
            assert_eq!(numeric(text), expected.map(Ipv4Addr::from), "{text}");
        }
    }

    #[test]
    fn a_machine_without_a_name_is_called_nothing() {
        let machine = Machine::fake("", &[], &[], None);
        assert!(!machine.is_called(""));
        assert!(!machine.is_called("."));
    }

    #[test]
    fn this_machine_has_the_loopback_and_no_address_of_documentation() {
        let machine = Machine::local();
        assert!((machine.is_own)("127.0.0.1".parse().unwrap()));
        assert!(!(machine.is_own)("198.51.100.7".parse().unwrap()));
        assert!(!(machine.is_own)("2001:db8::7".parse().unwrap()));
        assert!(is_own_source("127.0.0.1".parse().unwrap()));
        assert!(!is_own_source("198.51.100.7".parse().unwrap()));
    }

    #[test]
    fn a_name_is_looked_up_and_one_that_does_not_exist_is_left_out() {
        let mut machine = Machine::fake("", &[], &[], None);
        machine.look_up(["127.0.0.1".to_owned(), "no\0name".to_owned()]);
        assert_eq!(machine.resolved["127.0.0.1"], ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(machine.addresses("no\0name").is_empty());
    }

    #[test]
    fn reserved_ports_are_not_given_to_connections() {
        let ports = EphemeralPorts::parse("32768\t60999\n", "8080,40000-40010,50000\n").unwrap();
        for port in [32768, 39999, 40011, 60999] {
            assert!(ports.contains(port), "{port}");
        }
        for port in [8080, 32767, 40000, 40010, 50000, 61000] {
            assert!(!ports.contains(port), "{port}");
        }
        assert!(EphemeralPorts::parse("1 2", "\n").is_some());
        assert_eq!(EphemeralPorts::parse("", ""), None);
    }
}
