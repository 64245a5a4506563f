//! What can be wrong with a config, one variant a mistake. The words for it are in
//! [`super::wording`], the way it looks in [`super::render`].

use std::ops::Range;

use super::addresses::AddressMistake;
use super::http_grant::HttpMistake;
use super::overlaps::Overlap;
use super::reach::ReachMistake;
use super::values::{DurationMistake, ProgramMistake};

/// A place in the text of a config: a range of bytes.
pub type Span = Range<usize>;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place; `None` if it is about the file as a whole, or about a flag.
    pub place: Option<Span>,
    /// What is wrong.
    pub problem: Problem,
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The config can't be used.
    Error,
    /// It can be used, but it probably isn't what somebody wanted.
    Warning,
}

/// What is wrong.
///
/// `key` is the key as it stands in the file (`cooldown`), or a flag (`--cooldown-period`);
/// `section` is the table in which it stands (`services.web`), empty for the top level; `text` is
/// what somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file that was named is not there.
    NotFound,
    /// No file was named, and none is in the places where one is looked for.
    NoneFound {
        /// These places.
        looked: Vec<String>,
    },
    /// It is a folder.
    Folder,
    /// The file can't be read.
    Unreadable {
        /// What the system says.
        reason: String,
        /// Whether it is a matter of permissions.
        denied: bool,
    },
    /// No config is that long.
    TooLong {
        /// The most bytes that are read.
        most: u64,
    },
    /// Not text.
    NotUtf8,
    /// Not TOML.
    Syntax {
        /// What is wrong.
        message: String,
        /// What to do about it.
        remedy: Option<String>,
    },
    /// The folder that paths are relative to has a name that is not UTF-8, or is gone.
    BadFolder {
        /// What is the matter with it.
        reason: String,
    },
    /// A config without services.
    NoServices,
    /// A script that can't be read.
    NoScript {
        /// Why.
        why: String,
    },
    /// A script without steps.
    NoSteps,

    /// A key that means nothing here.
    UnknownKey {
        /// The key.
        key: String,
        /// Where.
        section: String,
        /// The key that may have been meant.
        meant: Option<String>,
        /// All keys that there are.
        known: Vec<&'static str>,
    },
    /// A key that must be there.
    MissingKey {
        /// The key.
        key: &'static str,
        /// Where.
        section: String,
        /// A value for it.
        example: &'static str,
    },
    /// A value of another type.
    WrongType {
        /// The key.
        key: String,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
        /// A value as it could be.
        example: &'static str,
    },
    /// A list without entries where there must be one.
    EmptyList {
        /// The key.
        key: String,
        /// A list as it could be.
        example: &'static str,
    },
    /// A word that is none of those that there are.
    BadChoice {
        /// The key.
        key: &'static str,
        /// What was written.
        text: String,
        /// The words.
        choices: &'static [&'static str],
    },
    /// A number, duration or size that is too small or too large.
    OutOfRange {
        /// The key.
        key: String,
        /// From what to what.
        bounds: &'static str,
    },
    /// Not a duration.
    BadDuration {
        /// The key.
        key: String,
        /// What was written.
        text: String,
        /// Why it isn't one.
        mistake: DurationMistake,
    },
    /// Not a size.
    BadSize {
        /// The key.
        key: &'static str,
        /// What was written.
        text: String,
    },
    /// Not a SHA-256 sum.
    BadSum {
        /// What was written.
        text: String,
    },
    /// A cool-down in minutes that is none.
    BadMinutes {
        /// The flag.
        flag: &'static str,
        /// What was written.
        text: String,
    },
    /// Not an address to listen on, or not one of a target.
    BadAddress {
        /// The key.
        key: &'static str,
        /// What was written.
        text: String,
        /// Why it isn't one.
        mistake: AddressMistake,
    },
    /// Two listeners for one address.
    SameListen {
        /// The address.
        address: String,
        /// The service that has it already.
        first: String,
        /// Where.
        place: Span,
    },
    /// A target that is the service itself.
    Loop {
        /// The address that the service listens on.
        listen: String,
        /// The target.
        target: String,
    },
    /// Services that are each other's targets, so that there is no server.
    Circle {
        /// The services: the first has the second as its target, and the last has the first.
        services: Vec<String>,
        /// The address of the second service that the target of the first is.
        listen: String,
        /// The target of the last.
        back: Option<Span>,
    },
    /// Two services that stop one server.
    SameServer {
        /// The service.
        service: String,
        /// The service that stops it already.
        first: String,
        /// A list of listeners of both, for one service.
        listen: String,
        /// The target of the other.
        place: Option<Span>,
    },
    /// A target on this machine at a port that the kernel may give to a connection.
    EphemeralPort {
        /// The target.
        target: String,
        /// Its port.
        port: u16,
        /// The ports that the kernel takes.
        range: String,
    },
    /// A name that can't be one.
    BadName {
        /// `service` or `plugin`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A program that can't be one.
    BadProgram {
        /// The key.
        key: String,
        /// What was written.
        text: String,
        /// Why it can't be one.
        mistake: ProgramMistake,
    },
    /// A name that no environment variable has.
    BadVariable {
        /// What was written.
        text: String,
    },
    /// Not a grant for HTTP requests.
    BadHttp {
        /// What was written.
        text: String,
        /// Why it isn't one.
        mistake: HttpMistake,
    },
    /// Bytes that are not written in hexadecimal digits.
    BadHex {
        /// The key.
        key: &'static str,
        /// What was written.
        text: String,
    },
    /// Two keys of which only one may be there.
    TwoKeys {
        /// Where.
        section: String,
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A grant for a part of the network that is none.
    BadReach {
        /// The key.
        key: String,
        /// What was written.
        text: String,
        /// Why it is none.
        mistake: ReachMistake,
    },
    /// A setting that JSON can't hold.
    NotJson {
        /// The key.
        key: String,
        /// What was written.
        text: String,
    },

    /// Nobody starts and stops the target.
    NoLifecycle {
        /// The service.
        service: String,
    },
    /// A hook and a plugin for one decision.
    TwoDeciders {
        /// The service.
        service: String,
        /// The hook (`hooks.ready`), or `hooks`.
        hook: &'static str,
        /// The key that names a plugin.
        key: &'static str,
        /// What both decide.
        decision: &'static str,
    },
    /// A reference to a plugin that there is not.
    UnknownPlugin {
        /// The key.
        key: &'static str,
        /// The name.
        name: String,
        /// The name that may have been meant.
        meant: Option<String>,
        /// The plugins that there are.
        known: Vec<String>,
        /// Whether a built-in plugin has that name.
        builtin: bool,
    },
    /// A built-in plugin that there is not.
    UnknownBuiltin {
        /// The name.
        name: String,
        /// Those that there are.
        known: &'static [&'static str],
    },
    /// The shell plugin is to decide something that it has no hook for.
    NoHook {
        /// The key.
        key: &'static str,
        /// The plugin.
        plugin: String,
        /// The hooks that it needs for that.
        hooks: Vec<&'static str>,
    },
    /// A hook of the shell plugin that it may not run.
    NotGranted {
        /// The plugin.
        plugin: String,
        /// The hook.
        hook: &'static str,
        /// Its command, as an entry of `allow.exec`.
        command: String,
    },
    /// A `write` grant for a folder in which something else lies, or that lies in something else.
    Overlap {
        /// The plugin that may write.
        plugin: String,
        /// The folder, as an absolute path.
        folder: String,
        /// What else lies there, in words.
        what: String,
        /// Where that is, without links.
        path: String,
        /// How the folder lies to it.
        overlap: Overlap,
        /// How bad it is.
        severity: Severity,
    },
    /// A folder of Dormouse's own in which others may write.
    UnsafeFolder {
        /// The key.
        key: &'static str,
        /// Who may, in words.
        reason: String,
        /// A command that would change it.
        remedy: Option<String>,
        /// How bad it is.
        severity: Severity,
    },
    /// A plugin that no service names.
    UnusedPlugin {
        /// The plugin.
        name: String,
    },
}

impl Fault {
    /// A fault at a place.
    pub(super) fn at(place: Span, problem: Problem) -> Fault {
        Fault { place: Some(place), problem }
    }

    /// A fault of the file as a whole, or of a flag.
    pub(super) fn of(problem: Problem) -> Fault {
        Fault { place: None, problem }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self.problem {
            Problem::UnusedPlugin { .. }
            | Problem::NotGranted { .. }
            | Problem::SameServer { .. }
            | Problem::EphemeralPort { .. } => Severity::Warning,
            Problem::Overlap { severity, .. } | Problem::UnsafeFolder { severity, .. } => severity,
            _ => Severity::Error,
        }
    }
}

/// The word that may have been meant by `text`, if one is close enough.
pub(super) fn closest<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase().replace('-', "_");
    words
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&text, &word.to_lowercase().replace('-', "_")), word))
        .filter(|(likeness, _)| *likeness > 0.82)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}
