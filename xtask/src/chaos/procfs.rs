//! Processes, as `/proc` shows them: which live, what they use, and signals to them.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::clock::Tick;

/// The variable that all processes of a run inherit. Its value is the folder of the run.
pub const MARK: &str = "DORMOUSE_CHAOS";

/// A process: its number and its start time, because numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub born: Tick,
}

/// The part of `/proc/PID/stat` that is used here.
pub struct Stat {
    pub state: char,
    pub parent: u32,
    pub group: u32,
    pub born: Tick,
}

/// Reads `/proc/PID/stat`; `None` if there is no such process.
pub fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, a bracket too.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        born: fields.get(19)?.parse().ok()?,
    })
}

impl Process {
    /// The process that has this number now.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Process { pid, born: stat(pid)?.born })
    }

    /// Whether it still runs, or could: a frozen process lives, a zombie doesn't.
    pub fn lives(self) -> bool {
        stat(self.pid)
            .is_some_and(|stat| stat.born == self.born && !matches!(stat.state, 'Z' | 'X'))
    }

    /// Sends a signal, if the process lives.
    pub fn signal(self, signal: Signal) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return };
        if self.lives() {
            // It may have ended since: then nothing is left to do.
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    pub fn kill(self) {
        self.signal(Signal::KILL);
        self.await_end(Duration::from_secs(5));
    }

    /// Waits until it is gone, but not longer than `limit`; returns whether it is.
    pub fn await_end(self, limit: Duration) -> bool {
        let begin = Instant::now();
        while self.lives() {
            if begin.elapsed() > limit {
                return false;
            }
            sleep(Duration::from_millis(5));
        }
        true
    }

    /// How many descriptors it has open.
    pub fn descriptors(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }

    /// Its resident memory in bytes.
    pub fn memory(self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kibibytes.unwrap_or(0) * 1024
    }
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The processes of this run that live and were started as `xtask chaos ROLE NAME FOLDER …`.
pub fn with_role(role: &str, name: &str, folder: &Path) -> Vec<Process> {
    let wanted = ["chaos", role, name, &folder.to_string_lossy()].map(str::to_owned);
    pids()
        .filter(|pid| {
            let Ok(text) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
            let text = String::from_utf8_lossy(&text);
            text.split('\0').skip(1).take(wanted.len()).eq(wanted.iter().map(String::as_str))
        })
        .filter_map(Process::of)
        .filter(|process| process.lives())
        .collect()
}

/// All processes that inherited the mark of this run, this one not counted.
fn marked(folder: &Path) -> Vec<Process> {
    let mark = format!("{MARK}={}", folder.display());
    pids()
        .filter(|&pid| pid != std::process::id())
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .filter_map(Process::of)
        .filter(|process| process.lives())
        .collect()
}

/// Ends every process of this run. Several rounds, because one may start another meanwhile.
pub fn end_all(folder: &Path) {
    for _ in 0..20 {
        let left = marked(folder);
        if left.is_empty() {
            return;
        }
        for process in &left {
            process.signal(Signal::KILL);
        }
        sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_killed_process_does_not_live_even_before_it_is_reaped() {
        let mut child = Command::new("sleep").arg("10").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        assert!(process.lives());
        assert!(!Process { born: process.born + 1, ..process }.lives());
        process.kill();
        assert!(ends(process));
        child.wait().unwrap();
    }

    /// Whether a process that was killed ends. The kernel needs a moment for that.
    fn ends(process: Process) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while process.lives() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        !process.lives()
    }

    #[test]
    fn what_has_the_mark_is_ended_and_nothing_else() {
        let folder = Path::new("/nowhere/chaos-of-this-test");
        let mut sleeper = Command::new("sleep");
        let mut marked = sleeper.arg("10").env(MARK, folder).spawn().unwrap();
        let mut other = Command::new("sleep").arg("10").spawn().unwrap();
        let process = Process::of(marked.id()).unwrap();
        end_all(folder);
        assert!(ends(process));
        assert!(Process::of(other.id()).unwrap().lives());
        other.kill().unwrap();
        marked.wait().unwrap();
        other.wait().unwrap();
    }
}
