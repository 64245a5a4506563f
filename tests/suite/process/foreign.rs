//! Process groups that an earlier Dormouse has left.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dormouse::plugin::process::{Identity, Runner, leader_with};
use tokio_util::sync::CancellationToken;

use crate::support::process::{KillAtEnd, in_time, is_alive, kill};

const SHORT: Duration = Duration::from_millis(100);

/// A group that this runner has not started.
struct Foreign {
    child: Child,
    leader: Identity,
    /// The number that its script has printed first.
    printed: u32,
}

impl Foreign {
    fn start(script: &str) -> Foreign {
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .env("DORMOUSE_TEST_MARK", mark())
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let leader = Identity::of(child.id()).unwrap();
        Foreign { child, leader, printed: line.trim().parse().unwrap() }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        kill(self.printed);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mark() -> String {
    format!("test/{}", std::process::id())
}

#[tokio::test]
async fn a_foreign_command_is_waited_for_and_its_daemon_left_alone() {
    let mut foreign = Foreign::start("sleep 300 >&2 & echo $!; wait");
    let runner = Runner::with_grace(SHORT);
    let unwanted = CancellationToken::new();
    let mut wait = Box::pin(runner.await_foreign(foreign.leader, &unwanted));
    assert!(tokio::time::timeout(SHORT, &mut wait).await.is_err(), "it still runs");
    kill(foreign.leader.pid);
    in_time("its end", wait).await;
    foreign.child.wait().unwrap();
    assert!(is_alive(foreign.printed));
}

#[tokio::test]
async fn an_unwanted_foreign_command_is_ended_with_its_group() {
    for script in [
        "sleep 300 & echo $!; wait",
        r#"trap "" TERM; sleep 300 & echo $!; while :; do wait; sleep 1; done"#,
    ] {
        let foreign = Foreign::start(script);
        let runner = Runner::with_grace(SHORT);
        let unwanted = CancellationToken::new();
        unwanted.cancel();
        in_time("its end", runner.await_foreign(foreign.leader, &unwanted)).await;
        assert!(!foreign.leader.is_alive() && !is_alive(foreign.printed), "{script}");
    }
}

#[tokio::test]
async fn an_end_that_has_begun_is_carried_through_and_a_shutdown_waits_for_it() {
    let foreign = Foreign::start(r#"trap "" TERM; echo $$; while :; do sleep 1; done"#);
    let runner = Runner::with_grace(Duration::from_secs(1));
    let unwanted = CancellationToken::new();
    unwanted.cancel();
    let end = runner.await_foreign(foreign.leader, &unwanted);
    assert!(tokio::time::timeout(SHORT, end).await.is_err(), "it has a grace period");
    in_time("the shutdown", runner.shutdown()).await;
    assert!(!foreign.leader.is_alive());
}

#[tokio::test]
async fn a_foreign_command_that_is_wanted_outlives_a_shutdown_and_a_loss_of_interest() {
    let foreign = Foreign::start("echo $$; exec sleep 300");
    let runner = Runner::with_grace(SHORT);
    let unwanted = CancellationToken::new();
    let mut wait = Box::pin(runner.await_foreign(foreign.leader, &unwanted));
    assert!(tokio::time::timeout(SHORT, &mut wait).await.is_err());
    in_time("the shutdown", runner.shutdown()).await;
    drop(wait);
    assert!(foreign.leader.is_alive());
}

#[tokio::test]
async fn a_process_that_has_the_number_of_a_foreign_command_is_left_alone() {
    let foreign = Foreign::start("echo $$; exec sleep 300");
    let other = Identity { started: foreign.leader.started + 1, ..foreign.leader };
    let unwanted = CancellationToken::new();
    unwanted.cancel();
    in_time("nothing", Runner::new().await_foreign(other, &unwanted)).await;
    assert!(foreign.leader.is_alive());
}

#[tokio::test]
async fn the_leader_with_a_mark_is_the_command_and_not_its_daemon() {
    // The daemon prints its number when it has a session of its own. A look at its session from here
    // would not do: one that began outside of a container has the number 0 in it.
    let daemon = "setsid sh -c 'echo $$; exec sleep 300 >&2' & wait";
    let mut foreign = Foreign::start(daemon);
    let daemon = KillAtEnd(foreign.printed);
    assert_eq!(leader_with("DORMOUSE_TEST_MARK", &mark()), Some(foreign.leader));
    kill(foreign.leader.pid);
    foreign.child.wait().unwrap();
    assert_eq!(leader_with("DORMOUSE_TEST_MARK", &mark()), None);
    assert!(is_alive(daemon.0));
}
