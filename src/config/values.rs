//! Single values: text to durations, sizes, addresses and programs.
//!
//! Nothing here knows where a text came from: the config file and the flags share these functions,
//! and with them the words for what is wrong.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Target;

/// A time that nobody waits for: 365 days, the most for every duration.
pub(super) const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationMistake {
    /// Nothing but white space.
    Empty,
    /// It begins with a minus.
    Negative,
    /// A number without a unit.
    NoUnit,
    /// A unit that there is not.
    UnknownUnit(String),
    /// `M`, which is a month to some and a minute to others.
    Month,
    /// Too large or too small for any use.
    Overflow,
    /// Anything else.
    Form,
}

impl DurationMistake {
    /// About the place.
    pub(super) fn label(&self) -> String {
        match self {
            DurationMistake::Empty => "empty".into(),
            DurationMistake::Negative => "time does not run backwards".into(),
            DurationMistake::NoUnit => "the unit is missing".into(),
            DurationMistake::UnknownUnit(unit) => format!("unknown unit `{unit}`"),
            DurationMistake::Month => "is `M` a minute or a month?".into(),
            DurationMistake::Overflow => "too large, or too small".into(),
            DurationMistake::Form => "not a number with a unit".into(),
        }
    }

    /// What to write instead.
    pub(super) fn remedy(&self) -> String {
        let forms = "a duration is a number and a unit, such as \"90s\", \"15m\" or \"1h30m\"";
        match self {
            DurationMistake::Month => "minutes are `m`, days are `d`".into(),
            DurationMistake::UnknownUnit(_) => {
                format!("{forms}; the units are ms, s, m, h, d and w")
            }
            DurationMistake::Empty
            | DurationMistake::Negative
            | DurationMistake::NoUnit
            | DurationMistake::Overflow
            | DurationMistake::Form => forms.into(),
        }
    }
}

/// A duration: `90s`, `15m`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, DurationMistake> {
    use humantime::DurationError as Error;
    let text = text.trim();
    if text.starts_with('-') {
        return Err(DurationMistake::Negative);
    }
    // To humantime `M` is a month, and whoever writes `15M` means minutes.
    let is_month = |letters: &str| letters == "M";
    if text.split(|letter: char| !letter.is_alphabetic()).any(is_month) {
        return Err(DurationMistake::Month);
    }
    humantime::parse_duration(text).map_err(|error| match error {
        Error::Empty => DurationMistake::Empty,
        Error::UnknownUnit { unit, .. } if unit.is_empty() => DurationMistake::NoUnit,
        Error::UnknownUnit { unit, .. } => DurationMistake::UnknownUnit(unit),
        Error::NumberOverflow => DurationMistake::Overflow,
        Error::InvalidCharacter(_) | Error::NumberExpected(_) => DurationMistake::Form,
    })
}

/// A size in bytes: `16KiB`, `64MiB`; `None` if it is not one.
pub(super) fn size(text: &str) -> Option<u64> {
    text.trim().parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64())
}

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
            AddressMistake::PortZero => "port 0 stands for any port".into(),
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
        let listens = matches!(key, "listen" | "--proxy-ip" | "--proxy-port");
        match self {
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
    host_address(text).ok_or_else(|| AddressMistake::Host { host: text.into() })
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

/// Whether a client that connects to `target` reaches whoever listens on `listen`, as far as one
/// can know without asking for names.
pub(super) fn reaches(target: &Target, listen: &SocketAddr) -> bool {
    if target.port != listen.port() {
        return false;
    }
    let here = |address: IpAddr| address.is_loopback() || address.is_unspecified();
    match target.host.parse::<IpAddr>() {
        Ok(host) if host == listen.ip() => true,
        Ok(host @ IpAddr::V4(_)) => listen.ip().is_unspecified() && here(host),
        Ok(host @ IpAddr::V6(_)) => listen.ip() == Ipv6Addr::UNSPECIFIED && here(host),
        Err(_) if target.host.eq_ignore_ascii_case("localhost") => here(listen.ip()),
        Err(_) => false,
    }
}

/// Whether it can be the name of a service or a plugin: these become file names and log fields.
pub(super) fn is_good_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(letters)
}

/// Why a text is not a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramMistake {
    /// Nothing at all.
    Empty,
    /// A NUL, which ends every path.
    Nul,
    /// `~`, which only a shell knows.
    Tilde,
}

impl ProgramMistake {
    /// What is wrong.
    pub(super) fn what(&self) -> &'static str {
        match self {
            ProgramMistake::Empty => "it is empty",
            ProgramMistake::Nul => "there is a NUL in it",
            ProgramMistake::Tilde => "only a shell knows what `~` is",
        }
    }

    /// What to write instead of `text`.
    pub(super) fn remedy(&self, text: &str) -> Option<String> {
        match self {
            ProgramMistake::Empty => Some("write a path, such as \"./start.sh\"".into()),
            ProgramMistake::Nul => None,
            ProgramMistake::Tilde => Some(format!(
                "write the whole path, such as \"/home/me{}\"",
                text.trim_start_matches('~')
            )),
        }
    }
}

