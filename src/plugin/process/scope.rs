//! The process groups that run on behalf of one call, and the wait for their end.
//!
//! A call that is cancelled, late or trapped has not ended while one of its commands lives. So each
//! call has a [`Scope`]: the runner counts the call's process groups in it, [`Scope::end`] ends them,
//! and [`Scope::ended`] waits until none is left.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Identity;

/// Is notified of the process groups of a [`Scope`].
pub trait Observer: Send + Sync {
    /// A group was started, with this leader.
    fn started(&self, leader: Identity);
    /// The leader has ended by itself, or no process of the group lives any more.
    fn ended(&self, leader: Identity);
}

/// The process groups that run on behalf of one call. Clones share them.
///
/// Dropping it ends nothing.
#[derive(Clone, Default)]
pub struct Scope {
    running: TaskTracker,
    unwanted: CancellationToken,
    observer: Option<Arc<dyn Observer>>,
}

impl Scope {
    /// A scope without process groups, whose groups are reported to `observer`.
    pub fn observed_by(observer: Arc<dyn Observer>) -> Scope {
        Scope { observer: Some(observer), ..Scope::default() }
    }

    /// Ends all process groups, in the background: SIGTERM, and SIGKILL after the grace period. From
    /// here on, commands are refused.
    pub fn end(&self) {
        self.unwanted.cancel();
    }

    /// Waits until no process group runs.
    pub async fn ended(&self) {
        // Only a closed tracker reports that it is empty. It still takes new tokens.
        self.running.close();
        self.running.wait().await;
    }

    /// Cancelled by [`Scope::end`].
    pub(super) fn unwanted(&self) -> &CancellationToken {
        &self.unwanted
    }

    /// Counts a process group that is about to be started.
    pub(in crate::plugin) fn enter(&self) -> Member {
        Member { _counted: self.running.token(), observer: self.observer.clone(), leader: None }
    }
}

/// A process group of a scope. It is counted until this is dropped.
pub(in crate::plugin) struct Member {
    _counted: TaskTrackerToken,
    observer: Option<Arc<dyn Observer>>,
    /// The leader, once it is started and if `/proc` shows it.
    leader: Option<Identity>,
}

impl Member {
    /// The group was started; `pid` is its leader, which nobody has waited for yet.
    pub(super) fn started(&mut self, pid: u32) {
        let Some(observer) = &self.observer else { return };
        match Identity::of(pid) {
            Ok(leader) => {
                observer.started(leader);
                self.leader = Some(leader);
            }
            Err(error) => tracing::debug!(pid, "a command is not noted: {error}"),
        }
    }

    /// The leader has ended by itself, or the group is gone.
    pub(super) fn ended(self) {
        if let (Some(observer), Some(leader)) = (&self.observer, self.leader) {
            observer.ended(leader);
        }
    }
}
