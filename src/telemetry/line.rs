//! The lines that people read: `2026-05-04T09:30:00Z  INFO listening service=web at=0.0.0.0:80`.

use std::fmt;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::word;
use crate::text::printable;

/// Writes events as text.
pub(super) struct Text;

/// Writes the fields of spans and events: the message as it is, all others as `name=value`.
pub(super) struct Plain;

/// The time as JSON has it: UTC with milliseconds.
pub(super) struct JsonTime;

impl FormatTime for JsonTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", humantime::format_rfc3339_millis(SystemTime::now()))
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        if writer.has_ansi_escapes() {
            let (dim, colour, reset) = ("\x1b[2m", colour(level), "\x1b[0m");
            write!(writer, "{dim}{time}{reset} {colour}{}{reset} ", word(level))?;
        } else {
            write!(writer, "{time} {} ", word(level))?;
        }
        context.field_format().format_fields(writer.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, " {fields}")?;
            }
        }
        writeln!(writer)
    }
}

impl<'w> FormatFields<'w> for Plain {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Fields { writer, is_first: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Fields<'w> {
    writer: Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: &str) {
        if self.result.is_err() {
            return;
        }
        let gap = if self.is_first { "" } else { " " };
        self.is_first = false;
        let value = printable(value);
        self.result = match field.name() {
            "message" => write!(self.writer, "{gap}{value}"),
            name if self.writer.has_ansi_escapes() => {
                write!(self.writer, "{gap}\x1b[2m{name}=\x1b[0m{value}")
            }
            name => write!(self.writer, "{gap}{name}={value}"),
        };
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" || is_word(value) {
            self.write(field, value);
        } else {
            self.write(field, &format!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // `%value` comes here as well, and may have spaces in it.
        let value = format!("{value:?}");
        if field.name() == "message" || is_word(&value) || value.starts_with('"') {
            self.write(field, &value);
        } else {
            self.write(field, &format!("{value:?}"));
        }
    }
}

/// Whether a value can stand without quotes and still be told from the next field.
fn is_word(value: &str) -> bool {
    !value.is_empty() && !value.contains([' ', '"', '=', '\\'])
}

/// The colour of a level.
fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[1;31m",
        Level::WARN => "\x1b[1;33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Memory {
        type Writer = Memory;

        fn make_writer(&'a self) -> Memory {
            self.clone()
        }
    }

    /// What `events` write, without the time.
    fn lines(events: impl FnOnce()) -> Vec<String> {
        let memory = Memory::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(memory.clone())
            .with_ansi(false)
            .fmt_fields(Plain)
            .event_format(Text)
            .finish();
        tracing::subscriber::with_default(subscriber, events);
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.split_once("Z ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn a_line_has_level_message_and_fields() {
        let lines =
            lines(|| tracing::info!(service = "web", at = %"0.0.0.0:80", held = 3, "listening"));
        assert_eq!(lines, [" INFO listening service=web at=0.0.0.0:80 held=3"]);
    }

    #[test]
    fn values_with_spaces_are_quoted() {
        let lines = lines(|| tracing::warn!(a = "two words", b = %"two words", c = "", "hm"));
        assert_eq!(lines, [" WARN hm a=\"two words\" b=\"two words\" c=\"\""]);
    }

    #[test]
    fn the_fields_of_a_span_follow_those_of_the_event() {
        let lines = lines(|| {
            let span = tracing::info_span!("service", service = "web");
            let _entered = span.enter();
            tracing::info!(hook = "start", "up");
        });
        assert_eq!(lines, [" INFO up hook=start service=web"]);
    }

    #[test]
    fn nothing_in_a_message_or_a_field_reaches_the_terminal_or_forges_a_line() {
        let evil = "a\nb\x1b[2J\u{9b}1m\u{202e}\r\0\u{7f}";
        let lines = lines(|| {
            tracing::info!(text = evil, shown = %evil, debugged = ?evil, "{evil}");
            let span = tracing::info_span!("span", inner = evil);
            let _entered = span.enter();
            tracing::error!("within");
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        for line in lines {
            assert!(!line.contains(|letter: char| letter.is_control() || letter == '\u{202e}'));
        }
    }
}
