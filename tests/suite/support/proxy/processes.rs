//! Which processes belong to a scene: they have its mark in their environment, which children
//! inherit, so that nothing that a hook has started goes unseen.

use std::fs;

use crate::support::process::is_alive;

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Its program and arguments.
    pub(crate) command: String,
}

/// The processes that have this variable in their environment.
pub(super) fn marked(name: &str, value: &str) -> Vec<Process> {
    let mark = format!("{name}={value}");
    let entries = fs::read_dir("/proc").expect("/proc can be read");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| pid != std::process::id() && is_marked(pid, &mark) && is_alive(pid))
        .map(|pid| Process { pid, command: command(pid) })
        .collect()
}

/// The environment of a process that has just ended, or is another user's, can't be read.
fn is_marked(pid: u32, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
}

fn command(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ").trim().to_owned()
}
