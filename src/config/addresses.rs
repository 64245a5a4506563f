//! Addresses: of listeners, which are IP addresses of this machine, and of targets, which may be
//! names; and what is wrong with a text that is neither.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::Target;

/// Why a text is not the address of a listener or a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressMistake {
    /// Nothing at all.
    Empty,
    /// A URL.
    Scheme,
    /// A path behind it.
    Path,
    /// A host without a port.
    NoPort,
    /// A port without a host.
    NoHost {
        /// The port.
        port: String,
    },
    /// Port 0.
    PortZero,
    /// A port that is no number from 1 to 65535.
    Port {
        /// What stands in its place.
        port: String,
    },
    /// An IPv6 address without brackets.
    Brackets,
    /// A name where there must be an address.
    Name {
        /// The name.
        host: String,
        /// The port.
        port: String,
    },
    /// Neither an address nor a name that could be one.
    Host {
        /// What stands in its place.
        host: String,
    },
}

impl AddressMistake {
    /// What is wrong.
    pub(super) fn what(&self) -> String {
        match self {
            AddressMistake::Empty => "it is empty".into(),
            AddressMistake::Scheme => "it is a URL, not an address".into(),
            AddressMistake::Path => "there is a path behind the address".into(),
            AddressMistake::NoPort => "the port is missing".into(),
            AddressMistake::NoHost { .. } => "the address before the port is missing".into(),
            AddressMistake::PortZero => "there is no port 0".into(),
            AddressMistake::Port { port } if port.is_empty() => "the port is missing".into(),
            AddressMistake::Port { .. } => "a port is a number from 1 to 65535".into(),
            AddressMistake::Brackets => "an IPv6 address with a port needs brackets".into(),
            AddressMistake::Name { .. } => "this is a name, not an IP address".into(),
            AddressMistake::Host { host } if host.contains(char::is_whitespace) => {
                "there is white space in it".into()
            }
            AddressMistake::Host { .. } => "this is neither a host name nor an IP address".into(),
        }
    }

    /// What to write instead of `text` as the value of `key`.
    pub(super) fn remedy(&self, key: &str, text: &str) -> String {
        let listens = matches!(key, "listen" | "listen.at" | "--proxy-ip" | "--proxy-port");
        match self {
            AddressMistake::Name { .. } if key == "--proxy-ip" => {
                "write an address of this machine, or 0.0.0.0 for all of its IPv4 addresses".into()
            }
            AddressMistake::NoHost { port } if listens => format!(
                "write \"0.0.0.0:{port}\" for all IPv4 addresses of this machine, \
                 \"127.0.0.1:{port}\" for this machine alone"
            ),
            AddressMistake::NoHost { port } => {
                format!("write \"127.0.0.1:{port}\" if the server is on this machine")
            }
            AddressMistake::NoPort => format!("add the port, for example \"{text}:8080\""),
            AddressMistake::PortZero if listens => "choose the port that clients connect to".into(),
            AddressMistake::PortZero => "write the port that the server listens on".into(),
            AddressMistake::Brackets => match text.rsplit_once(':') {
                Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => {
                    format!("write \"[{host}]:{port}\"")
                }
                _ => format!("write \"[{text}]:8080\", with your port"),
            },
            AddressMistake::Name { host, port } if host == "localhost" => {
                format!("write \"127.0.0.1:{port}\", or \"[::1]:{port}\" for IPv6")
            }
            AddressMistake::Name { host, port } if host == "*" => format!(
                "write \"0.0.0.0:{port}\" for all IPv4 addresses, \"[::]:{port}\" for all addresses"
            ),
            AddressMistake::Name { .. } => {
                "write an address of this machine, or \"0.0.0.0\" for all of its IPv4 addresses"
                    .into()
            }
            AddressMistake::Empty
            | AddressMistake::Scheme
            | AddressMistake::Path
            | AddressMistake::Port { .. }
            | AddressMistake::Host { .. } => match key {
                "--target-ip" | "--proxy-ip" => "write an IP address, such as 192.168.1.5".into(),
                "--target-port" | "--proxy-port" => "write a number, such as 8080".into(),
                _ if listens => "write address and port, such as \"0.0.0.0:8080\"".into(),
                _ => "write host and port, such as \"192.168.1.5:80\"".into(),
            },
        }
    }
}

/// An address to listen on: `0.0.0.0:7777`, `[::]:7777`.
pub(super) fn listen(text: &str) -> Result<SocketAddr, AddressMistake> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err(AddressMistake::PortZero),
            _ => Ok(address),
        };
    }
    let (host, port) = split(text)?;
    let port = self::port(port)?;
    match host_address(host) {
        Some(address) => Ok(SocketAddr::new(address, port)),
        None if host == "*" || is_name(host) => {
            Err(AddressMistake::Name { host: host.into(), port: port.to_string() })
        }
        None => Err(AddressMistake::Host { host: host.into() }),
    }
}

/// The address of a target: `192.168.1.5:80`, `example.com:80`, `[::1]:80`.
pub(super) fn target(text: &str) -> Result<Target, AddressMistake> {
    let (host, port) = split(text)?;
    let port = self::port(port)?;
    Ok(Target { host: self::host(host)?, port })
}

/// A host without a port: an address, in brackets or not, or a name.
pub(super) fn host(text: &str) -> Result<String, AddressMistake> {
    if text.is_empty() {
        return Err(AddressMistake::Empty);
    }
    match host_address(text) {
        Some(address) => Ok(address.to_string()),
        None if is_name(text) => Ok(text.into()),
        None => Err(AddressMistake::Host { host: text.into() }),
    }
}

