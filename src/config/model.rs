//! What the program relies on: the config as it is meant, complete and consistent.
//!
//! Every value here has been checked: references lead somewhere, times and sizes are within
//! bounds, paths are absolute. [`super::read`] builds it from what a user wrote.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::HttpGrant;
use ipnet::IpNet;

/// The whole config.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How long open connections may finish after the first signal.
    pub drain: Duration,
    /// How bytes are passed on.
    pub relay: Relay,
    /// Where `state` of plugins is kept.
    pub state_dir: PathBuf,
    /// Where compiled plugins are kept.
    pub cache_dir: PathBuf,
    /// What compiling one plugin may use up.
    pub compile: CompileLimits,
    /// The services, in the order in which they were written. Never empty.
    pub services: Vec<Service>,
    /// The plugins that services use. A service with `hooks` has one of its own here.
    pub plugins: Vec<Plugin>,
}

impl Config {
    /// The plugin that `id` names.
    pub fn plugin(&self, id: PluginId) -> &Plugin {
        &self.plugins[id.0]
    }
}

/// How bytes are passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// How many bytes all connections together may hold that one side has sent and the other has
    /// not accepted.
    pub memory: usize,
}

impl Default for Relay {
    /// As many large pipes as Linux lets a user have, and a thousand buffers.
    fn default() -> Self {
        Relay { memory: 128 << 20 }
    }
}

/// What compiling one plugin may use up: `[compile]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// CPU time. In real time, it may take four times that.
    pub cpu: Duration,
    /// Memory in bytes of addresses.
    pub memory: usize,
}

impl Default for CompileLimits {
    /// The largest component that is known, 18 MB of Python, takes 16 s and 400 MiB.
    fn default() -> Self {
        CompileLimits { cpu: Duration::from_secs(300), memory: 2 << 30 }
    }
}

/// One target with its listeners and its rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// The name: `[services.NAME]`.
    pub name: String,
    /// Where clients connect. Never empty, and no two have one address.
    pub listen: Vec<Listener>,
    /// The server that is put to sleep: where it is asked whether it is up, and where clients are
    /// connected whose listener has no target of its own.
    pub target: Target,
    /// Who starts and stops the target.
    pub lifecycle: PluginId,
    /// Who says that it is ready; `Nobody` means a TCP connect.
    pub readiness: Decider,
    /// Who judges clients; `Nobody` means that every client may wake the target.
    pub gate: Decider,
    /// Who may veto sleep.
    pub idleness: Decider,
    /// The time without clients after which the target is stopped.
    pub cooldown: Duration,
    /// How long start and readiness may take together.
    pub start_timeout: Duration,
    /// How long a stop may take.
    pub stop_timeout: Duration,
    /// How long a client is held.
    pub hold_timeout: Duration,
    /// How long a connect to the target may take.
    pub connect_timeout: Duration,
    /// How many clients are held at once, those at the gate included.
    pub max_held: usize,
    /// How long the conversation about a client at the gate may take.
    pub gate_timeout: Duration,
    /// How many such conversations there are at once.
    pub max_gates: usize,
    /// What becomes of a client whose gate failed.
    pub on_gate_error: OnGateError,
    /// What becomes of an idle target if it can't be said whether it may sleep.
    pub on_idleness_error: OnIdlenessError,
    /// How often clients may have the target started.
    pub wakes: Wakes,
    /// The idle time after which TCP probes a silent peer; `None` turns probes off.
    pub keepalive: Option<Duration>,
    /// Whether the target is stopped when Dormouse exits.
    pub stop_on_exit: bool,
    /// How often a target that is believed to sleep is looked at, at least a second; `None` never
    /// looks, for targets that a probe would wake.
    pub probe_while_asleep: Option<Duration>,
}

/// A place where clients of a service connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address to listen on. The port is never 0.
    pub at: SocketAddr,
    /// Where the clients of this listener are connected, if it is not the target of the service:
    /// another port of the same server.
    pub target: Option<Target>,
}

impl From<SocketAddr> for Listener {
    /// A listener for the target of its service.
    fn from(at: SocketAddr) -> Listener {
        Listener { at, target: None }
    }
}

impl fmt::Display for Listener {
    /// The address, and the target if it has one of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Some(target) => write!(f, "{} (target {target})", self.at),
            None => write!(f, "{}", self.at),
        }
    }
}

/// Where the target is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

impl Target {
    /// The target that `text` names as `host:port`, with an IPv6 address in brackets; `None` if it
    /// names none.
    pub fn parse(text: &str) -> Option<Target> {
        super::addresses::target(text).ok()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Names a plugin of the same [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PluginId(pub usize);

/// Who makes a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider {
    /// This plugin; it must export the interface.
    Plugin(PluginId),
    /// This plugin if it exports the interface, and nobody otherwise.
    IfExported(PluginId),
    /// No plugin.
    Nobody,
}

/// What becomes of a client whose gate failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGateError {
    /// It wakes the target.
    Wake,
    /// It is closed.
    Refuse,
}

/// What becomes of an idle target if whoever has a say in its sleep failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnIdlenessError {
    /// It is stopped.
    Sleep,
    /// It stays up, and the question is asked again later.
    Stay,
}

