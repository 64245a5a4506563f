//! Logs: which lines, in which form, to stderr.
//!
//! A line may carry what a hook printed, what a plugin said or what a client sent. None of it is
//! trusted: in both forms one event is one line, and control characters are escaped, so that
//! nobody can forge a line or speak to the operator's terminal.
//!
//! A log that can't be written is not worth a process: a reader that stands still or is gone costs
//! lines, and nothing else ([`writer`]).

mod line;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::text;
use line::{JsonTime, Plain, Text};

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people: time, level, message, fields.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// What to log, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The form of a line.
    pub format: Format,
    /// How much more than usual (`-v`, `-vv`), or how much less (`-q`, `-qq`).
    pub verbosity: i16,
}

/// Whether text for stderr may have colours: it is a terminal that knows them, and nobody has set
/// `NO_COLOR`.
pub fn stderr_has_colour() -> bool {
    has_colour(io::stderr().is_terminal())
}

/// The same for stdout.
pub fn stdout_has_colour() -> bool {
    has_colour(io::stdout().is_terminal())
}

fn has_colour(is_terminal: bool) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    is_terminal && !is_set("NO_COLOR") && !is_dumb
}

/// Begins to log. `RUST_LOG`, where it is set, says which lines instead of `settings`.
///
/// Panics are logged as well. To be called once in a process; later calls change nothing.
pub fn start(settings: Settings) {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        tracing::error!("a defect of Dormouse, please report it: {panic}");
        if backtrace.status() == BacktraceStatus::Captured {
            say(&backtrace.to_string());
        }
    }));
    let (filter, complaint) = filter(settings.verbosity, std::env::var("RUST_LOG").ok().as_deref());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Stderr { is_json: settings.format == Format::Json })
        .log_internal_errors(false);
    let started = match settings.format {
        Format::Text => builder
            .with_ansi(stderr_has_colour())
            .fmt_fields(Plain)
            .event_format(Text)
            .finish()
            .try_init(),
        Format::Json => builder
            .with_ansi(false)
            .json()
            .flatten_event(true)
            // A service's `target` is a field, and a JSON object has a key once.
            .with_target(false)
            .with_current_span(false)
            .with_timer(JsonTime)
            .finish()
            .try_init(),
    };
    if let (Ok(()), Some(complaint)) = (started, complaint) {
        tracing::warn!("RUST_LOG is ignored: {complaint}");
    }
}

/// Writes `text` and a line break to stderr, after all that was logged before. Returns at once.
pub fn say(text: &str) {
    writer::write(format!("{text}\n").into_bytes());
}

/// Waits until all that was logged and said is written, but not longer than a second for a reader that
/// stands still. To be called before the process ends.
pub fn finish() {
    writer::flush();
}

/// Which lines are wanted, and what is wrong with `RUST_LOG`.
///
/// Libraries are heard when they warn: what wasmtime and Cranelift tell of themselves would drown
/// everything else. `RUST_LOG=cranelift_codegen=debug` still gets it. One is not: it warns of what a
/// guest got wrong, as often as the guest likes, and the guest is told of it.
fn filter(verbosity: i16, rust_log: Option<&str>) -> (EnvFilter, Option<String>) {
    let ours = match verbosity {
        ..=-2 => LevelFilter::ERROR,
        -1 => LevelFilter::WARN,
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        2.. => LevelFilter::TRACE,
    };
    let others = ours.min(LevelFilter::WARN);
    let usual = || EnvFilter::new(format!("{others},wasmtime_wasi_http=error,dormouse={ours}"));
    match rust_log.filter(|wanted| !wanted.trim().is_empty()) {
        None => (usual(), None),
        Some(wanted) => match EnvFilter::builder().parse(wanted) {
            Ok(filter) => (filter, None),
            Err(error) => (usual(), Some(error.to_string())),
        },
    }
}

/// Hands out stderr.
struct Stderr {
    is_json: bool,
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { is_json: self.is_json }
    }
}

/// Takes one line, and writes it in one piece.
struct Line {
    is_json: bool,
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        writer::write(match (self.is_json, std::str::from_utf8(bytes)) {
            (true, Ok(line)) => text::json(line).into_owned().into_bytes(),
            _ => bytes.to_vec(),
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The word for a level, always five letters wide.
fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => " WARN",
        Level::INFO => " INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(verbosity: i16, rust_log: Option<&str>) -> String {
        let filter = filter(verbosity, rust_log).0.to_string();
        let mut directives: Vec<_> = filter.split(',').map(str::to_owned).collect();
        directives.sort();
        directives.join(",")
    }

    #[test]
    fn each_flag_is_one_level() {
        assert_eq!(directives(-3, None), "dormouse=error,error,wasmtime_wasi_http=error");
        assert_eq!(directives(-2, None), "dormouse=error,error,wasmtime_wasi_http=error");
        assert_eq!(directives(-1, None), "dormouse=warn,warn,wasmtime_wasi_http=error");
        assert_eq!(directives(0, None), "dormouse=info,warn,wasmtime_wasi_http=error");
        assert_eq!(directives(1, None), "dormouse=debug,warn,wasmtime_wasi_http=error");
        assert_eq!(directives(2, None), "dormouse=trace,warn,wasmtime_wasi_http=error");
        assert_eq!(directives(9, None), "dormouse=trace,warn,wasmtime_wasi_http=error");
    }

    #[test]
    fn rust_log_overrides_the_flags() {
        assert_eq!(directives(0, Some("debug,cranelift=off")), "cranelift=off,debug");
    }

    #[test]
    fn an_empty_rust_log_is_none() {
        assert_eq!(directives(0, Some(" ")), "dormouse=info,warn,wasmtime_wasi_http=error");
    }

    #[test]
    fn a_wrong_rust_log_is_told_and_ignored() {
        let (filter, complaint) = filter(0, Some("dormouse=loud"));
        assert!(complaint.is_some());
        assert!(filter.to_string().contains("dormouse=info"), "{filter}");
    }
}
