//! The machine: what it is, and what is asked of it for the time of a measurement.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};

/// Ahead of whatever else the machine does.
const NICE: i32 = -10;

/// How much is taken of the limit of open files. A metric of 9,500 connections needs no more.
const FILES: u64 = 262_144;

const AUTOGROUP: &str = "/proc/self/autogroup";

/// The machine that is measured on. Dropping it undoes what others would notice.
pub struct Machine {
    /// Open files that a process may have.
    pub open_files: usize,
    /// Whether all that is measured goes first.
    pub nice: bool,
    pub load_before: String,
    autogroup_before: Option<String>,
}

impl Machine {
    /// Raises limits and priority as far as they go; what is started inherits them.
    pub fn prepare() -> Self {
        let load_before = load_average();
        let limit = getrlimit(Resource::Nofile);
        let most = limit.maximum.unwrap_or(FILES).min(FILES);
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).is_ok();
        let open_files = if raised { Some(most) } else { limit.current }.unwrap_or(FILES);
        let nice = setpriority_process(None, NICE).is_ok();
        let autogroup_before = if nice { raise_autogroup() } else { None };
        let open_files = usize::try_from(open_files).unwrap_or(usize::MAX);
        Machine { open_files, nice, load_before, autogroup_before }
    }

    /// The core for what is measured on one.
    pub fn last_core(&self) -> usize {
        cores() - 1
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(before) = &self.autogroup_before {
            // The kernel forgets it with the session anyway.
            let _ = fs::write(AUTOGROUP, before);
        }
    }
}

/// Where the kernel groups sessions, niceness only counts within one. Returns what it was.
fn raise_autogroup() -> Option<String> {
    let before = fs::read_to_string(AUTOGROUP).ok()?;
    let nice = before.trim().rsplit(' ').next()?.to_owned();
    fs::write(AUTOGROUP, NICE.to_string()).ok()?;
    Some(nice)
}

/// How many cores there are.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The load averages of one, five and fifteen minutes.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Model of the processor, cores, and kernel.
pub fn description() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {} cores, Linux {}", cores(), kernel.trim())
}

/// Today, in UTC.
pub fn date() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    output.map_or_else(
        |_| "unknown date".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
