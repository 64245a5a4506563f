//! Reads the log of Dormouse from a pipe into a file, and stands still when it is asked to.

use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often a reader that stands still looks whether it may go on.
const LOOK: Duration = Duration::from_millis(20);

/// Reads until the other end is closed. While `is_stalled`, nothing is read.
pub fn read(mut pipe: PipeReader, mut log: File, is_stalled: &Arc<AtomicBool>) -> io::Result<()> {
    let is_stalled = Arc::clone(is_stalled);
    let reader = thread::Builder::new().name("log reader".to_owned());
    reader.spawn(move || {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(length @ 1..) = pipe.read(&mut bytes) {
            // The log is for people: what can't be written is missing there.
            let _ = log.write_all(&bytes[..length]);
            while is_stalled.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
            }
        }
    })?;
    Ok(())
}
