//! Ctrl-C: a measurement that is interrupted ends what it started, and then itself.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT and SIGTERM only ask for the end. Nothing is started in this process's group,
/// so that no proxy is ended by Ctrl-C before its stage is.
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
            eprintln!("ending what was started");
            ASKED.store(true, Ordering::Relaxed);
        });
    });
}

/// An error once the end was asked for.
pub fn check() -> Result<(), String> {
    if ASKED.load(Ordering::Relaxed) { Err("interrupted".to_owned()) } else { Ok(()) }
}
