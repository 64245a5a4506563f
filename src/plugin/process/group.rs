//! A child with its process group, and how both come to an end.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid,
};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Exit;

/// How often a group whose leader has exited is looked at while it is being ended.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// How long a killed process may take to be gone. Only one that hangs in the kernel takes longer.
pub(super) const KILLED: Duration = Duration::from_secs(5);

/// A child that leads a process group of its own.
///
/// Its number names this group for as long as the leader has not been reaped or anybody else is in
/// it. After that the kernel may give it to strangers, so nothing is signalled then.
pub(super) struct Group {
    leader: Child,
    id: Pid,
}

impl Group {
    /// Starts `command` as the leader of a new group.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        let leader = command.process_group(0).spawn()?;
        let id = leader
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the system gave it no process number"))?;
        Ok(Self { leader, id })
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
        unwanted: &CancellationToken,
        grace: Duration,
        hurry: &CancellationToken,
    ) -> io::Result<Exit> {
        let time_is_up = async {
            match limit {
                Some(limit) => sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            status = self.leader.wait() => status.map(Exit::from),
            () = unwanted.cancelled() => self.end(grace, hurry).await.map(Exit::from),
            () = time_is_up => self.end(grace, hurry).await.map(|_| Exit::TimedOut),
        }
    }

    /// Ends the whole group: SIGTERM, and SIGKILL if anybody is left in it after `grace`, or when
    /// there is a `hurry`.
    async fn end(&mut self, grace: Duration, hurry: &CancellationToken) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM);
        // A stopped process (one that wanted the terminal, perhaps) can't act on SIGTERM.
        self.signal(Signal::CONT);
        let everybody = async {
            let status = self.leader.wait().await?;
            while test_kill_process_group(self.id).is_ok() {
                // Orphans of the group are ours to reap if Dormouse is the first process of a
                // container; otherwise this does nothing.
                let _ = waitpgid(self.id, WaitOptions::NOHANG);
                sleep(LOOK).await;
            }
            Ok(status)
        };
        if let Some(Ok(status)) = hurry.run_until_cancelled(timeout(grace, everybody)).await {
            return status;
        }
        self.signal(Signal::KILL);
        match timeout(KILLED, self.leader.wait()).await {
            Ok(status) => status,
            // It is reaped when it comes back; nobody has to wait for that.
            Err(_) => Ok(ExitStatus::from_raw(Signal::KILL.as_raw())),
        }
    }

    /// The number of the leader, and of the group.
    pub(super) fn pid(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal to everybody in the group. The leader must not have been waited for.
    pub(super) fn signal(&self, signal: Signal) {
        // The only error left is that nobody is there any more.
        let _ = kill_process_group(self.id, signal);
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
