//! Parts of the network: `ADDRESS:PORT`, `NETWORK/BITS:PORT`, `target`, and broadcast addresses.
//!
//! A grant has addresses and never names: who answers for a name would decide what is granted.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::Reach;

/// The port that network cards expect a magic packet at. Any does: they look at the bytes alone.
const DISCARD: u16 = 9;

/// The bits before the IPv4 address in an IPv6 address that stands for it (`::ffff:10.0.0.1`).
const MAPPED: u8 = 96;

/// Why a text is no part of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReachMistake {
    /// Nothing at all.
    Empty,
    /// A URL.
    Scheme,
    /// An address without a port.
    NoPort,
    /// Ports that are none.
    Port,
    /// A name, or nothing that could be an address.
    Name,
    /// An IPv6 address without brackets.
    Brackets,
    /// A length of a network's prefix that there is not.
    Prefix,
    /// An address within a network where the network must be.
    HostBits {
        /// The network.
        network: IpNet,
    },
    /// Not IPv4, and only that has broadcasts.
    NoBroadcast,
}

impl ReachMistake {
    /// What is wrong.
    pub(super) fn what(&self) -> String {
        match self {
            ReachMistake::Empty => "it is empty".into(),
            ReachMistake::Scheme => "it is a URL, not an address".into(),
            ReachMistake::NoPort => "the port is missing".into(),
            ReachMistake::Port => "a port is a number from 1 to 65535".into(),
            ReachMistake::Name => "this is no IP address".into(),
            ReachMistake::Brackets => "an IPv6 address with a port needs brackets".into(),
            ReachMistake::Prefix => "a network has no prefix of that length".into(),
            ReachMistake::HostBits { network } => {
                format!("it has bits behind its prefix of {}", network.prefix_len())
            }
            ReachMistake::NoBroadcast => "this is no IPv4 address".into(),
        }
    }

    /// What to write instead of `text`.
    pub(super) fn remedy(&self, text: &str) -> String {
        match self {
            ReachMistake::Empty | ReachMistake::Scheme => {
                "write an address and a port, such as \"192.168.1.5:22\"".into()
            }
            ReachMistake::NoPort => {
                format!("add the port, for example \"{text}:22\", or \"{text}:*\" for all of them")
            }
            ReachMistake::Port => "write \"192.168.1.5:22\" for one port, \
                                   \"192.168.1.5:8000-8010\" for some, \"192.168.1.5:*\" for all"
                .into(),
            ReachMistake::Name => "write the address itself: whoever answers for a name would \
                                   decide what is granted; \"target\" stands for the target of \
                                   the service"
                .into(),
            ReachMistake::Brackets => "write it as \"[fd00::1]:22\"".into(),
            ReachMistake::Prefix => {
                "it is at most 32 for IPv4 and 128 for IPv6, as in \"10.0.0.0/8:22\"".into()
            }
            ReachMistake::HostBits { network } => format!(
                "write `{network}` for the whole network, or leave out `/{}` for the one address",
                network.prefix_len()
            ),
            ReachMistake::NoBroadcast => "write the broadcast address of the machine's network \
                                          (`ip address` shows it behind `brd`), such as \
                                          \"192.168.1.255\""
                .into(),
        }
    }
}

/// `target`, or addresses with ports.
pub(super) fn reach(text: &str) -> Result<Reach, ReachMistake> {
    match text {
        "" => return Err(ReachMistake::Empty),
        "target" => return Ok(Reach::Target),
        _ if text.contains("://") => return Err(ReachMistake::Scheme),
        _ => {}
    }
    if text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
        return Err(ReachMistake::Brackets);
    }
    let Some((addresses, ports)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
        return Err(ReachMistake::NoPort);
    };
    if ports.contains(']') {
        return Err(ReachMistake::NoPort);
    }
    Ok(Reach::Addresses { network: network(addresses)?, ports: self::ports(ports)? })
}

