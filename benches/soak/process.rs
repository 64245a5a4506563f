//! What this process uses.

use std::fs;
use std::time::{Duration, Instant};

/// Memory and descriptors at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// In bytes.
    pub(crate) memory: u64,
    pub(crate) descriptors: usize,
}

impl Usage {
    pub(crate) fn now() -> Usage {
        Usage { memory: memory(), descriptors: descriptors() }
    }

    pub(crate) fn mebibytes(&self) -> f64 {
        self.memory as f64 / f64::from(1 << 20)
    }
}

/// How many descriptors are open.
pub(crate) fn descriptors() -> usize {
    // One of them is for reading the folder.
    fs::read_dir("/proc/self/fd").expect("Linux").count() - 1
}

/// Waits until no more than so many descriptors are open; says how many are if that takes long.
pub(crate) fn await_descriptors(wanted: usize) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let open = descriptors();
        if open <= wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{open} descriptors are open, and there were {wanted}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The resident memory, in bytes.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a VmRSS");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes << 10
}
