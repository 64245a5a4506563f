//! Ends processes that have left the process group of a command that was cancelled.
//!
//! A start hook may put a server into a session of its own (`setsid`) and wait for it. If the hook is
//! cancelled, its group is ended, and the server is not in it: it would come up, or go on coming up,
//! beside whatever follows. The processes of a start and of a stop have a mark in their environment that
//! no other call has, and are found by it. One that has cleared its environment, or belongs to another
//! user by now, is not found.

use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Identity;
use super::identity::marked_with;

/// How often it is looked whether they have ended.
const LOOK: Duration = Duration::from_millis(100);

/// How long a killed process may take to be gone. Only one that hangs in the kernel takes longer.
const KILLED: Duration = Duration::from_secs(5);

/// Ends all processes that have the variable `name` set to `value`: SIGTERM, and SIGKILL to those that
/// live after `grace`, or when there is a `hurry`. Returns when none lives that can be found.
pub(super) async fn end(
    name: &'static str,
    value: &str,
    grace: Duration,
    hurry: &CancellationToken,
) {
    let began = Instant::now();
    let mut asked: Vec<Identity> = Vec::new();
    loop {
        let value = value.to_owned();
        // `/proc` may be large: not on a thread that others wait for. An error means that the runtime
        // ends.
        let found = tokio::task::spawn_blocking(move || marked_with(name, &value)).await;
        let Ok(found) = found else { return };
        if found.is_empty() {
            return;
        }
        let is_over = began.elapsed() >= grace || hurry.is_cancelled();
        if is_over && began.elapsed() >= grace + KILLED {
            tracing::warn!(
                processes = found.len(),
                "processes of a command that was cancelled are still there after SIGKILL: they hang \
                 in the kernel. They are not waited for"
            );
            return;
        }
        for process in found {
            if is_over {
                signal(process, Signal::KILL);
            } else if !asked.contains(&process) {
                signal(process, Signal::TERM);
                // A stopped process can't act on SIGTERM.
                signal(process, Signal::CONT);
                asked.push(process);
            }
        }
        sleep(LOOK).await;
    }
}

/// Sends a signal to this process, and to no other that has its number by now.
fn signal(process: Identity, signal: Signal) {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return };
    // From here on it is the process that has the number now, whatever becomes of the number.
    let Ok(watched) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if process.is_alive() {
        let _ = pidfd_send_signal(&watched, signal);
    }
}
