//! Why a plugin can't be loaded, and what to do about it.
//!
//! wasmtime's own messages are for people who embed it. Each way in which a file can be wrong has a
//! sentence here for the person who has the file, or who builds it.

use std::fmt;
use std::io;
use std::path::Path;

use super::compile::CompileError;
use super::grants::{self, FolderFault};
use super::interface::{Decision, PACKAGE, VERSION};
use crate::text;

/// The host can't be set up on this machine.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The engine refuses the machine.
    #[error(
        "plugins can't be run on this machine: {0}. They need Linux on x86-64, ARM64, RISC-V or s390x"
    )]
    Engine(String),
    /// The thread that interrupts plugins did not start.
    #[error("the clock of the plugins can't be started: {0}. Are too many threads running?")]
    Clock(io::Error),
    /// There is no tokio runtime.
    #[error("there is no tokio runtime in which commands could be watched")]
    NoRuntime,
}

/// A plugin can't be loaded. `Display` says why and what would help.
#[derive(Debug)]
pub struct LoadError {
    /// The plugin's name in the config, if it has one.
    pub plugin: Option<String>,
    /// The file, or `builtin:NAME`.
    pub place: String,
    /// What is wrong.
    pub fault: LoadFault,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = text::line(&self.place, 500);
        match (&self.plugin, &self.fault) {
            // The file is in order, and the config is not.
            (_, fault @ LoadFault::LacksDecision { .. }) => fault.fmt(f),
            (Some(plugin), LoadFault::Folder(fault)) => {
                write!(f, "the plugin `{}` can't be used: {fault}", text::line(plugin, 200))
            }
            (Some(plugin), fault) => {
                let plugin = text::line(plugin, 200);
                write!(f, "the plugin `{plugin}` can't be loaded from `{place}`: {fault}")
            }
            (None, fault) => write!(f, "`{place}` can't be loaded: {fault}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// What is wrong with a plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadFault {
    /// There is no such file.
    #[error(
        "there is no such file. Check the path; in a config, a relative one begins at the config's \
         folder"
    )]
    Missing,
    /// The plugin's threads can't be started.
    #[error(
        "its threads can't be started: {0}. Raise the limit of tasks (`TasksMax=` under systemd, \
         `ulimit -u`) or of open files (`LimitNOFILE=`, `ulimit -n`)"
    )]
    Threads(io::Error),
    /// The file can't be read.
    #[error("it can't be read: {0}. Dormouse needs permission to read it and to enter its folders")]
    Unreadable(io::Error),
    /// It is a folder, a socket or a device.
    #[error("it is {0} and no file. Name the component itself, a file that ends in `.wasm`")]
    NoFile(&'static str),
    /// It is larger than any component.
    #[error(
        "it is larger than {}, and no component is. Name the component that your build wrote",
        bytesize::ByteSize(*most)
    )]
    TooLarge {
        /// The most bytes that are read.
        most: u64,
    },
    /// It is not the file that the config pins.
    #[error(
        "its SHA-256 sum is {found}, and `sha256` pins {pinned}. If nobody is known to have changed \
         it, find out who has; if this is the version that you want, write this under \
         `[plugins.{}]`: sha256 = \"{found}\"",
        grants::toml_key(plugin)
    )]
    OtherSum {
        /// The plugin whose config pins it.
        plugin: String,
        /// The sum that it must have.
        pinned: String,
        /// The sum that it has.
        found: String,
    },
    /// The binary has no component of this name.
    #[error("this Dormouse has no built-in plugin of this name. It has: {}", list(.0))]
    NoBuiltin(Vec<&'static str>),
    /// It is WebAssembly as text.
    #[error(
        "it is WebAssembly in its text form, and Dormouse loads the binary form only. Convert it: \
         `wasm-tools parse INPUT.wat -o OUTPUT.wasm`"
    )]
    Text,
    /// It is no WebAssembly.
    #[error("it is no WebAssembly ({0}). Name the component that your build wrote")]
    NotWasm(&'static str),
    /// It is a core module.
    #[error(
        "it is a core module, and a plugin is a component. Build it for `wasm32-wasip2`, or make a \
         component of it: `wasm-tools component new MODULE.wasm -o PLUGIN.wasm`"
    )]
    CoreModule,
    /// It is damaged, or uses what wasmtime does not know.
    #[error(
        "it is damaged, or uses a feature of WebAssembly that Dormouse does not support: {0}. Build \
         it again, with tools that are not newer than this Dormouse"
    )]
    Invalid(String),
    /// It was not compiled: a limit was reached, or the compiler can't be started.
    #[error(transparent)]
    Compile(CompileError),
    /// The kernel refuses memory for native code.
    #[error(
        "this process may not have memory for native code, without which no plugin runs: {0}. Under \
         systemd, leave out `MemoryDenyWriteExecute=`; otherwise see what denies it (SELinux, \
         seccomp)"
    )]
    NoCodeMemory(String),
    /// It makes none of our decisions.
    #[error(
        "it makes no decision: it exports {}, and none of {}. Export one of these; \
         `wit/` says what they are", exports(.0), decisions()
    )]
    NoDecision(Vec<String>),
    /// It is for another version of the interface.
    #[error(
        "it is built for {PACKAGE} {0}, and this Dormouse speaks {VERSION}. Build it against \
         `wit/dormouse-plugin-{VERSION}`, or use a Dormouse that speaks {0}"
    )]
    OtherVersion(String),
    /// One of our interfaces has other functions or types.
    #[error(
        "its interface `{interface}` is not the one that this Dormouse knows: {reason}. Build it \
         against `wit/dormouse-plugin-{VERSION}`, unchanged"
    )]
    OtherShape {
        /// The interface.
        interface: String,
        /// How they differ.
        reason: String,
    },
    /// It imports interfaces that nobody offers.
    #[error(
        "it imports what this Dormouse does not offer: {}. It offers `{PACKAGE}`, WASI 0.2 and 0.3, \
         and of HTTP the sending of requests in 0.2; build the plugin without the rest", list(.0)
    )]
    UnknownImports(Vec<String>),
    /// It imports an interface that is offered in another shape.
    #[error(
        "it imports functions that this Dormouse does not offer: {0}. Build it against \
         `wit/dormouse-plugin-{VERSION}`, or use a newer Dormouse"
    )]
    OtherImport(String),
    /// The file with the certificates of its own authorities can't be used.
    #[error(
        "its `ca` file `{file}` can't be used: {reason}. Name a PEM file with the certificate of \
         whoever signs the certificates of its servers, or remove `ca`"
    )]
    Certificates {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder that the config lets it use is not there.
    #[error(transparent)]
    Folder(FolderFault),
    /// A service needs a decision that it does not make.
    #[error(
        "the service `{service}` has `{decision} = \"{plugin}\"`, but this plugin does not export \
         `{}`. It exports {}. Name a plugin that does, or {}",
        .decision.interface(), list(.exports), instead_of(*.decision)
    )]
    LacksDecision {
        /// The service.
        service: Box<str>,
        /// The plugin's name.
        plugin: Box<str>,
        /// What it lacks.
        decision: Decision,
        /// What it makes.
        exports: Vec<Decision>,
    },
    /// A version that came later makes a decision no more that a service relies on.
    #[error(
        "it does not export `{}`, which the service `{service}` relies on. Build it with that \
         interface, or change the config and restart Dormouse", .decision.interface()
    )]
    LostDecision {
        /// The service.
        service: Box<str>,
        /// What it lacks.
        decision: Decision,
    },
}

