//! A helper that does later what a hook has said that it did, or did not do.

use std::thread::sleep;
use std::time::Duration;

use super::{Site, milliseconds};

/// Starts or stops the target after `delay` milliseconds.
pub fn run(site: &Site, action: &str, delay: &str) -> Result<(), String> {
    sleep(milliseconds(delay)?);
    match action {
        "start" => site.launch(Duration::ZERO, None),
        "stop" => {
            site.end_targets();
            Ok(())
        }
        other => Err(format!("there is no `{other}`")),
    }
}