/// An address, or a network as `ADDRESS/BITS`.
fn network(text: &str) -> Result<IpNet, ReachMistake> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let inner = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
    let address = match inner {
        Some(inner) => inner.parse().map(IpAddr::V6).map_err(|_| ReachMistake::Name)?,
        None if address.contains(':') => return Err(ReachMistake::Brackets),
        None => address.parse().map(IpAddr::V4).map_err(|_| ReachMistake::Name)?,
    };
    let Some(bits) = bits else {
        return Ok(IpNet::from(address.to_canonical()));
    };
    let bits = number(bits).and_then(|bits| u8::try_from(bits).ok()).ok_or(ReachMistake::Prefix)?;
    let canonical = address.to_canonical();
    let bits = if canonical.is_ipv4() && address.is_ipv6() {
        bits.checked_sub(MAPPED).ok_or(ReachMistake::Prefix)?
    } else {
        bits
    };
    let network = IpNet::new(canonical, bits).map_err(|_| ReachMistake::Prefix)?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(ReachMistake::HostBits { network: network.trunc() })
    }
}

/// A port, `FIRST-LAST`, or `*`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, ReachMistake> {
    if text == "*" {
        return Ok(1..=u16::MAX);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first @ 1..), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(ReachMistake::Port),
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `ADDRESS` or `ADDRESS:PORT`, where a broadcast is heard.
pub(super) fn broadcast(text: &str) -> Result<SocketAddrV4, ReachMistake> {
    let (address, port) = match text.split_once(':') {
        _ if text.is_empty() => return Err(ReachMistake::Empty),
        Some((address, port)) => (address, Some(port)),
        None => (text, None),
    };
    let address: Ipv4Addr = address.parse().map_err(|_| ReachMistake::NoBroadcast)?;
    let port = match port {
        Some(port) => number(port).filter(|port| *port > 0).ok_or(ReachMistake::Port)?,
        None => DISCARD,
    };
    Ok(SocketAddrV4::new(address, port))
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    #[test]
    fn what_is_written_is_shown_as_it_is_written() {
        for text in [
            "target",
            "10.0.0.7:22",
            "10.0.0.0/8:25575",
            "192.168.1.0/24:8000-8010",
            "0.0.0.0/0:*",
            "[fd00::1]:22",
            "[fd00::]/8:22",
        ] {
            assert_eq!(reach(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn ipv4_in_the_form_of_ipv6_is_ipv4() {
        assert_eq!(reach("[::ffff:10.0.0.7]:22"), reach("10.0.0.7:22"));
        assert_eq!(reach("[::ffff:10.0.0.0]/104:22"), reach("10.0.0.0/8:22"));
        assert_eq!(reach("[::ffff:10.0.0.0]/8:22"), Err(ReachMistake::Prefix));
    }

    #[test]
    fn what_is_no_part_of_the_network_is_told_apart() {
        let network = "10.0.0.0/8".parse().unwrap();
        for (text, mistake) in [
            ("", ReachMistake::Empty),
            ("http://10.0.0.7:80", ReachMistake::Scheme),
            ("10.0.0.7", ReachMistake::NoPort),
            ("10.0.0.0/8", ReachMistake::NoPort),
            ("[fd00::1]", ReachMistake::NoPort),
            ("[fd00::]/8", ReachMistake::NoPort),
            ("example.com:22", ReachMistake::Name),
            ("10.0.0:22", ReachMistake::Name),
            ("*:22", ReachMistake::Name),
            (":22", ReachMistake::Name),
            ("fd00::1:22", ReachMistake::Brackets),
            ("::1", ReachMistake::Brackets),
            ("10.0.0.7:0", ReachMistake::Port),
            ("10.0.0.7:", ReachMistake::Port),
            ("10.0.0.7:+22", ReachMistake::Port),
            ("10.0.0.7:70000", ReachMistake::Port),
            ("10.0.0.7:9-8", ReachMistake::Port),
            ("10.0.0.0/33:22", ReachMistake::Prefix),
            ("10.0.0.0/:22", ReachMistake::Prefix),
            ("10.0.0.7/8:22", ReachMistake::HostBits { network }),
        ] {
            assert_eq!(reach(text), Err(mistake), "{text}");
        }
    }

    #[test]
    fn a_broadcast_has_the_port_9_if_it_says_no_other() {
        let with_port = |port| Ok(SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 255), port));
        assert_eq!(broadcast("192.168.1.255"), with_port(9));
        assert_eq!(broadcast("192.168.1.255:7"), with_port(7));
        assert_eq!(broadcast(""), Err(ReachMistake::Empty));
        assert_eq!(broadcast("192.168.1.255:0"), Err(ReachMistake::Port));
        for text in ["target", "192.168.1", "ff02::1", "[ff02::1]", "192.168.1.0/24"] {
            assert_eq!(broadcast(text), Err(ReachMistake::NoBroadcast), "{text}");
        }
    }
}
