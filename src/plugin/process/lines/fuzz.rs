//! Fuzz target of what hooks print: lines without hostile characters, however the bytes come in.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::{LONGEST, Lines, MAX_LINES_PER_SECOND, Origin, Stream};
use crate::text::fuzz::assert_harmless;

/// The first byte says how often the rest is repeated, and in pieces of which size it comes.
#[test]
fn lines_of_hooks() {
    bolero::check!(name = "lines_of_hooks").with_iterations(300).for_each(|input: &[u8]| {
        let Some((first, rest)) = input.split_first() else { return };
        let printed = rest.repeat(1 + usize::from(first % 8));
        let breaks = printed.iter().filter(|byte| **byte == b'\n').count();
        if breaks + 10 > MAX_LINES_PER_SECOND as usize {
            return;
        }
        let whole = logged(printed.chunks(printed.len().max(1)));
        let pieces = logged(printed.chunks(1 + usize::from(*first)));
        assert_eq!(whole, pieces, "the lines depend on how the bytes come in");
        let ended = usize::from(printed.last().is_some_and(|last| *last != b'\n'));
        assert!(whole.len() >= breaks + ended);
        for line in &whole {
            assert_harmless(&line.replace('\t', ""));
            assert!(!line.contains('\n'));
            // The longest escape of one byte is `\u{1b}`.
            assert!(line.len() <= LONGEST * 6, "a line of {} bytes", line.len());
        }
    });
}

/// What is logged of a stream that comes in these pieces.
fn logged<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Vec<String> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let [service, plugin, hook] = ["web", "shell", "start"].map(str::to_owned);
        let origin = Origin { service, plugin, hook, stream: Stream::Output };
        let mut lines = Lines::new(origin, usize::MAX);
        pieces.for_each(|piece| lines.push(piece));
        lines.finish();
    });
    let log = log.0.lock().unwrap_or_else(PoisonError::into_inner);
    let entries = serde_json::Deserializer::from_slice(&log).into_iter::<serde_json::Value>();
    let message = |entry: serde_json::Value| {
        entry["fields"]["message"].as_str().expect("a message").to_owned()
    };
    entries.map(|entry| message(entry.expect("an entry of the log"))).collect()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
