//! The limit of open files: a high one for this process, and for its children the one that it was
//! started with.
//!
//! A server needs as many descriptors as it may have. Its children are other people's programs: some
//! close each descriptor up to their limit before they do anything else, or use `select`, which knows
//! 1,024 of them. That is why systems start programs with a low *soft* limit below a high *hard* one,
//! and why a child must not inherit the raised one.
//!
//! A limit can only be changed in a child between `fork` and `exec`, where a safe function can't
//! promise what Rust wants. So this is a crate of its own, with the one `unsafe` block of Dormouse.

use std::process::Command;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit that this process was started with, once it was raised.
static STARTED_WITH: OnceLock<Rlimit> = OnceLock::new();

/// The limit of open files that this process may raise its own to: its hard limit. `u64::MAX` if there
/// is none.
pub fn most_open_files() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Raises the limit of open files of this process as far as it may be raised, and remembers what it
/// was. Returns what it is now, and `u64::MAX` if there is none: no more than before if the system
/// refuses.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    STARTED_WITH.get_or_init(|| limit);
    // A failure only means fewer files.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Lets `command` begin with the soft limit that this process was started with, if
/// [`raise_open_files`] has changed it. Otherwise nothing is done, and the command is started in the
/// cheaper way that the standard library has for one that changes nothing in the child.
pub fn restore_open_files(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;

    let Some(started_with) = STARTED_WITH.get() else { return };
    let soft = started_with.current;
    if getrlimit(Resource::Nofile).current == soft {
        return;
    }
    let restore = move || {
        let limit = getrlimit(Resource::Nofile);
        // Somebody may have lowered the hard limit since.
        let current = match (soft, limit.maximum) {
            (Some(soft), Some(hard)) => Some(soft.min(hard)),
            (soft, hard) => soft.or(hard),
        };
        setrlimit(Resource::Nofile, Rlimit { current, ..limit })?;
        Ok(())
    };
    // SAFETY: between `fork` and `exec` of a process with several threads, only what is
    // async-signal-safe may be done: nothing that takes a lock or allocates. `restore` makes two
    // system calls on values that it owns, and an error is a number.
    #[allow(unsafe_code, reason = "`pre_exec` is the only way to change a limit in the child")]
    unsafe {
        command.pre_exec(restore);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    /// What the shell says of its limits.
    fn limits_of_a_child() -> String {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo $(ulimit -Sn) $(ulimit -Hn)"]);
        restore_open_files(&mut command);
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn a_child_has_the_limit_that_its_parent_was_started_with() {
        let hard = Some(256);
        setrlimit(Resource::Nofile, Rlimit { current: Some(128), maximum: hard }).unwrap();
        assert_eq!(limits_of_a_child(), "128 256");
        assert_eq!(most_open_files(), 256);
        assert_eq!(raise_open_files(), 256);
        assert_eq!(raise_open_files(), 256, "and it goes on being known what it was");
        assert_eq!(limits_of_a_child(), "128 256");
        setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) }).unwrap();
        assert_eq!(limits_of_a_child(), "64 64");
    }
}
