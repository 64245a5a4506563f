//! Who a process is, beyond its number: numbers are given again to others.

use std::fs;
use std::io;

/// A process, told apart from all others that have had its number since the machine was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its number.
    pub pid: u32,
    /// When it was started, in ticks of the kernel's clock since the machine was started.
    pub started: u64,
}

impl Identity {
    /// The process that has this number.
    ///
    /// # Errors
    ///
    /// If there is none, or `/proc` does not say.
    pub fn of(pid: u32) -> io::Result<Identity> {
        Ok(Identity { pid, started: Stat::of(pid)?.started })
    }

    /// This process.
    ///
    /// # Errors
    ///
    /// If `/proc` does not say.
    pub fn own() -> io::Result<Identity> {
        Self::of(std::process::id())
    }

    /// Whether this process lives. A zombie doesn't.
    pub fn is_alive(self) -> bool {
        Stat::of(self.pid)
            .is_ok_and(|stat| stat.started == self.started && !matches!(stat.state, 'Z' | 'X'))
    }
}

/// The leader of a process group that was started with the variable `name` set to `value`, as far as
/// `/proc` shows: not if it belongs to another user by now.
pub fn leader_with(name: &str, value: &str) -> Option<Identity> {
    let variable = format!("{name}={value}");
    let processes = fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_marked = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|set| set == variable.as_bytes())
    };
    let leads = |pid: &u32| Stat::of(*pid).is_ok_and(|stat| stat.group == Some(*pid));
    // Its children have the variable as well, and may lead groups of their own.
    let found = pids.filter(leads).filter(is_marked).filter_map(|pid| Identity::of(pid).ok());
    found.min_by_key(|found| found.started)
}

/// What the kernel calls the time since the machine was started: another one after each start.
///
/// # Errors
///
/// If `/proc` does not say.
pub fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Some fields of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// `R`, `S`, `Z` and so on.
    state: char,
    /// The process group, if this process can see it.
    group: Option<u32>,
    started: u64,
}

impl Stat {
    fn of(pid: u32) -> io::Result<Stat> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Stat::parse(&stat).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// The third, the fifth and the 22nd field. The second one is the process's name, which may have
    /// spaces and brackets in it.
    fn parse(stat: &str) -> Option<Stat> {
        let (_, from_third) = stat.rsplit_once(") ")?;
        let mut fields = from_third.split(' ');
        let state = fields.next()?.chars().next()?;
        let group = fields.nth(1)?.parse().ok().filter(|group| *group > 0);
        Some(Stat { state, group, started: fields.nth(16)?.parse().ok()? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_process_is_found_whatever_its_name_is() {
        let rest = "S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        let found = Some(Stat { state: 'S', group: Some(2), started: 987_654 });
        assert_eq!(Stat::parse(&format!("7 (sh) {rest}")), found);
        assert_eq!(Stat::parse(&format!("7 (a) b (c) {rest}")), found);
        assert_eq!(Stat::parse("7 (sh) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn a_process_with_the_number_of_another_is_not_that_one() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive());
        assert!(!Identity { started: own.started + 1, ..own }.is_alive());
    }
}
