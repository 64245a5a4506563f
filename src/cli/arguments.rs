//! What can be written on the command line, and what it means.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::demo::Part;
use super::plugin::PluginCommand;
use super::{Failure, usage};
use crate::config::Flags;
use crate::telemetry::{self, Format};

/// A command line that makes sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    /// What to log.
    pub(super) log: telemetry::Settings,
    /// What to do.
    pub(super) task: Task,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Run the proxy.
    Proxy(Source),
    /// Check a config.
    Check {
        /// The file that is named.
        config: Option<PathBuf>,
    },
    /// Work with a plugin.
    Plugin(PluginCommand),
    /// Show what Dormouse does, or play a part in that.
    Demo(Part),
    /// Write a completion script.
    Completions {
        /// For this shell.
        shell: Shell,
    },
}

/// Where the services are described.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In a file: the one that is named, or the one that is found.
    File(Option<PathBuf>),
    /// In the flags: there is one.
    Flags(Flags),
}

/// A TCP proxy that lets expensive servers sleep: it starts them for the first client and stops
/// them after the last.
#[derive(Debug, Parser)]
#[command(
    name = "dormouse",
    version,
    infer_long_args = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    override_usage = "dormouse [OPTIONS] <COMMAND>\n       \
                      dormouse [OPTIONS] --target-ip <HOST> --target-port <PORT> \
                      --hook-start-svc <FILE> --hook-stop-svc <FILE>",
    after_help = "Begin with `dormouse demo`. The config file is described in the README."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) one_service: OneService,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the services of a config file.
    Run {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Check a config file, its hooks and its plugins, without starting anything.
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Write, try and look into plugins.
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// See it at work: a small web server that sleeps and wakes on this machine.
    Demo {
        #[command(flatten)]
        part: Part,
    },
    /// Write a script that completes commands and flags in a shell.
    Completions {
        /// The shell.
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
}

impl Command {
    /// The word for it on the command line.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Command::Run { .. } => "run",
            Command::Check { .. } => "check",
            Command::Plugin { .. } => "plugin",
            Command::Demo { .. } => "demo",
            Command::Completions { .. } => "completions",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// The config file [default: ./dormouse.toml, then /etc/dormouse/dormouse.toml].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The flags of the tool that this one grew from. All are optional to clap, since a command may
/// stand in their place; [`usage`] says what is missing.
#[derive(Debug, Args)]
#[command(next_help_heading = "One service without a config file")]
pub(super) struct OneService {
    /// The address to listen on [default: 0.0.0.0].
    #[arg(long, value_name = "IP")]
    pub(super) proxy_ip: Option<String>,
    /// The port to listen on [default: 8000].
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    pub(super) proxy_port: Option<String>,
    /// The server's address or name.
    #[arg(long, value_name = "HOST")]
    pub(super) target_ip: Option<String>,
    /// The server's port.
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    pub(super) target_port: Option<String>,
    /// The time without clients before the server is stopped: minutes, or with a unit, such as
    /// 90s or 1h [default: 30].
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub(super) cooldown_period: Option<String>,
    /// The program that starts the server.
    #[arg(long, value_name = "FILE")]
    pub(super) hook_start_svc: Option<String>,
    /// The program that stops it.
    #[arg(long, value_name = "FILE")]
    pub(super) hook_stop_svc: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging (to stderr)")]
struct Log {
    /// Log more; -vv logs everything. RUST_LOG overrides this.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
    /// Log warnings and errors alone; -qq errors alone.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    quiet: u8,
    /// The form of a line.
    #[arg(long, value_name = "FORM", default_value = "text", global = true)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// What the arguments of a process mean, its name being the first.
pub(super) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Failure> {
    let words: Vec<_> = arguments.into_iter().collect();
    let arguments = Arguments::try_parse_from(&words)
        .map_err(|error| usage::explain(error, words.get(1..).unwrap_or_default()))?;
    let log = telemetry::Settings {
        format: match arguments.log.log_format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        },
        verbosity: i16::from(arguments.log.verbose) - i16::from(arguments.log.quiet),
    };
    let given = arguments.one_service.given();
    let task = match arguments.command {
        Some(command) if !given.is_empty() => return Err(usage::both(&given, &command)),
        Some(Command::Run { config }) => Task::Proxy(Source::File(config.config)),
        Some(Command::Check { config }) => Task::Check { config: config.config },
        Some(Command::Plugin { command }) => Task::Plugin(command),
        Some(Command::Demo { part }) => Task::Demo(part),
        Some(Command::Completions { shell }) => Task::Completions { shell },
        None => Task::Proxy(Source::Flags(arguments.one_service.complete()?)),
    };
    Ok(Invocation { log, task })
}

impl OneService {
    /// The flags that are there.
    fn given(&self) -> Vec<&'static str> {
        let flags = [
            ("--proxy-ip", &self.proxy_ip),
            ("--proxy-port", &self.proxy_port),
            ("--target-ip", &self.target_ip),
            ("--target-port", &self.target_port),
            ("--cooldown-period", &self.cooldown_period),
            ("--hook-start-svc", &self.hook_start_svc),
            ("--hook-stop-svc", &self.hook_stop_svc),
        ];
        flags.into_iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name).collect()
    }

    /// The flags with their defaults, if none is missing that has no default.
    fn complete(self) -> Result<Flags, Failure> {
        let mut missing = Vec::new();
        let mut required = |name, value: Option<String>| {
            if value.is_none() {
                missing.push(name);
            }
            value.unwrap_or_default()
        };
        let given = self.given();
        let target_ip = required("--target-ip <HOST>", self.target_ip);
        let target_port = required("--target-port <PORT>", self.target_port);
        let hook_start_svc = required("--hook-start-svc <FILE>", self.hook_start_svc);
        let hook_stop_svc = required("--hook-stop-svc <FILE>", self.hook_stop_svc);
        if !missing.is_empty() {
            return Err(usage::missing(&given, &missing));
        }
        Ok(Flags {
            proxy_ip: self.proxy_ip.unwrap_or_else(|| "0.0.0.0".into()),
            proxy_port: self.proxy_port.unwrap_or_else(|| "8000".into()),
            target_ip,
            target_port,
            cooldown_period: self.cooldown_period.unwrap_or_else(|| "30".into()),
            hook_start_svc,
            hook_stop_svc,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use clap::CommandFactory as _;

    use super::*;

    const REQUIRED: [&str; 8] = [
        "--target-ip",
        "10.0.0.1",
        "--target-port",
        "80",
        "--hook-start-svc",
        "a",
        "--hook-stop-svc",
        "b",
    ];

    fn parse(arguments: &[&str]) -> Invocation {
        let arguments = std::iter::once(&"dormouse").chain(arguments);
        read(arguments.map(OsString::from)).unwrap()
    }

    fn flags(arguments: &[&str]) -> Flags {
        match parse(arguments).task {
            Task::Proxy(Source::Flags(flags)) => flags,
            task => panic!("not flags: {task:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_have_the_defaults_of_the_original() {
        let flags = flags(&REQUIRED);
        assert_eq!(flags.proxy_ip, "0.0.0.0");
        assert_eq!(flags.proxy_port, "8000");
        assert_eq!(flags.cooldown_period, "30");
    }

    #[test]
    fn flags_may_have_an_equals_sign() {
        let written =
            ["--target-ip=10.0.0.1", "--target-port=80", "--hook-start-svc=a", "--hook-stop-svc=b"];
        assert_eq!(flags(&written), flags(&REQUIRED));
    }

    #[test]
    fn flags_may_be_cut_where_that_is_not_ambiguous() {
        let written = [
            "--target-i",
            "10.0.0.1",
            "--target-p",
            "80",
            "--hook-sta",
            "a",
            "--hook-sto=b",
            "--cooldown",
            "5",
            "--proxy-p=81",
        ];
        let flags = flags(&written);
        assert_eq!(flags.target_ip, "10.0.0.1");
        assert_eq!(flags.target_port, "80");
        assert_eq!(flags.hook_start_svc, "a");
        assert_eq!(flags.hook_stop_svc, "b");
        assert_eq!(flags.cooldown_period, "5");
        assert_eq!(flags.proxy_port, "81");
    }

    #[test]
    fn flags_about_logs_may_stand_before_and_behind_a_command() {
        for arguments in [["-v", "-v", "run"], ["run", "-v", "-v"]] {
            assert_eq!(parse(&arguments).log.verbosity, 2, "{arguments:?}");
        }
        assert_eq!(parse(&["-qq", "run"]).log.verbosity, -2);
        assert_eq!(parse(&["run", "--log-format", "json"]).log.format, Format::Json);
    }

    #[test]
    fn flags_about_logs_go_with_those_of_one_service() {
        let arguments: Vec<_> = ["-v"].into_iter().chain(REQUIRED).collect();
        assert_eq!(parse(&arguments).log.verbosity, 1);
    }

    #[test]
    fn commands_take_a_config_file() {
        let config = || Some(PathBuf::from("a.toml"));
        let run = parse(&["run", "--config", "a.toml"]).task;
        assert_eq!(run, Task::Proxy(Source::File(config())));
        assert_eq!(parse(&["run"]).task, Task::Proxy(Source::File(None)));
        assert_eq!(parse(&["check", "--config=a.toml"]).task, Task::Check { config: config() });
    }
}
