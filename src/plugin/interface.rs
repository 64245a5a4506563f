//! The names of interfaces: `package/interface@version`, and what they mean to Dormouse.

use std::fmt;

/// The package that this host offers and looks for.
pub(super) const PACKAGE: &str = "dormouse:plugin";

/// The version that this host offers.
pub(super) const VERSION: &str = "0.1.0";

/// What the versions begin with that are the same to this host: additions come as new interfaces.
const COMPATIBLE: &str = "0.1";

/// The interfaces of the package that this host offers to guests.
const OFFERED: [&str; 8] =
    ["types", "settings", "log", "state", "target", "process", "children", "wake-on-lan"];

/// A decision that a plugin may make: an interface that it may export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decision {
    /// `lifecycle`: starts and stops the target.
    Lifecycle,
    /// `readiness`: says whether the target is ready.
    Readiness,
    /// `gate`: judges whether a client may wake the target.
    Gate,
    /// `idleness`: says whether an idle target may be stopped.
    Idleness,
}

impl Decision {
    /// All of them, in the order of `wit/`.
    pub const ALL: [Decision; 4] =
        [Decision::Lifecycle, Decision::Readiness, Decision::Gate, Decision::Idleness];

    /// The name of the interface, which is the key of a service as well.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Lifecycle => "lifecycle",
            Decision::Readiness => "readiness",
            Decision::Gate => "gate",
            Decision::Idleness => "idleness",
        }
    }

    /// What a plugin that exports it does, for people: "it …".
    pub fn meaning(self) -> &'static str {
        match self {
            Decision::Lifecycle => "starts and stops the target",
            Decision::Readiness => "says whether the target is ready",
            Decision::Gate => "judges whether a client may wake the target",
            Decision::Idleness => "says whether an idle target may be stopped",
        }
    }

    /// The full name of the interface, as this host knows it.
    pub(super) fn interface(self) -> String {
        format!("{PACKAGE}/{}@{VERSION}", self.name())
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The parts of an interface's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InterfaceName<'a> {
    /// `namespace:package`.
    pub(super) package: &'a str,
    /// The interface.
    pub(super) interface: &'a str,
    /// The version, if the name has one.
    pub(super) version: Option<&'a str>,
}

impl<'a> InterfaceName<'a> {
    /// The parts of `name`, if it is the name of an interface.
    pub(super) fn parse(name: &'a str) -> Option<InterfaceName<'a>> {
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (name, None),
        };
        let (package, interface) = name.split_once('/')?;
        package.contains(':').then_some(InterfaceName { package, interface, version })
    }

    /// Whether it belongs to our package, in whatever version.
    pub(super) fn is_ours(&self) -> bool {
        self.package == PACKAGE
    }

    /// Whether its version is one that begins with `line`, such as `0.1`.
    pub(super) fn is_of(&self, line: &str) -> bool {
        let rest = self.version.and_then(|version| version.strip_prefix(line));
        rest.is_some_and(|rest| rest.starts_with('.'))
    }

    /// Whether this host offers or calls interfaces of this package and version.
    pub(super) fn is_current(&self) -> bool {
        self.is_ours() && self.is_of(COMPATIBLE)
    }

    /// The decision, if it is an interface that this host calls.
    pub(super) fn decision(&self) -> Option<Decision> {
        let known = |decision: &Decision| decision.name() == self.interface;
        Decision::ALL.into_iter().find(known).filter(|_| self.is_current())
    }

    /// Whether this host offers it to guests.
    pub(super) fn is_offered(&self) -> bool {
        match self.package {
            PACKAGE => self.is_current() && OFFERED.contains(&self.interface),
            "wasi:cli" | "wasi:clocks" | "wasi:filesystem" | "wasi:random" | "wasi:sockets" => {
                self.is_of("0.2") || self.is_of("0.3")
            }
            "wasi:io" => self.is_of("0.2"),
            "wasi:http" => {
                self.is_of("0.2") && matches!(self.interface, "types" | "outgoing-handler")
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use super::*;

    fn parse(name: &str) -> InterfaceName<'_> {
        InterfaceName::parse(name).unwrap()
    }

    #[test]
    fn every_version_that_begins_with_0_1_is_ours() {
        assert_eq!(parse("dormouse:plugin/gate@0.1.0").decision(), Some(Decision::Gate));
        assert_eq!(parse("dormouse:plugin/gate@0.1.7").decision(), Some(Decision::Gate));
        for other in ["@0.2.0", "@0.10.0", "@1.0.0", "@0.1", ""] {
            let name = format!("dormouse:plugin/gate{other}");
            assert_eq!(parse(&name).decision(), None, "{name}");
        }
    }

    #[test]
    fn names_that_are_no_interfaces_have_no_parts() {
        for name in ["run", "a/b", "a:b", ""] {
            assert_eq!(InterfaceName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn wasi_is_offered_in_both_versions_and_http_to_those_who_send_requests() {
        for name in [
            "wasi:cli/environment@0.2.6",
            "wasi:io/streams@0.2.0",
            "wasi:cli/stdout@0.3.0",
            "wasi:http/types@0.2.0",
            "wasi:http/outgoing-handler@0.2.9",
        ] {
            assert!(parse(name).is_offered(), "{name}");
        }
        for name in [
            "wasi:http/incoming-handler@0.2.0",
            "wasi:http/types@0.3.0",
            "wasi:io/streams@0.3.0",
            "wasi:cli/stdout@0.1.0",
        ] {
            assert!(!parse(name).is_offered(), "{name}");
        }
    }
}
