//! The words for what is wrong with a config.
//!
//! Every fault says three things: a title (what is wrong), a label (about the place that is
//! underlined) and a remedy (what to write instead). They stand here side by side, so that they
//! speak with one voice.

use std::fmt::Write as _;

use super::fault::{Problem, Span, closest};
use crate::text::printable;

/// A config that works as it stands, once its addresses and scripts are someone's own.
pub const EXAMPLE: &str = "\
[services.web]
listen = \"0.0.0.0:8080\"
target = \"192.168.1.5:80\"
hooks = { start = \"./start.sh\", stop = \"./stop.sh\" }";

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
            Problem::Syntax { message, .. } => format!("this is not TOML: {}", shown(message)),
            Problem::BadFolder { reason } => {
                format!("paths can't be resolved: {}", shown(reason))
            }
            Problem::NoServices => "this config has no services".into(),
            Problem::NoScript { why } => shown(why),
            Problem::NoSteps => "this script has no steps".into(),
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
            Problem::BadDuration { key, text, .. } | Problem::BadProgram { key, text, .. }
                if text.is_empty() =>
            {
                format!("`{}` is empty", shown(key))
            }
            Problem::BadAddress { key, text, .. } if text.is_empty() => {
                format!("`{key}` is empty")
            }
            Problem::BadDuration { key, text, .. } => {
                format!("`{}` is not a duration: `{}`", shown(key), shown(text))
            }
            Problem::BadSize { key, text } => {
                format!("`{key}` is not a size: `{}`", shown(text))
            }
            Problem::BadSum { text } => {
                format!("`sha256` is not a SHA-256 sum: `{}`", shown(text))
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
            Problem::Circle { services, .. } => {
                let quoted: Vec<_> =
                    services.iter().map(|name| format!("`{}`", shown(name))).collect();
                let services = either(&quoted, "and");
                format!("the targets of {services} lead in a circle: there is no server")
            }
            Problem::SameServer { service, first, .. } => {
                format!("services `{}` and `{}` stop the same server", shown(first), shown(service))
            }
            Problem::EphemeralPort { target, .. } => {
                format!("the port of `{}` can be taken while the server sleeps", shown(target))
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
            Problem::BadHttp { text, mistake } => {
                format!("`http` can't be `{}`: {}", shown(text), shown(&mistake.what()))
            }
            Problem::BadHex { key, text } => {
                format!("`{key}` is not in hexadecimal digits: `{}`", shown(text))
            }
            Problem::TwoKeys { section, first, second } => {
                format!("`{}` has both `{first}` and `{second}`", shown(section))
            }
            Problem::BadReach { key, text, mistake } => {
                format!("`{}` can't be `{}`: {}", shown(key), shown(text), mistake.what())
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
            Problem::NotGranted { plugin, hook, .. } => {
                format!("plugin `{}` may not run its hook `{hook}`", shown(plugin))
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
            Problem::Circle { services, .. } => {
                services.get(1).map(|next| format!("this is a listener of `{}`", shown(next)))
            }
            Problem::SameServer { first, .. } => {
                Some(format!("same host and same stop as `{}`", shown(first)))
            }
            Problem::EphemeralPort { range, .. } => {
                Some(format!("the kernel gives ports {range} to outgoing connections"))
            }
            Problem::NoLifecycle { .. } => Some("neither `hooks` nor `lifecycle`".into()),
            Problem::TwoDeciders { decision, .. } => Some(format!("both would {decision}")),
            Problem::NotGranted { .. } => Some("not in `allow.exec`".into()),
            Problem::UnusedPlugin { .. } => Some("not loaded".into()),
            Problem::NotFound
            | Problem::NoneFound { .. }
            | Problem::Folder
            | Problem::Unreadable { .. }
            | Problem::TooLong { .. }
            | Problem::Syntax { .. }
            | Problem::BadFolder { .. }
            | Problem::NoServices
            | Problem::NoScript { .. }
            | Problem::NoSteps
            | Problem::OutOfRange { .. }
            | Problem::BadSize { .. }
            | Problem::BadSum { .. }
            | Problem::BadMinutes { .. }
            | Problem::BadAddress { .. }
            | Problem::Loop { .. }
            | Problem::BadName { .. }
            | Problem::BadProgram { .. }
            | Problem::BadVariable { .. }
            | Problem::BadHttp { .. }
            | Problem::BadHex { .. }
            | Problem::TwoKeys { .. }
            | Problem::BadReach { .. }
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
            Problem::Circle { services, back: Some(place), .. } => {
                let first = services.first().map(|name| shown(name)).unwrap_or_default();
                Some((place.clone(), format!("this is a listener of `{first}`")))
            }
            Problem::SameServer { first, place: Some(place), .. } => {
                Some((place.clone(), format!("the target of `{}`", shown(first))))
            }
            _ => None,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Problem::NotFound => "check the path after `--config`".into(),
            Problem::NoneFound { .. } => format!(
                "name one with `--config FILE`, or write `dormouse.toml`, for example:\n{EXAMPLE}"
            ),
            Problem::Folder => "name the file in it, for example `--config DIR/dormouse.toml`".into(),
            Problem::Unreadable { denied: true, .. } => {
                "let the user that Dormouse runs as read the file, and enter the folders above it"
                    .into()
            }
            Problem::Unreadable { denied: false, .. } => return None,
            Problem::TooLong { .. } => "check the path after `--config`".into(),
            Problem::NotUtf8 => "save the file as UTF-8 in your editor".into(),
            Problem::Syntax { remedy, .. } => return remedy.as_deref().map(escaped),
            Problem::BadFolder { .. } => {
                "keep the config in a folder that exists and whose path is UTF-8".into()
            }
            Problem::NoServices => format!("a service looks like this:\n{EXAMPLE}"),
            Problem::NoScript { .. } => "check the path after `--script`".into(),
            Problem::NoSteps => {
                "a step looks like this:\n[[step]]\ncall = \"start\"\nexpect = { answer = \"done\" }".into()
            }
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
            Problem::BadSum { .. } => {
                "a sum is 64 hexadecimal digits; `sha256sum FILE` prints that of a file".into()
            }
            Problem::BadMinutes { .. } => {
                "it is a whole number of minutes, such as 30, or a time with a unit, such as 90s or \
                 1h30m"
                    .into()
            }
            Problem::BadAddress { key, text, mistake } => escaped(&mistake.remedy(key, text)),
            Problem::SameListen { .. } => "give each listener an address or a port of its own".into(),
            Problem::Loop { listen, .. } => format!(
                "Dormouse listens on `{listen}` itself; the target is where the server listens: \
                 another host or another port"
            ),
            Problem::Circle { listen, .. } => format!(
                "Dormouse listens on `{listen}` itself; one of these services needs the address of a \
                 server as its `target`"
            ),
            Problem::SameServer { listen, .. } => format!(
                "the one that is idle would stop the server under the clients of the other; make \
                 them one service with several listeners, which stops when all of them are idle: `{listen}`"
            ),
            Problem::EphemeralPort { port, range, .. } => format!(
                "let the server listen on a port outside of {range}, or add {port} to \
                 `net.ipv4.ip_local_reserved_ports` (`sysctl`)"
            ),
            Problem::BadName { .. } => "a name has 1 to 64 letters a-z, digits, `-`, `_` and `.`, \
                                        and does not begin with `.`"
                .into(),
            Problem::BadProgram { mistake, text, .. } => {
                return mistake.remedy(text).as_deref().map(escaped);
            }
            Problem::BadVariable { .. } => {
                "write the name alone, such as \"HOME\": without `$` and without a value".into()
            }
            Problem::BadHttp { mistake, .. } => mistake.remedy(),
            Problem::BadHex { .. } => {
                "two digits make a byte, with spaces between them as you like: \"fe 01\"".into()
            }
            Problem::TwoKeys { first, second, .. } => {
                format!("keep one of them: delete `{first}` or `{second}`")
            }
            Problem::BadReach { mistake, text, .. } => escaped(&mistake.remedy(text)),
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
            Problem::NotGranted { plugin, command, .. } => format!(
                "add it to `[plugins.{plugin}.allow]`: `exec = [{}]`; `hooks` of a service need no \
                 grant",
                shown(command)
            ),
            Problem::UnusedPlugin { name } => format!(
                "name it in a service, for example `lifecycle = \"{name}\"` or `gate = \"{name}\"`, \
                 or delete it"
            ),
        })
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
    match text.char_indices().nth(MOST) {
        Some((end, _)) => escaped(&text[..end]) + "…",
        None => escaped(text),
    }
}

/// A text without control characters.
pub(super) fn escaped(text: &str) -> String {
    printable(text).into_owned()
}
