//! Daemons that a hook leaves behind: they keep its output, and nothing may happen to them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use dormouse::plugin::process::{Command, Exit, Runner};

use crate::support::process::{
    KillAtEnd, Log, children_of, children_with, in_time, is_alive, kill, shell, until,
};

/// A hook of `service` that starts a daemon and succeeds, and prints the daemon's number. The
/// daemon prints a line to both streams every 50 ms, and then makes the file `ticks` longer.
fn starts_daemon(service: &str, ticks: &Path) -> Command {
    let script = format!(
        "sh -c 'while :; do echo tick; echo tock >&2; printf . >>\"{}\"; sleep 0.05; done' & echo $!",
        ticks.display()
    );
    Command { service: service.into(), ..shell(&script) }
}

/// A name that no other test and no other run of this one has.
fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// Starts the daemon, and returns it when its hook is over.
async fn start_daemon(runner: &Runner, command: Command) -> KillAtEnd {
    let output = in_time("the end of the hook", runner.run(command)).await.unwrap();
    assert_eq!(output.exit, Exit::Status(0));
    let output = String::from_utf8(output.stdout).unwrap();
    let pid = output.lines().find_map(|line| line.parse().ok());
    KillAtEnd(pid.expect("the hook prints the number of its daemon"))
}

/// Waits until the daemon has printed `count` lines more.
async fn until_more_ticks(ticks: &Path, count: u64) {
    let before = length(ticks);
    until("the daemon goes on", || length(ticks) >= before + count).await;
}

#[tokio::test]
async fn a_hook_is_over_though_its_daemon_holds_its_output_and_goes_on_printing_to_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let ticks = folder.path().join("ticks");
    let log = Log::capture();
    let runner = Runner::new();
    let daemon = start_daemon(&runner, starts_daemon(&unique("over"), &ticks)).await;
    let before = log.lines().len();
    until("lines of the daemon in the log", || log.lines().len() > before + 10).await;
    assert!(is_alive(daemon.0));
}

#[tokio::test]
async fn a_daemon_lives_and_prints_on_after_a_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let ticks = folder.path().join("ticks");
    let runner = Runner::new();
    let daemon = start_daemon(&runner, starts_daemon(&unique("shutdown"), &ticks)).await;
    in_time("the shutdown", runner.shutdown()).await;
    until_more_ticks(&ticks, 20).await;
    assert!(is_alive(daemon.0));
}

#[test]
fn a_daemon_lives_and_prints_on_when_the_runtime_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let ticks = folder.path().join("ticks");
    let service = unique("crash");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dying = runtime();
    let daemon = dying.block_on(async {
        let daemon = start_daemon(&Runner::new(), starts_daemon(&service, &ticks)).await;
        until("a drain for each stream", || children_with(&service).len() == 2).await;
        daemon
    });
    drop(dying);
    runtime().block_on(until_more_ticks(&ticks, 20));
    assert!(is_alive(daemon.0));
}

#[tokio::test]
async fn a_daemon_may_print_more_than_a_pipe_holds_after_a_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let [go, done] = ["go", "done"].map(|name| folder.path().join(name));
    let script = format!(
        "(while [ ! -e '{}' ]; do sleep 0.01; done; head -c 1000000 /dev/zero && touch '{}') &",
        go.display(),
        done.display()
    );
    let runner = Runner::new();
    in_time("the end of the hook", runner.run(shell(&script))).await.unwrap();
    in_time("the shutdown", runner.shutdown()).await;
    fs::write(&go, "").unwrap();
    until("all is printed", || done.exists()).await;
}

#[tokio::test]
async fn a_drain_ends_with_its_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let service = unique("ends");
    let runner = Runner::new();
    let daemon = start_daemon(&runner, starts_daemon(&service, &folder.path().join("ticks"))).await;
    until("a drain for each stream", || children_with(&service).len() == 2).await;
    kill(daemon.0);
    until("no drain", || children_with(&service).is_empty()).await;
}

#[tokio::test]
async fn a_drain_ends_with_its_daemon_after_a_shutdown_too() {
    let folder = tempfile::tempdir().unwrap();
    let ticks = folder.path().join("ticks");
    let service = unique("after");
    let runner = Runner::new();
    let daemon = start_daemon(&runner, starts_daemon(&service, &ticks)).await;
    until("a drain for each stream", || children_with(&service).len() == 2).await;
    let drains = children_with(&service);
    in_time("the shutdown", runner.shutdown()).await;
    until_more_ticks(&ticks, 3).await;
    assert!(drains.iter().all(|&drain| is_alive(drain)));
    kill(daemon.0);
    until("no drain", || !drains.iter().any(|&drain| is_alive(drain))).await;
}

#[tokio::test]
async fn a_daemon_survives_the_loss_of_its_drains() {
    let folder = tempfile::tempdir().unwrap();
    let ticks = folder.path().join("ticks");
    let service = unique("lost");
    let log = Log::capture();
    let runner = Runner::new();
    let daemon = start_daemon(&runner, starts_daemon(&service, &ticks)).await;
    until("a drain for each stream", || children_with(&service).len() == 2).await;
    for drain in children_with(&service) {
        let copiers = children_of(drain);
        kill(drain);
        copiers.into_iter().for_each(kill);
    }
    until_more_ticks(&ticks, 5).await;
    let before = log.lines().len();
    until("lines of the daemon in the log", || log.lines().len() > before + 10).await;
    assert!(is_alive(daemon.0));
}

#[tokio::test]
async fn a_line_that_the_hook_begins_and_its_daemon_completes_is_one_line() {
    let log = Log::capture();
    let runner = Runner::new();
    runner.run(shell("printf 'the hook and '; (sleep 0.1; echo its daemon) &")).await.unwrap();
    until("the line", || log.lines() == ["the hook and its daemon"]).await;
}

#[tokio::test]
async fn a_daemon_in_a_session_of_its_own_survives_the_end_of_its_hook_by_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let ticks = folder.path().join("ticks");
    let Command { arguments, .. } = starts_daemon("unused", &ticks);
    let script = format!("setsid {}; sleep 300", arguments[1]);
    let timeout = Some(Duration::from_secs(1));
    let runner = Runner::new();
    let output = in_time("the timeout", runner.run(Command { timeout, ..shell(&script) })).await;
    let output = output.unwrap();
    assert_eq!(output.exit, Exit::TimedOut);
    let pid = String::from_utf8_lossy(&output.stdout).lines().find_map(|line| line.parse().ok());
    let daemon = KillAtEnd(pid.unwrap());
    in_time("the shutdown", runner.shutdown()).await;
    until_more_ticks(&ticks, 20).await;
    assert!(is_alive(daemon.0));
}
