//! Which addresses the name of a granted server may lead to.
//!
//! Who grants a name trusts whoever answers for it to say where its server is, and to say nothing
//! else: an answer of `127.0.0.1` or `169.254.169.254` would make of a grant for a stranger's server
//! one for this machine, or for the credentials of the cloud. So a name leads to public addresses
//! alone, unless its grant says more. An address that is granted as it is needs no such rule.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The addresses that the host of a grant may lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// It is this address.
    Itself(IpAddr),
    /// `localhost`, and names below it: this machine.
    Here,
    /// A name.
    To {
        /// Public addresses.
        public: bool,
        /// These networks.
        networks: Vec<IpNet>,
    },
}

impl Leads {
    /// Where `host` may lead, by the networks of each grant for it; a grant without any is one for
    /// public addresses.
    pub(super) fn new<'g>(host: &str, grants: impl Iterator<Item = &'g [IpNet]>) -> Leads {
        if let Ok(address) = host.parse() {
            return Leads::Itself(address);
        }
        let (mut plain, mut networks) = (false, Vec::new());
        for granted in grants {
            plain |= granted.is_empty();
            networks.extend_from_slice(granted);
        }
        let is_here = host == "localhost" || host.ends_with(".localhost");
        if is_here && networks.is_empty() {
            Leads::Here
        } else {
            Leads::To { public: plain, networks }
        }
    }

    /// Whether `address` is one of them. An IPv4 address within IPv6 is that IPv4 address.
    pub(super) fn permit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Leads::Itself(granted) => granted.to_canonical() == address,
            Leads::Here => address.is_loopback(),
            Leads::To { public, networks } => {
                (*public && kind(address).is_none())
                    || networks.iter().any(|network| network.contains(&address))
            }
        }
    }
}

/// What an address is that is not a public one.
pub(super) fn kind(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("no address of a server"),
        [127, ..] => Some("this machine itself"),
        [169, 254, 169, 254] => Some("where a cloud gives out credentials"),
        [169, 254, ..] => Some("a link-local address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            Some("a private address")
        }
        [192, 0, 0, _] | [198, 18..=19, ..] | [192, 0, 2, _] => Some("a reserved address"),
        [198, 51, 100, _] | [203, 0, 113, _] => Some("a reserved address"),
        [224..=239, ..] => Some("a multicast address"),
        [240..=255, ..] => Some("a reserved address"),
        _ => None,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        kind_of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match [a, b, c, d, e, f, g, h] {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("no address of a server"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("this machine itself"),
        // The other ways to write an IPv4 address into one of IPv6: NAT64, and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4(high, low),
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfd00..=0xffff, ..] if address.is_multicast() => Some("a multicast address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        // What is left of the unicast addresses that are routed: all others are of no server.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => {
            Some("a reserved address")
        }
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    fn permits(host: &str, networks: &[&str], address: &str) -> bool {
        let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
        Leads::new(host, [networks.as_slice()].into_iter()).permit(address.parse().unwrap())
    }

    #[test]
    fn a_name_leads_to_public_addresses() {
        for address in ["93.184.215.14", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1"] {
            assert!(permits("api.example.com", &[], address), "{address}");
        }
        for address in ["2606:2800:21f:cb07::1", "64:ff9b::5db8:d70e", "2002:5db8:d70e::1"] {
            assert!(permits("api.example.com", &[], address), "{address}");
        }
    }

    #[test]
    fn a_name_does_not_lead_to_addresses_that_are_not_public() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.255",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.5",
            "100.64.0.1",
            "169.254.169.254",
            "169.254.1.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "4000::1",
        ] {
            assert!(!permits("api.example.com", &[], address), "{address}");
        }
    }

    #[test]
    fn what_an_address_is_is_said_in_the_warning() {
        let what = |address: &str| kind(address.parse().unwrap());
        assert_eq!(what("169.254.169.254"), Some("where a cloud gives out credentials"));
        assert_eq!(what("169.254.1.1"), Some("a link-local address"));
        assert_eq!(what("127.0.0.1"), Some("this machine itself"));
        assert_eq!(what("::1"), Some("this machine itself"));
        assert_eq!(what("0.0.0.0"), Some("no address of a server"));
        assert_eq!(what("::"), Some("no address of a server"));
        assert_eq!(what("10.0.0.1"), Some("a private address"));
        assert_eq!(what("fd00::1"), Some("a private address"));
        assert_eq!(what("64:ff9b:1::1"), Some("a private address"));
        assert_eq!(what("224.0.0.1"), Some("a multicast address"));
        assert_eq!(what("ff02::1"), Some("a multicast address"));
        assert_eq!(what("fe80::1"), Some("a link-local address"));
        assert_eq!(what("240.0.0.1"), Some("a reserved address"));
        assert_eq!(what("2001:db8::1"), Some("a reserved address"));
        assert_eq!(what("93.184.215.14"), None);
    }

    #[test]
    fn a_name_with_networks_leads_to_these_alone() {
        let networks = ["10.0.0.0/8", "fd00::/8"];
        for address in ["10.0.0.1", "10.255.0.1", "::ffff:10.0.0.1", "fd12::1"] {
            assert!(permits("vm.internal", &networks, address), "{address}");
        }
        for address in ["11.0.0.1", "93.184.215.14", "127.0.0.1", "::ffff:11.0.0.1", "fc00::1"] {
            assert!(!permits("vm.internal", &networks, address), "{address}");
        }
    }

    #[test]
    fn two_grants_for_a_name_are_for_what_each_is_for() {
        let network: [IpNet; 1] = ["10.0.0.0/8".parse().unwrap()];
        let leads = Leads::new("a.example", [&[][..], &network[..]].into_iter());
        assert!(leads.permit("93.184.215.14".parse().unwrap()));
        assert!(leads.permit("10.0.0.1".parse().unwrap()));
        assert!(!leads.permit("192.168.0.1".parse().unwrap()));
    }

    #[test]
    fn localhost_leads_to_this_machine_alone() {
        for host in ["localhost", "web.localhost"] {
            for address in ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"] {
                assert!(permits(host, &[], address), "{host} {address}");
            }
            for address in ["10.0.0.1", "93.184.215.14", "0.0.0.0", "::"] {
                assert!(!permits(host, &[], address), "{host} {address}");
            }
        }
        assert!(!permits("localhost.example.com", &[], "127.0.0.1"));
        assert!(!permits("notlocalhost", &[], "127.0.0.1"));
    }

    #[test]
    fn an_address_that_is_granted_is_itself() {
        assert!(permits("127.0.0.1", &[], "127.0.0.1"));
        assert!(permits("127.0.0.1", &[], "::ffff:127.0.0.1"));
        assert!(!permits("127.0.0.1", &[], "127.0.0.2"));
        assert!(permits("::1", &[], "::1"));
        assert!(!permits("::1", &[], "127.0.0.1"));
    }
}
