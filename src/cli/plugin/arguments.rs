//! What can be written behind `dormouse plugin`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Subcommand, ValueEnum};

use super::new::Language;
use super::words;
use crate::cli::{Failure, usage};
use crate::config::script::{Call, Cause, Phase};
use crate::config::trial::TrialFlags;

#[derive(Debug, PartialEq, Eq, Subcommand)]
pub(in crate::cli) enum PluginCommand {
    /// Write a folder with a plugin that builds and passes its test as it stands.
    New(New),
    /// Write the files of the interface (WIT) that this Dormouse speaks.
    Wit(Wit),
    /// Show which decisions a component makes, what it will need for that, and what it costs.
    Inspect(Inspect),
    /// Have a plugin decide, and show its answer and everything that it did.
    Try(Box<Try>),
}

#[derive(Debug, PartialEq, Eq, Args)]
pub(in crate::cli) struct New {
    /// Its name: small letters, digits, and `-` between words.
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// The language.
    #[arg(long = "lang", value_name = "LANG")]
    pub(super) language: Language,
    /// The folder to write, which must not be there [default: ./NAME].
    #[arg(long = "dir", value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Eq, Args)]
pub(in crate::cli) struct Wit {
    /// The folder to write them to.
    #[arg(value_name = "DIR", default_value = "wit")]
    pub(super) folder: PathBuf,
    /// Overwrite files that differ.
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, PartialEq, Eq, Args)]
pub(in crate::cli) struct Inspect {
    /// The component: a `.wasm` file.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Write one JSON object, for programs.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, PartialEq, Eq, Args)]
#[command(
    after_help = "It exits with 0 if an answer came and nothing was denied (with --script: if \
                        all is as expected), and with 1 otherwise."
)]
pub(in crate::cli) struct Try {
    /// The component: a `.wasm` file, or `builtin:NAME`.
    #[arg(value_name = "FILE")]
    pub(super) file: String,
    /// The function to call.
    #[arg(value_name = "CALL", required_unless_present = "script")]
    call: Option<Function>,

    #[command(flatten)]
    details: Details,

    /// What it may do: lines of `[plugins.NAME.allow]`, such as 'exec = ["true"]'.
    #[arg(long, value_name = "TOML", help_heading = "The plugin")]
    allow: Vec<String>,
    /// Its settings: lines of TOML, or a JSON object.
    #[arg(long, value_name = "TOML", help_heading = "The plugin")]
    settings: Option<String>,
    /// What it may use up: lines of `[plugins.NAME.limits]`, such as 'cpu = "2s"'.
    #[arg(long, value_name = "TOML", help_heading = "The plugin")]
    limits: Vec<String>,
    /// The target of its service [default: 127.0.0.1:1, where nobody listens].
    #[arg(long, value_name = "HOST:PORT", help_heading = "The plugin")]
    target: Option<String>,
    /// Take settings, grants, limits and service from this config.
    #[arg(
        long,
        value_name = "FILE",
        requires = "plugin",
        conflicts_with_all = ["allow", "settings", "limits", "target"],
        help_heading = "The plugin"
    )]
    config: Option<PathBuf>,
    /// The plugin of the config: `[plugins.NAME]`.
    #[arg(long, value_name = "NAME", requires = "config", help_heading = "The plugin")]
    plugin: Option<String>,
    /// Keep its state in this folder [default: one that is gone afterwards].
    #[arg(long, value_name = "DIR", help_heading = "The plugin")]
    pub(super) state_dir: Option<PathBuf>,

    /// Play this script, and compare.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "call", "config", "allow", "settings", "limits", "target", "state_dir", "json",
        ],
        help_heading = "How it is done"
    )]
    pub(super) script: Option<PathBuf>,
    /// Do it again at each change of the file, until Ctrl-C.
    #[arg(long, help_heading = "How it is done")]
    pub(super) watch: bool,
    /// Write one JSON object a call, for programs.
    #[arg(long, help_heading = "How it is done")]
    pub(super) json: bool,
}

/// What is asked, beside the function.
#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "The call")]
struct Details {
    /// should-wake: what the client sends, with `\n`, `\r`, `\t`, `\0`, `\\` and `\xFE`; once more
    /// for what it sends after `more`.
    #[arg(long, value_name = "BYTES", value_parser = words::bytes)]
    send: Vec<Bytes>,
    /// should-wake, start, stop: where the client comes from [default: 192.0.2.1:50000].
    #[arg(long, value_name = "ADDRESS", value_parser = words::address)]
    client: Option<SocketAddr>,
    /// should-wake: what the service believes of its target [default: asleep].
    #[arg(long, value_name = "PHASE")]
    phase: Option<PhaseWord>,
    /// start, stop: who asks for it [default: client, cooldown].
    #[arg(long, value_name = "CAUSE")]
    cause: Option<CauseWord>,
    /// ready: which attempt it is [default: 1].
    #[arg(long, value_name = "NUMBER")]
    attempt: Option<u32>,
    /// should-sleep: how long the target has had no client [default: 30m].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    idle_for: Option<Duration>,
}