/// How often clients may have the target started within any hour. `None` sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakes {
    /// All clients together.
    pub per_hour: Option<usize>,
    /// The clients of one address, or of one /64 of IPv6.
    pub per_client_per_hour: Option<usize>,
}

/// A component that makes decisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// The name: `[plugins.NAME]`, or `shell` for the plugin behind a service's `hooks`.
    pub name: String,
    /// For whom it stands: the service whose `hooks` it is, if it is that.
    pub hooks_of: Option<String>,
    /// Where the component comes from.
    pub source: PluginSource,
    /// The SHA-256 sum that the component must have, if it is pinned.
    pub sha256: Option<[u8; 32]>,
    /// What it gets as its settings: an object.
    pub settings: serde_json::Value,
    /// What it may do outside its sandbox.
    pub allow: Grants,
    /// What it may use up.
    pub limits: Limits,
    /// A file of certificates, in PEM: whom it trusts beside those whom the system trusts.
    pub ca: Option<PathBuf>,
}

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PluginSource {
    /// The component of this name in the binary.
    Builtin(&'static str),
    /// A file, by its absolute path.
    File(PathBuf),
}

/// What a plugin may do outside its sandbox. Nothing, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Commands that it may run.
    pub exec: Vec<ExecGrant>,
    /// Environment variables that it may see.
    pub env: Vec<String>,
    /// HTTP requests that it may send. No two servers of them have one name.
    pub http: Vec<HttpGrant>,
    /// Where it may connect to by TCP.
    pub connect: Vec<Reach>,
    /// Where it may send datagrams to, and get answers from, by UDP.
    pub udp: Vec<Reach>,
    /// Broadcast addresses, with their ports, to which it may send magic packets.
    pub wake_on_lan: Vec<SocketAddrV4>,
    /// Folders that it may read.
    pub read: Vec<FolderGrant>,
    /// Folders that it may read and change.
    pub write: Vec<FolderGrant>,
}

/// A command that a plugin may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecGrant {
    /// The program: an absolute path, or a name that is found in `PATH`.
    pub program: String,
    /// The arguments that it must have, or `None` if it may have any.
    pub arguments: Option<Vec<String>>,
}

/// A part of the network that a plugin may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The target of the service that it works for.
    Target,
    /// Addresses and ports.
    Addresses {
        /// The addresses; never IPv4 in the form of IPv6, and no bits behind the prefix.
        network: IpNet,
        /// The ports; never 0, never empty.
        ports: RangeInclusive<u16>,
    },
}

impl fmt::Display for Reach {
    /// As one writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reach::Addresses { network, ports } = self else {
            return f.write_str("target");
        };
        let address = network.addr();
        if address.is_ipv6() {
            write!(f, "[{address}]")?
        } else {
            write!(f, "{address}")?
        }
        if network.prefix_len() < network.max_prefix_len() {
            write!(f, "/{}", network.prefix_len())?;
        }
        match (*ports.start(), *ports.end()) {
            (1, u16::MAX) => f.write_str(":*"),
            (first, last) if first == last => write!(f, ":{first}"),
            (first, last) => write!(f, ":{first}-{last}"),
        }
    }
}

/// A folder that a plugin may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderGrant {
    /// The folder, by its absolute path.
    pub path: PathBuf,
    /// The path under which the plugin sees it: as it is written in the config.
    pub name: String,
}

/// What a plugin may use up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The memory of one instance, in bytes.
    pub memory: usize,
    /// How many linear memories one instance may have; each reserves 4 GiB of addresses.
    pub memories: usize,
    /// How many tables one instance may have.
    pub tables: usize,
    /// How many core instances the component may be made of.
    pub instances: usize,
    /// The CPU time of one call.
    pub cpu: Duration,
    /// The time of one call of `ready`, `should-wake` or `should-sleep`.
    pub call: Duration,
    /// How many bytes of a command's output, and how many of its errors, a plugin is given.
    pub output: usize,
    /// How many lines one call may log.
    pub log_lines: usize,
    /// How many bytes the plugin may log in a second, and each output stream of its commands.
    pub log_bytes: usize,
    /// How many bytes all keys and values of its state for one service may have.
    pub state: usize,
    /// How many HTTP requests one call may have open at once.
    pub requests: usize,
    /// How many sockets, files, streams and other resources of WASI one instance may hold at once.
    pub handles: usize,
    /// How many processes it may keep beyond a call for one service.
    pub children: usize,
    /// How many threads may wait for files, names and the start of commands on its behalf.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory: 64 << 20,
            memories: 16,
            tables: 256,
            instances: 256,
            cpu: Duration::from_secs(1),
            call: Duration::from_secs(10),
            output: 16 << 10,
            log_lines: 1000,
            log_bytes: 256 << 10,
            state: 1 << 20,
            requests: 16,
            handles: 256,
            children: 16,
            threads: 8,
        }
    }
}
