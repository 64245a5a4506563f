//! Reaps what hooks leave behind, where Dormouse is the process that has to.
//!
//! The first process of a container becomes the parent of every process that loses its own. A server
//! that a hook has put into the background is such a process: when it ends, it stays a zombie, which
//! counts as alive for `kill -0` and keeps its number, until its parent has waited for it.
//!
//! Waiting for *any* child would also take the exit status of those that Dormouse has started itself
//! and waits for. So every child of Dormouse is started through [`spawn`], which registers it, and
//! only zombies that are not registered are reaped, and only while no child is being started: none can
//! be reaped before it is registered, nor while the standard library waits for one that could not
//! execute its program. Starts don't wait for each other, so one that hangs (its program is on a file
//! system that does) only holds up the reaping.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, child_subreaper, waitpid};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::identity::zombies_of;

/// How often zombies are looked for without a SIGCHLD: one that was still registered at its signal
/// may not be any more.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How often zombies are looked for while a child is being started.
const RETRY: Duration = Duration::from_millis(50);

/// Shared by those who start a child, and held alone while zombies are reaped.
static STARTS: RwLock<()> = RwLock::new(());

/// The children that somebody here waits for. A number counts twice while a new child has the one of a
/// child that was just waited for.
static OWNED: Mutex<BTreeMap<u32, u32>> = Mutex::new(BTreeMap::new());

fn owned() -> MutexGuard<'static, BTreeMap<u32, u32>> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The registration of a child, for as long as somebody may wait for it.
#[derive(Debug)]
pub(in crate::plugin) struct Owned(u32);

impl Drop for Owned {
    fn drop(&mut self) {
        let mut owned = owned();
        if let Some(count) = owned.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                owned.remove(&self.0);
            }
        }
    }
}

/// Starts `command`, and registers its process. It has the limit of open files that Dormouse was
/// started with.
///
/// # Errors
///
/// If it can't be started.
pub(in crate::plugin) fn spawn(command: &mut Command) -> io::Result<(Child, Owned)> {
    dormouse_child_limits::restore_open_files(command.as_std_mut());
    let _starting = STARTS.read().unwrap_or_else(PoisonError::into_inner);
    let child = command.spawn()?;
    // There is a number until the child was waited for.
    let pid = child.id().ok_or_else(|| io::Error::other("the system gave it no process number"))?;
    *owned().entry(pid).or_default() += 1;
    Ok((child, Owned(pid)))
}

/// Whether orphans become children of this process: it is the first one of a container, or a child
/// subreaper.
pub fn is_needed() -> bool {
    std::process::id() == 1 || child_subreaper().is_ok_and(|reaper| reaper.is_some())
}

/// Reaps the orphans of this process as they end, until it is dropped.
pub async fn run() {
    let mut children = match signal(SignalKind::child()) {
        Ok(children) => Some(children),
        Err(error) => {
            tracing::warn!(
                "SIGCHLD can't be received ({error}): zombies are only looked for at times"
            );
            None
        }
    };
    loop {
        // `/proc` may be large: not on a thread that others wait for.
        let pause = match tokio::task::spawn_blocking(reap).await {
            Ok(Reaped::All) => LOOK_AGAIN,
            Ok(Reaped::NoneYet) => RETRY,
            // The runtime ends.
            Err(_) => return,
        };
        let child_has_ended = async {
            match &mut children {
                Some(children) => children.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = child_has_ended => {}
            () = sleep(pause) => {}
        }
    }
}

/// What came of an attempt to reap.
enum Reaped {
    All,
    /// A child is being started.
    NoneYet,
}

/// Reaps the zombies that nobody here waits for.
fn reap() -> Reaped {
    let zombies = zombies_of(std::process::id());
    if zombies.is_empty() {
        return Reaped::All;
    }
    // From here on no number comes to be one of a child that is not registered.
    let _no_starts = match STARTS.try_write() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Reaped::NoneYet,
    };
    for zombie in zombies {
        let Some(pid) = i32::try_from(zombie).ok().and_then(Pid::from_raw) else { continue };
        if !owned().contains_key(&zombie) {
            let reaped = waitpid(Some(pid), WaitOptions::NOHANG);
            tracing::debug!(pid = zombie, "reaped a process that a hook had left: {reaped:?}");
        }
    }
    Reaped::All
}
