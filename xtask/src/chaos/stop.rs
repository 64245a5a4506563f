//! The early end of a run: Ctrl-C, SIGTERM, or a Dormouse that doesn't stay up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT and SIGTERM only ask for the end.
pub fn listen() {
    std::thread::spawn(|| {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            eprintln!("interrupted: ending what was started");
            ask();
        });
    });
}

/// Asks for the end of the run.
pub fn ask() {
    ASKED.store(true, Ordering::Relaxed);
}

/// Whether the end was asked for.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// The end of one stretch of chaos, for all its threads. Dropping it stops them, in a panic, too.
#[derive(Default)]
pub struct Stretch(AtomicBool);

impl Stretch {
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) || is_asked()
    }

    pub fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Sleeps for `time`, or until the end.
    pub fn sleep(&self, time: Duration) {
        let begin = Instant::now();
        while !self.is_over() {
            let left = time.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return;
            }
            sleep(left.min(Duration::from_millis(50)));
        }
    }
}

/// Ends a stretch when it is dropped.
pub struct EndOnDrop<'a>(pub &'a Stretch);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
