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
        Stat::of(self.pid).is_ok_and(|stat| stat.started == self.started && !stat.is_dead())
    }
}

/// All processes that were started with the variable `name` set to `value` and live, as far as `/proc`
/// shows.
pub(super) fn marked_with(name: &str, value: &str) -> Vec<Identity> {
    let variable = format!("{name}={value}");
    let marked = pids().filter(|pid| has_variable(*pid, &variable));
    marked.filter_map(|pid| Identity::of(pid).ok().filter(|found| found.is_alive())).collect()
}

/// Whether a process was started with `variable` in its environment.
fn has_variable(pid: u32, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|set| set == variable.as_bytes())
}

/// The leader of a process group that was started with the variable `name` set to `value`, as far as
/// `/proc` shows: not if it belongs to another user by now.
pub fn leader_with(name: &str, value: &str) -> Option<Identity> {
    let variable = format!("{name}={value}");
    let is_marked = |pid: &u32| has_variable(*pid, &variable);
    let leads = |pid: &u32| {
        Stat::of(*pid).is_ok_and(|stat| {
            stat.group == Some(*pid) && stat.session != Some(*pid) && !stat.is_dead()
        })
    };
    // Its children have the variable as well, and may lead groups of their own. A daemon's group is
    // mostly a session, which that of a command never is: a leader of a group can't begin one.
    let found = pids().filter(leads).filter(is_marked).filter_map(|pid| Identity::of(pid).ok());
    found.min_by_key(|found| found.started)
}

/// The zombies that wait for `parent` to reap them, as far as `/proc` shows.
pub(super) fn zombies_of(parent: u32) -> Vec<u32> {
    let waits = |pid: &u32| {
        Stat::of(*pid).is_ok_and(|stat| stat.state == 'Z' && stat.parent == Some(parent))
    };
    pids().filter(waits).collect()
}

/// Whether `/proc` shows processes of this group, and all of them are zombies.
pub(super) fn has_only_zombies(group: u32) -> bool {
    let members = pids().filter_map(|pid| Stat::of(pid).ok());
    let mut members = members.filter(|stat| stat.group == Some(group)).peekable();
    members.peek().is_some() && members.all(|stat| stat.is_dead())
}

/// The numbers of all processes that `/proc` shows.
fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
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
    /// The parent, if this process can see it.
    parent: Option<u32>,
    /// The process group, if this process can see it.
    group: Option<u32>,
    /// The session, if this process can see it.
    session: Option<u32>,
    started: u64,
}

impl Stat {
    fn of(pid: u32) -> io::Result<Stat> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Stat::parse(&stat).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Whether it runs no code any more.
    fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    /// The third to the sixth and the 22nd field. The second one is the process's name, which may have
    /// spaces and brackets in it.
    fn parse(stat: &str) -> Option<Stat> {
        let (_, from_third) = stat.rsplit_once(") ")?;
        let mut fields = from_third.split(' ');
        let state = fields.next()?.chars().next()?;
        let mut number = || Some(fields.next()?.parse().ok().filter(|number| *number > 0));
        let (parent, group, session) = (number()?, number()?, number()?);
        Some(Stat { state, parent, group, session, started: fields.nth(15)?.parse().ok()? })
    }
}

#[cfg(test)]
#[path = "identity/fuzz.rs"]
mod fuzz;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_process_is_found_whatever_its_name_is() {
        let rest = "S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        let found = Some(Stat {
            state: 'S',
            parent: Some(1),
            group: Some(2),
            session: Some(3),
            started: 987_654,
        });
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