/// The failure of flags that don't go together.
fn conflict(message: &str) -> Failure {
    usage::wrong_behind(&["plugin", "try"], ErrorKind::ArgumentConflict, message)
}

/// What a client sends. A type of its own, since a list of lists means something else to clap.
pub(super) type Bytes = words::Bytes;

/// The functions that plugins export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Function {
    Start,
    Stop,
    Ready,
    ShouldWake,
    ShouldSleep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PhaseWord {
    Asleep,
    Starting,
    Stopping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CauseWord {
    Client,
    Operator,
    Cooldown,
    Exit,
    FailedStart,
}

impl Function {
    /// Its name in `wit/`, and the flags that say more about a call of it.
    fn about(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Function::Start => ("start", &["--cause", "--client"]),
            Function::Stop => ("stop", &["--cause", "--client"]),
            Function::Ready => ("ready", &["--attempt"]),
            Function::ShouldWake => ("should-wake", &["--send", "--client", "--phase"]),
            Function::ShouldSleep => ("should-sleep", &["--idle-for"]),
        }
    }
}

impl Try {
    /// The calls that are asked for, one after the other; none if there is a script.
    ///
    /// # Errors
    ///
    /// If a flag is there that says nothing about the call.
    pub(super) fn calls(&self) -> Result<Vec<Call>, Failure> {
        let details = &self.details;
        let Some(function) = self.call else {
            return match details.given().first() {
                Some(flag) => {
                    let message =
                        format!("`{flag}` can't be used with `--script`: its steps say it");
                    Err(conflict(&message))
                }
                None => Ok(Vec::new()),
            };
        };
        let (name, flags) = function.about();
        if let Some(flag) = details.given().into_iter().find(|flag| !flags.contains(flag)) {
            let message = format!(
                "`{flag}` says nothing about `{name}`, whose flags are `{}`",
                flags.join("`, `")
            );
            return Err(conflict(&message));
        }
        let client = details.client.unwrap_or_else(Call::usual_client);
        Ok(match function {
            Function::Start => vec![Call::Start(details.cause(CauseWord::Client, client))],
            Function::Stop => vec![Call::Stop(details.cause(CauseWord::Cooldown, client))],
            Function::Ready => vec![Call::Ready(details.attempt.unwrap_or(1))],
            Function::ShouldSleep => {
                vec![Call::ShouldSleep(details.idle_for.unwrap_or(Call::USUAL_IDLE_TIME))]
            }
            Function::ShouldWake => {
                let phase = match details.phase {
                    None | Some(PhaseWord::Asleep) => Phase::Asleep,
                    Some(PhaseWord::Starting) => Phase::Starting,
                    Some(PhaseWord::Stopping) => Phase::Stopping,
                };
                let silence = [Bytes::default()];
                let sent = if details.send.is_empty() { &silence[..] } else { &details.send };
                let call = |sent: &Bytes| Call::ShouldWake { client, phase, send: sent.0.clone() };
                sent.iter().map(call).collect()
            }
        })
    }

    /// What the flags say about the plugin.
    pub(super) fn flags(&self) -> TrialFlags {
        TrialFlags {
            target: self.target.clone(),
            allow: self.allow.clone(),
            limits: self.limits.clone(),
            settings: self.settings.clone(),
        }
    }

    /// The config and the name of the plugin in it, if these are given.
    pub(super) fn config(&self) -> Option<(&PathBuf, &str)> {
        self.config.as_ref().zip(self.plugin.as_deref())
    }
}

impl Details {
    /// The flags that are there.
    fn given(&self) -> Vec<&'static str> {
        let flags = [
            ("--send", !self.send.is_empty()),
            ("--client", self.client.is_some()),
            ("--phase", self.phase.is_some()),
            ("--cause", self.cause.is_some()),
            ("--attempt", self.attempt.is_some()),
            ("--idle-for", self.idle_for.is_some()),
        ];
        flags.into_iter().filter(|(_, is_there)| *is_there).map(|(flag, _)| flag).collect()
    }

    fn cause(&self, usual: CauseWord, client: SocketAddr) -> Cause {
        match self.cause.unwrap_or(usual) {
            CauseWord::Client => Cause::Client(client),
            CauseWord::Operator => Cause::Operator,
            CauseWord::Cooldown => Cause::Cooldown,
            CauseWord::Exit => Cause::Exit,
            CauseWord::FailedStart => Cause::FailedStart,
        }
    }
}
