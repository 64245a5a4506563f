//! A child with its process group, and how both come to an end.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid,
};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Exit;
use super::identity::has_only_zombies;
use super::reaper::{self, Owned};

/// How often a group whose leader has exited is looked at while it is being ended.
const LOOK: Duration = Duration::from_millis(20);

/// How many of these looks come before one at `/proc`, which costs more.
const LOOKS_PER_SCAN: u32 = 10;

/// How long a killed process may take to be gone. Only one that hangs in the kernel takes longer.
const KILLED: Duration = Duration::from_secs(5);

/// The pauses between attempts to execute a file that is open for writing: 100 ms in all. It may be
/// written just now, or another thread has forked while this process wrote it.
const BUSY_PAUSES: [Duration; 9] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(3),
    Duration::from_millis(5),
    Duration::from_millis(8),
    Duration::from_millis(13),
    Duration::from_millis(18),
    Duration::from_millis(25),
    Duration::from_millis(25),
];

/// A child that leads a process group of its own.
///
/// Its number names this group for as long as the leader has not been reaped or anybody else is in
/// it. After that the kernel may give it to strangers, so nothing is signalled then.
pub(super) struct Group {
    leader: Child,
    id: Pid,
    _owned: Owned,
}

impl Group {
    /// Starts `command` as the leader of a new group.
    ///
    /// The kernel returns when it has loaded the program, which may take as long as its file system
    /// likes: so it is asked on a blocking thread.
    pub(super) async fn spawn(mut command: Command) -> io::Result<Self> {
        command.process_group(0);
        let mut pauses = BUSY_PAUSES.into_iter();
        let (leader, owned) = loop {
            let spawning =
                tokio::task::spawn_blocking(move || (reaper::spawn(&mut command), command));
            let (spawned, same) = spawning.await.map_err(io::Error::other)?;
            command = same;
            let pause = match &spawned {
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => pauses.next(),
                Err(_) | Ok(_) => None,
            };
            match pause {
                Some(pause) => sleep(pause).await,
                None => break spawned?,
            }
        };
        let id = leader
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the system gave it no process number"))?;
        Ok(Self { leader, id, _owned: owned })
    }

    /// The pipe to the leader's standard input, if there is one and it is still here.
    pub(super) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.leader.stdin.take()
    }

    /// Waits for the leader's end: of its own accord, or, with its group, after `limit` or once it
    /// is `unwanted`. An end takes at most `grace`, unless there is a `hurry`.
    pub(super) async fn finish(
        &mut self,
        limit: Option<Duration>,
        unwanted: impl Future<Output = ()>,
        grace: Duration,
        hurry: &CancellationToken,
    ) -> io::Result<Exit> {
        let time_is_up = async {
            match limit {
                Some(limit) => sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let is_late = tokio::select! {
            biased;
            status = self.leader.wait() => return status.map(Exit::from),
            () = unwanted => false,
            () = time_is_up => true,
        };
        // If this process was stopped or the machine suspended, the exit and the timer come due at
        // once, and the runtime may hear of the timer first. The kernel says what came first.
        if let Some(status) = self.leader.try_wait()? {
            return Ok(status.into());
        }
        let ended = end_group(self.id, self.leader.wait(), grace, hurry).await;
        // A leader that is not gone is reaped when it comes back; nobody has to wait for that.
        let status = ended.unwrap_or_else(|| Ok(ExitStatus::from_raw(Signal::KILL.as_raw())))?;
        Ok(if is_late { Exit::TimedOut } else { status.into() })
    }

    /// The number of the leader, and of the group.
    pub(super) fn pid(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal to everybody in the group. The leader must not have been waited for.
    pub(super) fn signal(&self, signal: Signal) {
        signal_group(self.id, signal);
    }
}

impl Drop for Group {
    /// For a runtime that ends without a shutdown: the group does not outlive it.
    fn drop(&mut self) {
        let is_reaped = self.leader.id().is_none();
        if !is_reaped {
            self.signal(Signal::KILL);
        }
    }
}

/// Ends a process group, whoever has started it: SIGTERM, and SIGKILL if a process of it lives after
/// `grace`, or when there is a `hurry`. Returns when none lives, with what `leader` returned, which
/// waits for the end of the group's leader.
///
/// A killed process that is still there after [`KILLED`] counts as gone: it hangs in the kernel, and
/// dies before it runs any more of its own code. `None` means that this is the leader.
pub(super) async fn end_group<T>(
    id: Pid,
    leader: impl Future<Output = T>,
    grace: Duration,
    hurry: &CancellationToken,
) -> Option<T> {
    signal_group(id, Signal::TERM);
    // A stopped process (one that wanted the terminal, perhaps) can't act on SIGTERM.
    signal_group(id, Signal::CONT);
    let status = OnceLock::new();
    {
        let mut gone = pin!(async {
            let _ = status.set(leader.await);
            emptied(id).await;
        });
        let in_grace = hurry.run_until_cancelled(timeout(grace, &mut gone)).await;
        if !matches!(in_grace, Some(Ok(()))) {
            signal_group(id, Signal::KILL);
            if timeout(KILLED, gone).await.is_err() {
                let pid = id.as_raw_nonzero().get();
                tracing::warn!(
                    pid,
                    "processes of this group are still there after SIGKILL: they hang in the kernel, \
                     or belong to another user. They are not waited for"
                );
            }
        }
    }
    status.into_inner()
}

/// Sends a signal to everybody in a group.
pub(super) fn signal_group(id: Pid, signal: Signal) {
    // Nobody is there any more, or they belong to another user.
    let _ = kill_process_group(id, signal);
}

/// Waits until no process of a group lives whose leader has ended.
async fn emptied(id: Pid) {
    for look in 1_u32.. {
        // Orphans of the group are ours to reap if Dormouse is the first process of a container;
        // otherwise this does nothing.
        let _ = waitpgid(id, WaitOptions::NOHANG);
        if test_kill_process_group(id) == Err(Errno::SRCH) {
            return;
        }
        // A zombie is in its group until its parent reaps it, and not every parent does.
        if look.is_multiple_of(LOOKS_PER_SCAN) {
            let group = id.as_raw_nonzero().get().unsigned_abs();
            let scan = tokio::task::spawn_blocking(move || has_only_zombies(group));
            if scan.await.unwrap_or(false) {
                return;
            }
        }
        sleep(LOOK).await;
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Status(code),
            (None, Some(signal)) => Exit::Signal(signal),
            // Neither exited nor killed is not an end: the kernel doesn't report it as one.
            (None, None) => Exit::Status(status.into_raw()),
        }
    }
}
