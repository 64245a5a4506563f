//! Why there is no connection to the target, and whose fault that is.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;

use crate::config::Target;

/// A failed dial, and its message for people.
#[derive(Debug)]
pub struct DialError {
    kind: DialErrorKind,
    target: Target,
    /// The address that failed, if there was one.
    address: Option<SocketAddr>,
    source: io::Error,
}

/// What kind of failure it was, from the one that tells the least to the one that tells the most
/// when the addresses of a name fail each in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DialErrorKind {
    /// Something else, such as a firewall of our own.
    Other,
    /// The address is a listener of this process.
    Itself,
    /// The name has no address that we know of.
    Unresolved,
    /// There is no way to the address, or its host is down.
    Unreachable,
    /// Nobody answered in time.
    TimedOut,
    /// The host is up, and nobody listens.
    Refused,
    /// Something accepted the connection, and closed it before it had sent anything.
    ClosedAtOnce,
    /// We are out of descriptors, ports or memory.
    Exhausted,
}

impl DialError {
    pub(super) fn new(target: &Target, address: SocketAddr, source: io::Error) -> DialError {
        let kind = DialErrorKind::of(&source);
        DialError { kind, target: target.clone(), address: Some(address), source }
    }

    pub(super) fn unresolved(target: &Target, source: io::Error) -> DialError {
        let kind = DialErrorKind::Unresolved;
        DialError { kind, target: target.clone(), address: None, source }
    }

    /// The name can't be looked up, because we are out of something.
    pub(super) fn exhausted(target: &Target, source: io::Error) -> DialError {
        let kind = DialErrorKind::Exhausted;
        DialError { kind, target: target.clone(), address: None, source }
    }

    /// `address` is that of `listener`, one of our own.
    pub(super) fn leads_back(
        target: &Target,
        address: SocketAddr,
        listener: SocketAddr,
    ) -> DialError {
        let source = io::Error::other(format!("Dormouse's own listener `{listener}`"));
        let kind = DialErrorKind::Itself;
        DialError { kind, target: target.clone(), address: Some(address), source }
    }

    pub(super) fn closed_at_once(
        target: &Target,
        address: SocketAddr,
        source: io::Error,
    ) -> DialError {
        let kind = DialErrorKind::ClosedAtOnce;
        DialError { kind, target: target.clone(), address: Some(address), source }
    }

    /// An attempt that was given up, at whichever of the target's addresses.
    pub(super) fn silent(target: &Target) -> DialError {
        let kind = DialErrorKind::TimedOut;
        let source = io::ErrorKind::TimedOut.into();
        DialError { kind, target: target.clone(), address: None, source }
    }

    /// A failure before there was an address.
    pub(super) fn other(target: &Target, source: io::Error) -> DialError {
        DialError { kind: DialErrorKind::Other, target: target.clone(), address: None, source }
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> DialErrorKind {
        self.kind
    }

    /// Whether the target may be down. If not, the failure is ours: trying again may help,
    /// starting the target doesn't.
    pub fn blames_target(&self) -> bool {
        match self.kind {
            DialErrorKind::Unresolved
            | DialErrorKind::Unreachable
            | DialErrorKind::TimedOut
            | DialErrorKind::Refused
            | DialErrorKind::ClosedAtOnce => true,
            DialErrorKind::Other | DialErrorKind::Itself | DialErrorKind::Exhausted => false,
        }
    }
}

impl DialErrorKind {
    pub(super) fn of(error: &io::Error) -> DialErrorKind {
        if error.kind() == io::ErrorKind::TimedOut {
            return DialErrorKind::TimedOut;
        }
        let Some(errno) = Errno::from_io_error(error) else {
            return DialErrorKind::Other;
        };
        if let Errno::CONNREFUSED | Errno::CONNRESET = errno {
            return DialErrorKind::Refused;
        }
        if let Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::HOSTDOWN | Errno::NETDOWN = errno {
            return DialErrorKind::Unreachable;
        }
        // Ports; descriptors; memory; places in epoll.
        if let Errno::ADDRNOTAVAIL
        | Errno::ADDRINUSE
        | Errno::AGAIN
        | Errno::MFILE
        | Errno::NFILE
        | Errno::NOBUFS
        | Errno::NOMEM
        | Errno::NOSPC = errno
        {
            return DialErrorKind::Exhausted;
        }
        DialErrorKind::Other
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DialError { kind, target, address, source } = self;
        let whom = Whom { target, address: address.as_ref() };
        match kind {
            DialErrorKind::Refused => write!(f, "{whom} refused the connection"),
            DialErrorKind::ClosedAtOnce => write!(
                f,
                "{whom} closed the connection at once, without sending anything; a proxy in front \
                 of it may be up before the server is",
            ),
            DialErrorKind::Itself => write!(
                f,
                "{whom} leads back to {source}; correct `target`, or the address that its plugin \
                 reports",
            ),
            DialErrorKind::TimedOut => write!(f, "{whom} did not answer in time"),
            DialErrorKind::Unreachable => write!(f, "{whom} can't be reached: {source}"),
            DialErrorKind::Unresolved => write!(
                f,
                "the name `{}` of the target can't be resolved: {source}; check its spelling, and \
                 the name server of this machine",
                target.host,
            ),
            DialErrorKind::Exhausted => {
                write!(f, "no connection to {whom} can be opened: {source}; {}", remedy(source))
            }
            DialErrorKind::Other => write!(f, "the connection to {whom} failed: {source}"),
        }
    }
}

impl std::error::Error for DialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The target as a message names it: with the address, where that is news.
struct Whom<'a> {
    target: &'a Target,
    address: Option<&'a SocketAddr>,
}

impl fmt::Display for Whom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.to_string();
        write!(f, "the target `{target}`")?;
        match self.address.map(SocketAddr::to_string) {
            Some(address) if address != target => write!(f, " ({address})"),
            _ => Ok(()),
        }
    }
}

/// What would help against a lack of something on our side.
fn remedy(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => {
            "the limit of open files is too low for so many connections (`ulimit -n`, or \
             `LimitNOFILE=` in a systemd unit)"
        }
        Some(Errno::NFILE) => "the machine has too many open files (`fs.file-max`)",
        Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE | Errno::AGAIN) => {
            "all local ports towards it are in use (`net.ipv4.ip_local_port_range`)"
        }
        _ => "the machine has too little memory for so many connections",
    }
}
