//! Process groups that an earlier Dormouse has started.
//!
//! Their leaders are nobody's children here: the kernel reports their end through a pidfd, but not how
//! they ended.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::group::{end_group, signal_group};
use super::{Identity, Runner};

/// How often a leader is looked at that the kernel can't watch.
const LOOK: Duration = Duration::from_millis(200);

/// A group whose leader lived when it was found.
pub(super) struct Foreign {
    leader: Identity,
    id: Pid,
    /// Becomes readable when the leader has ended. Not there if the kernel has no such thing, or no
    /// descriptor for it.
    watch: Option<AsyncFd<OwnedFd>>,
}

impl Foreign {
    /// The group of a leader, which is watched by the kernel; `None` if the leader has ended.
    ///
    /// # Errors
    ///
    /// If the kernel can't watch it.
    pub(super) fn find(leader: Identity) -> io::Result<Option<Foreign>> {
        let Some(id) = i32::try_from(leader.pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let watch = match pidfd_open(id, PidfdFlags::empty()) {
            Ok(watch) => watch,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Only now: from here on the number is that of the process which is watched.
        if !leader.is_alive() {
            return Ok(None);
        }
        #[allow(deprecated, reason = "its successor is `unsafe`, for others than an `OwnedFd`")]
        let watch = AsyncFd::new(watch)?;
        Ok(Some(Foreign { leader, id, watch: Some(watch) }))
    }

    /// The same, but a leader that the kernel can't watch is looked at again and again.
    fn find_anyhow(leader: Identity) -> Option<Foreign> {
        Foreign::find(leader).unwrap_or_else(|error| {
            tracing::debug!(pid = leader.pid, "the kernel can't watch a process: {error}");
            let id = i32::try_from(leader.pid).ok().and_then(Pid::from_raw)?;
            leader.is_alive().then_some(Foreign { leader, id, watch: None })
        })
    }

    /// Waits until the leader has ended.
    pub(super) async fn ended(&self) {
        match &self.watch {
            // An error means that nothing more is to be heard of it.
            Some(watch) => {
                let _ = watch.readable().await;
            }
            None => {
                while self.leader.is_alive() {
                    sleep(LOOK).await;
                }
            }
        }
    }

    /// Ends the group, and waits until no process of it lives.
    pub(super) async fn end(&self, grace: Duration, hurry: &CancellationToken) {
        end_group(self.id, self.ended(), grace, hurry).await;
    }

    /// Sends a signal to everybody in the group.
    pub(super) fn signal(&self, signal: Signal) {
        // Its number is that of its group for as long as it lives.
        if self.leader.is_alive() {
            signal_group(self.id, signal);
        }
    }
}

impl Runner {
    /// Waits for the end of a command that an earlier Dormouse has started and that nobody here is a
    /// parent of. Once it is `unwanted`, its process group is ended as [`Runner::run`] ends one, and
    /// waited for until no process of it lives. If the leader has ended by itself, whatever is left in
    /// its group is left alone, as after a command of this Dormouse.
    ///
    /// [`Runner::shutdown`] does not end it: this Dormouse has not started it, and whoever waits here
    /// says whether it is wanted. Dropping the future leaves it alone as well, unless its end has
    /// begun: that is carried through in the background, and a shutdown waits for it.
    pub async fn await_foreign(&self, leader: Identity, unwanted: &CancellationToken) {
        let Some(group) = Foreign::find_anyhow(leader) else { return };
        tokio::select! {
            biased;
            () = group.ended() => return,
            () = unwanted.cancelled() => {}
        }
        if !leader.is_alive() {
            return;
        }
        let runner = self.clone();
        let ending = self.spawn(async move { group.end(runner.grace, &runner.hurry).await });
        // An error means that the runtime ends.
        let _ = ending.await;
    }
}