/// An IP address, in brackets or not.
pub(super) fn address(text: &str) -> Result<IpAddr, AddressMistake> {
    if text.is_empty() {
        return Err(AddressMistake::Empty);
    }
    match host_address(text) {
        Some(address) => Ok(address),
        None if is_name(text) => {
            Err(AddressMistake::Name { host: text.into(), port: String::new() })
        }
        None => Err(AddressMistake::Host { host: text.into() }),
    }
}

/// A port that one can connect to.
pub(super) fn port(text: &str) -> Result<u16, AddressMistake> {
    // `parse` would take `+80`.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(0) => Err(AddressMistake::PortZero),
        Ok(port) if digits => Ok(port),
        _ => Err(AddressMistake::Port { port: text.into() }),
    }
}

/// Host and port, as they are written.
fn split(text: &str) -> Result<(&str, &str), AddressMistake> {
    if text.trim().is_empty() {
        return Err(AddressMistake::Empty);
    }
    if text.contains("://") {
        return Err(AddressMistake::Scheme);
    }
    if text.contains('/') {
        return Err(AddressMistake::Path);
    }
    if text.starts_with('[') && text.ends_with(']') {
        return Err(AddressMistake::NoPort);
    }
    match text.rsplit_once(':') {
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(AddressMistake::NoHost { port: text.into() })
        }
        None => Err(AddressMistake::NoPort),
        Some(("", port)) => Err(AddressMistake::NoHost { port: port.into() }),
        Some((host, _)) if host.contains(':') && !host.starts_with('[') => {
            Err(AddressMistake::Brackets)
        }
        Some(parts) => Ok(parts),
    }
}

/// The address that a host is; none if it is a name, or nothing.
fn host_address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// Whether it could be the name of a host. Digits and dots alone are a mistyped IPv4 address.
fn is_name(host: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    host.len() <= 253
        && host.bytes().all(letters)
        && host.bytes().any(|byte| byte.is_ascii_alphabetic())
        && host.strip_suffix('.').unwrap_or(host).split('.').all(|label| !label.is_empty())
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    #[test]
    fn listeners_have_an_address_and_a_port() {
        assert_eq!(listen("0.0.0.0:7777"), Ok("0.0.0.0:7777".parse().unwrap()));
        assert_eq!(listen("[::]:7777"), Ok("[::]:7777".parse().unwrap()));
    }

    #[test]
    fn what_is_not_a_listener_is_told_apart() {
        let name = |host: &str| AddressMistake::Name { host: host.into(), port: "80".into() };
        assert_eq!(listen(""), Err(AddressMistake::Empty));
        assert_eq!(listen("tcp://0.0.0.0:80"), Err(AddressMistake::Scheme));
        assert_eq!(listen("0.0.0.0"), Err(AddressMistake::NoPort));
        assert_eq!(listen("[::1]"), Err(AddressMistake::NoPort));
        assert_eq!(listen(":80"), Err(AddressMistake::NoHost { port: "80".into() }));
        assert_eq!(listen("80"), Err(AddressMistake::NoHost { port: "80".into() }));
        assert_eq!(listen("0.0.0.0:0"), Err(AddressMistake::PortZero));
        assert_eq!(listen("0.0.0.0:70000"), Err(AddressMistake::Port { port: "70000".into() }));
        assert_eq!(listen("0.0.0.0:http"), Err(AddressMistake::Port { port: "http".into() }));
        assert_eq!(listen("0.0.0.0:"), Err(AddressMistake::Port { port: String::new() }));
        assert_eq!(listen("::1:80"), Err(AddressMistake::Brackets));
        assert_eq!(listen("localhost:80"), Err(name("localhost")));
        assert_eq!(listen("*:80"), Err(name("*")));
        assert_eq!(listen("300.0.0.1:80"), Err(AddressMistake::Host { host: "300.0.0.1".into() }));
        assert_eq!(listen("0.0.0.0:+80"), Err(AddressMistake::Port { port: "+80".into() }));
    }

    #[test]
    fn a_target_is_an_address_or_a_name_with_a_port() {
        let target_of = |host: &str| Ok(Target { host: host.into(), port: 80 });
        assert_eq!(target("192.168.1.5:80"), target_of("192.168.1.5"));
        assert_eq!(target("db-1.example.com:80"), target_of("db-1.example.com"));
        assert_eq!(target("[fe80::1]:80"), target_of("fe80::1"));
    }

    #[test]
    fn what_is_not_a_target_is_told_apart() {
        let bad_host = |host: &str| Err(AddressMistake::Host { host: host.into() });
        assert_eq!(target("example.com"), Err(AddressMistake::NoPort));
        assert_eq!(target("http://example.com:80"), Err(AddressMistake::Scheme));
        assert_eq!(target("example.com:80/path"), Err(AddressMistake::Path));
        assert_eq!(target(":80"), Err(AddressMistake::NoHost { port: "80".into() }));
        assert_eq!(target("1.2.3:80"), bad_host("1.2.3"));
        assert_eq!(target("two words:80"), bad_host("two words"));
        assert_eq!(target("a..b:80"), bad_host("a..b"));
        assert_eq!(target("[nonsense]:80"), bad_host("[nonsense]"));
        assert_eq!(target(" example.com:80"), bad_host(" example.com"));
    }
}
