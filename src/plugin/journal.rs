//! The process groups of starts and stops as the port has them: noted while they run, and awaited by
//! the next Dormouse if this one has crashed.

use std::io;
use std::sync::{Arc, OnceLock};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::decide::{CALL_VARIABLE, Leftover, ProcessGroup, ProcessJournal};

use super::guest::Worker;
use super::process::{Identity, Observer, boot, leader_with};

/// Notes the process groups of a call in its journal.
pub(super) struct Noted(pub(super) Arc<dyn ProcessJournal>);

impl Observer for Noted {
    fn started(&self, leader: Identity) {
        match group(leader) {
            Ok(group) => self.0.started(&group),
            Err(error) => tracing::debug!(pid = leader.pid, "a command is not noted: {error}"),
        }
    }

    fn ended(&self, leader: Identity) {
        if let Ok(group) = group(leader) {
            self.0.ended(&group);
        }
    }
}

/// The group of a leader of this start of the machine.
fn group(leader: Identity) -> io::Result<ProcessGroup> {
    Ok(ProcessGroup { pid: leader.pid, started: leader.started, boot: this_boot()?.to_owned() })
}

/// The kernel's name for this start of the machine.
fn this_boot() -> io::Result<&'static str> {
    static BOOT: OnceLock<String> = OnceLock::new();
    match BOOT.get() {
        Some(boot) => Ok(boot),
        None => boot().map(|boot| BOOT.get_or_init(|| boot).as_str()),
    }
}

/// Waits until nothing is left of a start or a stop that an earlier Dormouse has ordered; once that
/// is `unwanted`, ends it first. What another start of the machine has left is gone with it, and a
/// command whose leader has ended is over, whatever it has put into the background.
///
/// The exit of Dormouse ends nothing by itself: the service cancels this call if it exits before the
/// leftover has ended.
pub(super) async fn await_leftover(
    worker: &Worker,
    leftover: Leftover,
    unwanted: &CancellationToken,
) {
    let (mark, was_cancelled) = (leftover.mark.clone(), leftover.cancelled);
    // A call that the earlier Dormouse had cancelled is ended at once.
    let unwanted = if was_cancelled { &already_cancelled() } else { unwanted };
    let mut waits = JoinSet::new();
    for leader in leaders(leftover).await {
        let (service, plugin, pid) = (&worker.service.name, &worker.plugin.name, leader.pid);
        tracing::info!(
            service,
            plugin,
            pid,
            "a command of an earlier Dormouse still runs: its end is awaited"
        );
        let (runner, unwanted) = (worker.runner.clone(), unwanted.clone());
        waits.spawn(async move { runner.await_foreign(leader, &unwanted).await });
    }
    while waits.join_next().await.is_some() {}
    if unwanted.is_cancelled() {
        worker.runner.end_marked(CALL_VARIABLE, &mark).await;
    }
}

fn already_cancelled() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}

/// The leaders that still live.
async fn leaders(leftover: Leftover) -> Vec<Identity> {
    let Leftover { mark, groups, cancelled: _ } = leftover;
    if !groups.is_empty() {
        let Ok(boot) = this_boot() else { return Vec::new() };
        let of_this_boot = groups.iter().filter(|group| group.boot == boot);
        let leaders = of_this_boot.map(|group| Identity { pid: group.pid, started: group.started });
        return leaders.filter(|leader| leader.is_alive()).collect();
    }
    if mark.is_empty() {
        return Vec::new();
    }
    // `/proc` may be large: not on a thread that others wait for.
    let looking = tokio::task::spawn_blocking(move || leader_with(CALL_VARIABLE, &mark));
    looking.await.ok().flatten().into_iter().collect()
}
