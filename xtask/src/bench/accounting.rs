//! What processes use up, as the kernel counts it in `/proc`.
//!
//! A proxy may have some processes: they are those of the process group that it was started in.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A process, and the fields of its `stat` from the state on.
struct Process {
    id: i32,
    fields: Vec<String>,
}

impl Process {
    fn number(&self, field: usize) -> u64 {
        self.fields.get(field).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// The places of fields, counted from the state on (man proc_pid_stat).
const GROUP: usize = 2;
const CPU_TIMES: std::ops::RangeInclusive<usize> = 11..=14;

fn processes(group: u32) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name may hold anything, a bracket too.
            let (_, rest) = stat.rsplit_once(')')?;
            let fields = rest.split_ascii_whitespace().map(str::to_owned).collect();
            Some(Process { id, fields })
        })
        .filter(|process| process.number(GROUP) == u64::from(group))
        .collect()
}

/// Whether any process of a group is there.
pub fn is_there(group: u32) -> bool {
    !processes(group).is_empty()
}

/// CPU time of a group, that of children that have ended included.
pub fn cpu(group: u32) -> Duration {
    let ticks: u64 = processes(group)
        .iter()
        .flat_map(|process| CPU_TIMES.map(|field| process.number(field)))
        .sum();
    of_ticks(ticks)
}

/// CPU time of the children of this process that have ended.
pub fn cpu_of_ended_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    of_ticks(fields.skip(13).take(2).filter_map(|text| text.parse::<u64>().ok()).sum())
}

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}

/// CPU time that the machine, or one core, spent on anything, or that was taken from it.
pub fn cpu_of_all(core: Option<usize>) -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let name = core.map_or_else(|| "cpu".to_owned(), |core| format!("cpu{core}"));
    let line = stat.lines().find(|line| line.split(' ').next() == Some(&name)).unwrap_or_default();
    // user nice system idle iowait irq softirq steal
    let times = line.split_ascii_whitespace().skip(1).take(8).enumerate();
    let busy = times.filter(|(place, _)| !matches!(place, 3 | 4));
    of_ticks(busy.filter_map(|(_, text)| text.parse::<u64>().ok()).sum())
}

/// Proportional set size of a group, in bytes: shared pages are divided among those who share.
pub fn memory(group: u32) -> u64 {
    processes(group)
        .iter()
        .filter_map(|process| fs::read_to_string(format!("/proc/{}/smaps_rollup", process.id)).ok())
        .filter_map(|rollup| kibibytes(&rollup, "Pss:"))
        .sum::<u64>()
        * 1024
}

/// What sockets and pipes are made of, over the whole machine, in bytes.
pub fn kernel_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kibibytes(&text, "SUnreclaim:").unwrap_or(0) * 1024
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Whether a TCP listener has this port. A connection, to find out, would wake a target.
pub fn is_listening(port: u16) -> bool {
    const LISTENS: &str = "0A";
    let Ok(table) = File::open("/proc/net/tcp") else { return false };
    let end = format!(":{port:04X}");
    BufReader::new(table)
        .lines()
        .skip(1)
        .map_while(Result::ok)
        .map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let local = fields.next().is_some_and(|local| local.ends_with(&end));
            (local, fields.nth(1) == Some(LISTENS))
        })
        // Listening sockets come first: what may be a long table is not read to its end.
        .take_while(|(_, listens)| *listens)
        .any(|(local, _)| local)
}

/// Keeps all threads of some groups on one core until it is dropped.
pub struct KeptOn(Vec<(Pid, CpuSet)>);

impl KeptOn {
    pub fn core(core: usize, groups: &[u32]) -> Self {
        let mut only = CpuSet::new();
        only.set(core);
        let threads = groups.iter().flat_map(|&group| threads(group));
        let before: Vec<_> = threads
            .filter_map(|thread| Some((thread, sched_getaffinity(Some(thread)).ok()?)))
            .collect();
        for (thread, _) in &before {
            // One that has ended needs no core.
            let _ = sched_setaffinity(Some(*thread), &only);
        }
        KeptOn(before)
    }
}

impl Drop for KeptOn {
    fn drop(&mut self) {
        for (thread, cores) in &self.0 {
            let _ = sched_setaffinity(Some(*thread), cores);
        }
    }
}

fn threads(group: u32) -> Vec<Pid> {
    processes(group)
        .iter()
        .filter_map(|process| fs::read_dir(format!("/proc/{}/task", process.id)).ok())
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_seen_without_a_connection_and_is_gone_with_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_listening(port));
        drop(listener);
        assert!(!is_listening(port));
    }

    #[test]
    fn the_machine_is_at_least_as_busy_as_one_of_its_cores() {
        let core = cpu_of_all(Some(0));
        assert!(core > Duration::ZERO);
        assert!(cpu_of_all(None) >= core);
    }
}
