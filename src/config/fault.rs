//! What can be wrong with a config, one type a mistake.
//!
//! Every fault says three things: a title (what is wrong), a label (about the place that is
//! underlined) and a remedy (what to write instead). They stand here side by side, so that they
//! speak with one voice; [`super::render`] only lays them out.

use std::fmt::Write as _;
use std::ops::Range;

use super::values::{AddressMistake, DurationMistake, ProgramMistake};

/// A place in the text of a config: a range of bytes.
pub type Span = Range<usize>;

/// A config that works as it stands, once its addresses and scripts are someone's own.
pub const EXAMPLE: &str = "\
[services.web]
listen = \"0.0.0.0:8080\"
target = \"192.168.1.5:80\"
hooks = { start = \"./start.sh\", stop = \"./stop.sh\" }";

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
        /// What the parser says.
        message: String,
    },
    /// The folder that paths are relative to has a name that is not UTF-8, or is gone.
    BadFolder {
        /// What is the matter with it.
        reason: String,
    },
    /// A config without services.
    NoServices,

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
        if matches!(self.problem, Problem::UnusedPlugin { .. }) {
            Severity::Warning
        } else {
            Severity::Error
        }
    }
}

impl Problem {
    /// What is wrong, in one line.
    pub fn title(&self) -> String {
        match self {
            Problem::NotFound => "there is no such config file".into(),
            Problem::NoneFound { looked } => {
                format!("there is no config file: looked for {}", either(looked, "and"))
            }
            Problem::Folder => "this is a folder, not a config file".into(),
            Problem::Unreadable { reason, .. } => {
                format!("the config file can't be read: {}", shown(reason))
            }
            Problem::TooLong { most } => {
                format!("this is no config file: it is longer than {most} bytes")
            }
            Problem::NotUtf8 => "the config file is not UTF-8 text".into(),
            Problem::Syntax { message } => format!("this is not TOML: {}", shown(message)),
            Problem::BadFolder { reason } => {
                format!("paths can't be resolved: {}", shown(reason))
            }
            Problem::NoServices => "this config has no services".into(),
            Problem::UnknownKey { key, section, .. } if section.is_empty() => {
                format!("unknown key `{}`", shown(key))
            }
            Problem::UnknownKey { key, section, .. } => {
                format!("unknown key `{}` in `{}`", shown(key), shown(section))
            }
            Problem::MissingKey { key, section, .. } => {
                format!("`{}` has no `{key}`", shown(section))
            }
            Problem::WrongType { key, wanted, found, .. } => {
                format!("`{}` must be {wanted}, not {found}", shown(key))
            }
            Problem::EmptyList { key, .. } => format!("`{}` is empty", shown(key)),
            Problem::BadChoice { key, text, .. } => {
                format!("`{key}` can't be `{}`", shown(text))
            }
            Problem::OutOfRange { key, bounds } => {
                format!("`{}` must be {bounds}", shown(key))
            }
            Problem::BadDuration { key, text, .. } => {
                format!("`{}` is not a duration: `{}`", shown(key), shown(text))
            }
            Problem::BadSize { key, text } => {
                format!("`{key}` is not a size: `{}`", shown(text))
            }
            Problem::BadMinutes { flag, text } => {
                format!("`{flag}` is not a time: `{}`", shown(text))
            }
            Problem::BadAddress { key, text, mistake } => {
                format!("`{key}` can't be `{}`: {}", shown(text), mistake.what())
            }
            Problem::SameListen { address, .. } => {
                format!("`{address}` is listened on twice")
            }
            Problem::Loop { target, .. } => {
                format!("the target `{}` is the service itself", shown(target))
            }
            Problem::BadName { what, name } => {
                format!("`{}` can't be the name of a {what}", shown(name))
            }
            Problem::BadProgram { key, text, mistake } => {
                format!("`{}` can't be `{}`: {}", shown(key), shown(text), mistake.what())
            }
            Problem::BadVariable { text } => {
                format!("`{}` can't be an environment variable", shown(text))
            }
            Problem::NotJson { key, text } => {
                format!("the setting `{}` can't be `{}`", shown(key), shown(text))
            }
            Problem::NoLifecycle { service } => {
                format!("nobody starts and stops the target of `{}`", shown(service))
            }
            Problem::TwoDeciders { service, hook, key, .. } => {
                format!("`{}` has both `{hook}` and `{key}`", shown(service))
            }
            Problem::UnknownPlugin { name, .. } => {
                format!("there is no plugin `{}`", shown(name))
            }
            Problem::UnknownBuiltin { name, .. } => {
                format!("there is no built-in plugin `{}`", shown(name))
            }
            Problem::NoHook { key, plugin, hooks } => {
                let needed: Vec<_> = hooks.iter().map(|hook| format!("`{hook}`")).collect();
                let needed = needed.join(" and ");
                format!("plugin `{}` can't be the `{key}`: it has no {needed} hook", shown(plugin))
            }
            Problem::UnusedPlugin { name } => {
                format!("no service uses the plugin `{}`", shown(name))
            }
        }
    }