/// The folder that relative paths in a config belong to.
#[derive(Clone, Debug)]
pub(super) struct Folder(String);

impl Folder {
    /// `folder` as an absolute path; the error says what is the matter with it.
    pub(super) fn new(folder: &Path) -> Result<Folder, String> {
        // `absolute` refuses the empty path, which is the folder of `dormouse.toml`.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let absolute = std::path::absolute(folder)
            .map_err(|error| format!("the working directory is gone ({error})"))?;
        match absolute.to_str() {
            Some(text) => Ok(Folder(text.to_owned())),
            None => Err(format!("the path {} is not UTF-8", absolute.display())),
        }
    }

    /// A program: a path with a slash becomes absolute, a name is left to `PATH`.
    pub(super) fn program(&self, text: &str) -> Result<String, ProgramMistake> {
        argument(text)?;
        if text.trim().is_empty() {
            Err(ProgramMistake::Empty)
        } else if text.starts_with("~/") {
            Err(ProgramMistake::Tilde)
        } else if text.contains('/') {
            Ok(self.path(text).to_string_lossy().into_owned())
        } else {
            Ok(text.into())
        }
    }

    /// A path, made absolute, without `.` between its parts (`..` stays: it may lead through a
    /// symlink).
    pub(super) fn path(&self, text: &str) -> PathBuf {
        Path::new(&self.0).join(text).components().collect()
    }
}

/// An argument of a program.
pub(super) fn argument(text: &str) -> Result<&str, ProgramMistake> {
    if text.contains('\0') { Err(ProgramMistake::Nul) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn what_is_not_a_duration_is_told_apart() {
        assert_eq!(duration(" "), Err(DurationMistake::Empty));
        assert_eq!(duration("30"), Err(DurationMistake::NoUnit));
        assert_eq!(duration("-5m"), Err(DurationMistake::Negative));
        assert_eq!(duration("5 bananas"), Err(DurationMistake::UnknownUnit("bananas".into())));
        assert_eq!(duration("bananas"), Err(DurationMistake::Form));
        assert_eq!(duration("99999999999999999999s"), Err(DurationMistake::Overflow));
    }

    #[test]
    fn a_capital_m_is_neither_a_minute_nor_a_month() {
        assert_eq!(duration("15M"), Err(DurationMistake::Month));
        assert_eq!(duration("1h 5 M"), Err(DurationMistake::Month));
        assert_eq!(duration("2Min"), Err(DurationMistake::UnknownUnit("Min".into())));
    }

    #[test]
    fn sizes_are_numbers_with_units() {
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size("16 KiB"), Some(16 << 10));
        assert_eq!(size("1000"), Some(1000));
        assert_eq!(size("many"), None);
        assert_eq!(size("-1"), None);
        assert_eq!(size(""), None);
    }

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

    #[test]
    fn a_wildcard_listener_is_reached_over_the_loopback() {
        let reached = |to: &str, at: &str| reaches(&target(to).unwrap(), &listen(at).unwrap());
        assert!(reached("10.0.0.1:80", "10.0.0.1:80"));
        assert!(reached("127.0.0.1:80", "0.0.0.0:80"));
        assert!(reached("127.0.0.1:80", "[::]:80"));
        assert!(reached("localhost:80", "127.0.0.1:80"));
        assert!(reached("[::1]:80", "[::]:80"));
        assert!(!reached("[::1]:80", "0.0.0.0:80"));
        assert!(!reached("127.0.0.1:81", "0.0.0.0:80"));
        assert!(!reached("192.168.1.5:80", "0.0.0.0:80"));
        assert!(!reached("example.com:80", "0.0.0.0:80"));
        assert!(!reached("localhost:80", "192.168.1.5:80"));
    }

    #[test]
    fn names_are_fit_for_a_file_and_a_log() {
        assert!(is_good_name("mc-1.eu_west"));
        for bad in ["", ".hidden", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(!is_good_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn programs_with_a_slash_belong_to_the_folder() {
        let folder = Folder::new(Path::new("/srv/game")).unwrap();
        assert_eq!(folder.program("./start.sh"), Ok("/srv/game/start.sh".into()));
        assert_eq!(folder.program("bin/start"), Ok("/srv/game/bin/start".into()));
        assert_eq!(folder.program("../start"), Ok("/srv/game/../start".into()));
        assert_eq!(folder.program("/bin/true"), Ok("/bin/true".into()));
        assert_eq!(folder.program("true"), Ok("true".into()));
        assert_eq!(folder.program(""), Err(ProgramMistake::Empty));
        assert_eq!(folder.program("~/start.sh"), Err(ProgramMistake::Tilde));
        assert_eq!(folder.program("a\0b"), Err(ProgramMistake::Nul));
    }
}
