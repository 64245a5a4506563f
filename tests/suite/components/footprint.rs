//! What a process has of the kernel, as `/proc` shows it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long threads may take to end, and the kernel to take back what they had.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Address space, maps, threads and descriptors of this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footprint {
    /// MiB of addresses.
    addresses: u64,
    maps: usize,
    threads: usize,
    descriptors: usize,
}

impl Footprint {
    /// What this process has now.
    pub(super) fn now() -> Footprint {
        let entries = |folder: &str| fs::read_dir(folder).unwrap().count();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        let kib: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
        Footprint {
            addresses: kib >> 10,
            maps: fs::read_to_string("/proc/self/maps").unwrap().lines().count(),
            threads: entries("/proc/self/task"),
            descriptors: entries("/proc/self/fd"),
        }
    }

    /// Waits until the process has hardly more than this, and fails if it does not come to that. One
    /// memory of a guest that is left behind would be 4 GiB of addresses.
    pub(super) fn is_reached_again(&self, seed: u64) {
        let began = Instant::now();
        loop {
            let now = Footprint::now();
            let is_reached = now.addresses <= self.addresses + 1024
                && now.maps <= self.maps + 100
                && now.threads <= self.threads + 8
                && now.descriptors <= self.descriptors + 8;
            if is_reached {
                return;
            }
            let waited = began.elapsed();
            assert!(
                waited < MAX_WAIT,
                "component {seed} has left behind: {now:?}, before {self:?}"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}