    /// About the place that is underlined.
    pub fn label(&self) -> Option<String> {
        match self {
            Problem::NotUtf8 => Some("this is not UTF-8".into()),
            Problem::UnknownKey { meant: Some(meant), .. }
            | Problem::UnknownPlugin { meant: Some(meant), .. } => {
                Some(format!("did you mean `{meant}`?"))
            }
            Problem::UnknownKey { .. } => Some("not a key of this table".into()),
            Problem::UnknownPlugin { .. } => Some("no plugin has this name".into()),
            Problem::MissingKey { key, .. } => Some(format!("`{key}` is missing")),
            Problem::WrongType { found, .. } => Some(format!("this is {found}")),
            Problem::EmptyList { .. } => Some("nothing in it".into()),
            Problem::BadDuration { mistake, .. } => Some(mistake.label()),
            Problem::BadChoice { text, choices, .. } => closest(text, choices.iter().copied())
                .map(|meant| format!("did you mean `{meant}`?")),
            Problem::SameListen { .. } => Some("again here".into()),
            Problem::NoLifecycle { .. } => Some("neither `hooks` nor `lifecycle`".into()),
            Problem::TwoDeciders { decision, .. } => Some(format!("{decision} can't be both")),
            Problem::UnusedPlugin { .. } => Some("not loaded".into()),
            Problem::NotFound
            | Problem::NoneFound { .. }
            | Problem::Folder
            | Problem::Unreadable { .. }
            | Problem::TooLong { .. }
            | Problem::Syntax { .. }
            | Problem::BadFolder { .. }
            | Problem::NoServices
            | Problem::OutOfRange { .. }
            | Problem::BadSize { .. }
            | Problem::BadMinutes { .. }
            | Problem::BadAddress { .. }
            | Problem::Loop { .. }
            | Problem::BadName { .. }
            | Problem::BadProgram { .. }
            | Problem::BadVariable { .. }
            | Problem::NotJson { .. }
            | Problem::UnknownBuiltin { .. }
            | Problem::NoHook { .. } => None,
        }
    }

