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
        let (_, started) = state_and_start(pid)?;
        Ok(Identity { pid, started })
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
        state_and_start(self.pid)
            .is_ok_and(|(state, started)| started == self.started && !matches!(state, 'Z' | 'X'))
    }
}

fn state_and_start(pid: u32) -> io::Result<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse(&stat).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// What the kernel calls the time since the machine was started: another one after each start.
///
/// # Errors
///
/// If `/proc` does not say.
pub fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The third and the 22nd field of `/proc/PID/stat`. The second one is the process's name, which may
/// have spaces and brackets in it.
fn parse(stat: &str) -> Option<(char, u64)> {
    let (_, from_third) = stat.rsplit_once(") ")?;
    let mut fields = from_third.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_process_is_found_whatever_its_name_is() {
        let rest = "S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        assert_eq!(parse(&format!("7 (sh) {rest}")), Some(('S', 987_654)));
        assert_eq!(parse(&format!("7 (a) b (c) {rest}")), Some(('S', 987_654)));
        assert_eq!(parse("7 (sh) S 1"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_process_with_the_number_of_another_is_not_that_one() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive());
        assert!(!Identity { started: own.started + 1, ..own }.is_alive());
    }
}
