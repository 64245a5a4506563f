//! What is logged while a test runs, on its thread.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Collects log lines until it is dropped.
pub(crate) struct Told {
    lines: Arc<Mutex<Vec<(Level, String)>>>,
    _guard: DefaultGuard,
}

impl Told {
    /// Begins to collect what this thread logs.
    pub(crate) fn listen() -> Told {
        let lines = Arc::<Mutex<Vec<_>>>::default();
        let subscriber = tracing_subscriber::registry().with(Collector(Arc::clone(&lines)));
        Told { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The lines of `level`: each is the message and then ` field=value`, in the order of the fields.
    pub(crate) fn at(&self, level: Level) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|(at, _)| *at == level).map(|(_, line)| line.clone()).collect()
    }
}

struct Collector(Arc<Mutex<Vec<(Level, String)>>>);

impl<S: Subscriber> Layer<S> for Collector {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if !event.metadata().target().starts_with("dormouse") {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push((*event.metadata().level(), line.message + &line.fields));
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