impl LoadFault {
    /// The error for a file that belongs to no plugin of a config.
    pub(super) fn of_file(self, file: &Path) -> LoadError {
        LoadError { plugin: None, place: file.display().to_string(), fault: self }
    }

    /// What `wasmtime` says, as one line.
    pub(super) fn reason(error: &wasmtime::Error) -> String {
        text::line(&format!("{error:#}"), 1024)
    }
}

impl From<CompileError> for LoadFault {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Refused(reason) => LoadFault::Invalid(reason),
            error => LoadFault::Compile(error),
        }
    }
}

/// Names, each in backquotes, with commas between them.
fn list(names: &[impl fmt::Display]) -> String {
    let quoted = names.iter().map(|name| format!("`{}`", text::line(&name.to_string(), 200)));
    quoted.collect::<Vec<_>>().join(", ")
}

fn exports(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { list(names) }
}

/// What a service can do without a plugin for a decision.
fn instead_of(decision: Decision) -> String {
    match decision {
        Decision::Lifecycle => "write `hooks` in place of `lifecycle`".to_owned(),
        Decision::Readiness | Decision::Gate | Decision::Idleness => format!("remove `{decision}`"),
    }
}

fn decisions() -> String {
    list(&Decision::ALL.map(Decision::interface))
}