    /// Another place that belongs to it, and what is there.
    pub fn related(&self) -> Option<(Span, String)> {
        match self {
            Problem::SameListen { first, place, .. } => {
                Some((place.clone(), format!("`{}` listens on it already", shown(first))))
            }
            _ => None,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Problem::NotFound => "check the path after `--config`".into(),
            Problem::NoneFound { .. } => format!(
                "name one with `--config FILE`, or write `dormouse.toml`, for example:\n\n{EXAMPLE}"
            ),
            Problem::Folder => "name the file in it, for example `--config DIR/dormouse.toml`".into(),
            Problem::Unreadable { denied: true, .. } => {
                "let the user that Dormouse runs as read the file, and enter the folders above it"
                    .into()
            }
            Problem::Unreadable { denied: false, .. } => return None,
            Problem::TooLong { .. } => "check the path after `--config`".into(),
            Problem::NotUtf8 => "save the file as UTF-8 in your editor".into(),
            Problem::Syntax { message } => return syntax_remedy(message),
            Problem::BadFolder { .. } => {
                "keep the config in a folder that exists and whose path is UTF-8".into()
            }
            Problem::NoServices => format!("a service looks like this:\n\n{EXAMPLE}"),
            Problem::UnknownKey { meant: Some(_), .. } => return None,
            Problem::UnknownKey { known, .. } => {
                format!("the keys here are {}", either(known, "and"))
            }
            Problem::MissingKey { key, example, .. } => {
                format!("add it, for example `{key} = {example}`")
            }
            Problem::WrongType { example, .. } => format!("write it as {example}"),
            Problem::EmptyList { example, .. } => format!("write it as {example}"),
            Problem::BadChoice { choices, .. } => {
                let quoted: Vec<_> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
                format!("it is one of {}", either(&quoted, "and"))
            }
            Problem::OutOfRange { .. } => return None,
            Problem::BadDuration { mistake, .. } => mistake.remedy(),
            Problem::BadSize { .. } => {
                "a size is a number and a unit, such as \"16KiB\", \"64MiB\" or \"1GiB\"".into()
            }
            Problem::BadMinutes { .. } => {
                "it is a whole number of minutes, such as 30, or a time with a unit, such as 90s or \
                 1h30m"
                    .into()
            }
            Problem::BadAddress { key, text, mistake } => mistake.remedy(key, text),
            Problem::SameListen { .. } => "give each listener an address or a port of its own".into(),
            Problem::Loop { listen, .. } => format!(
                "Dormouse listens on `{listen}` itself; the target is where the server listens: \
                 another host or another port"
            ),
            Problem::BadName { .. } => "a name has 1 to 64 letters a-z, digits, `-`, `_` and `.`, \
                                        and does not begin with `.`"
                .into(),
            Problem::BadProgram { mistake, text, .. } => return mistake.remedy(text),
            Problem::BadVariable { .. } => {
                "write the name alone, such as \"HOME\": without `$` and without a value".into()
            }
            Problem::NotJson { .. } => {
                "settings reach the plugin as JSON, which has no such number; a string may help"
                    .into()
            }
            Problem::NoLifecycle { .. } => "\
                add two scripts: `hooks = { start = \"./start.sh\", stop = \"./stop.sh\" }`, \
                or a plugin: `lifecycle = \"NAME\"`"
                .into(),
            Problem::TwoDeciders { hook, key, .. } => {
                format!("keep one of them: delete `{hook}` or `{key}`")
            }
            Problem::UnknownPlugin { meant: Some(_), .. } => return None,
            Problem::UnknownPlugin { builtin: true, name, .. } => format!(
                "declare it: `[plugins.{name}]` with `wasm = \"builtin:{name}\"`; for scripts, \
                 `hooks` does that for you"
            ),
            Problem::UnknownPlugin { known, .. } if known.is_empty() => {
                "declare it: `[plugins.NAME]` with `wasm = \"FILE.wasm\"`".into()
            }
            Problem::UnknownPlugin { known, .. } => format!(
                "this config has {}; others are declared as `[plugins.NAME]`",
                either(&known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>(), "and")
            ),
            Problem::UnknownBuiltin { known, .. } => {
                let quoted: Vec<_> = known.iter().map(|name| format!("\"builtin:{name}\"")).collect();
                format!("there is {}; anything else is the path of a file", either(&quoted, "and"))
            }
            Problem::NoHook { plugin, hooks, .. } => {
                let mut remedy = format!("add to `[plugins.{plugin}.settings]`:");
                for hook in hooks {
                    let _ = write!(remedy, " `{hook} = [\"./{}.sh\"]`", hook.replace('_', "-"));
                }
                remedy
            }
            Problem::UnusedPlugin { name } => format!(
                "name it in a service, for example `lifecycle = \"{name}\"` or `gate = \"{name}\"`, \
                 or delete it"
            ),
        })
    }
}

/// What to do about text that is no TOML, where that is more than the parser says itself.
fn syntax_remedy(message: &str) -> Option<String> {
    let message = message.to_lowercase();
    if message.contains("duplicate key") {
        Some("each key and each `[table]` may stand there once".into())
    } else if message.contains("string") || message.contains("quoted") {
        Some("texts stand in quotes: `listen = \"0.0.0.0:8080\"`".into())
    } else {
        None
    }
}

/// `a`, `b` and `c`.
fn either<T: AsRef<str>>(words: &[T], join: &str) -> String {
    match words {
        [] => String::new(),
        [only] => only.as_ref().into(),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(AsRef::as_ref).collect();
            format!("{} {join} {}", first.join(", "), last.as_ref())
        }
    }
}

/// What somebody wrote, fit for a line of a terminal: cut where it is long, and without control
/// characters.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 120;
    let mut shown = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == MOST {
            shown.push('…');
            break;
        }
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
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
