//! Commands that are ended: with everybody in their group, whatever they do.

use std::time::{Duration, Instant};

use dormouse::plugin::process::{Command, Exit, Runner};

use crate::support::process::{Log, in_time, is_alive, shell, until, zombies_of_ours};

/// Long enough that no test waits for it.
const PATIENT: Duration = Duration::from_secs(600);

const SHORT: Duration = Duration::from_millis(100);

/// Prints the number of a child that has to die with it, and waits.
const WITH_CHILD: &str = "sleep 300 & echo $!; wait";

/// The same, but the child ignores SIGTERM, and the hook ends at once when it gets it.
const WITH_STUBBORN_CHILD: &str = r#"
    trap 'exit 0' TERM
    sh -c 'trap "" TERM; echo $$; while :; do sleep 300; done' &
    wait"#;

/// The same, but nobody cares for SIGTERM.
const STUBBORN: &str = r#"trap "" TERM; sleep 300 & echo $!; while :; do wait; sleep 1; done"#;

fn number(output: &[u8]) -> u32 {
    String::from_utf8_lossy(output).trim().parse().unwrap()
}

#[tokio::test]
async fn a_command_that_outlives_its_timeout_is_ended_with_its_children() {
    let command = Command { timeout: Some(Duration::from_secs(1)), ..shell(WITH_CHILD) };
    let runner = Runner::with_grace(PATIENT);
    let output = in_time("the timeout", runner.run(command)).await.unwrap();
    assert_eq!(output.exit, Exit::TimedOut);
    assert!(!is_alive(number(&output.stdout)));
}

#[tokio::test]
async fn a_command_that_ends_in_time_is_not_touched_by_its_timeout() {
    let command = Command { timeout: Some(PATIENT), ..shell("exit 4") };
    assert_eq!(Runner::new().run(command).await.unwrap().exit, Exit::Status(4));
}

#[tokio::test]
async fn whoever_ignores_sigterm_is_killed_after_the_grace_period() {
    let command = Command { timeout: Some(Duration::from_secs(1)), ..shell(STUBBORN) };
    let begin = Instant::now();
    let output = in_time("the timeout", Runner::with_grace(SHORT).run(command)).await.unwrap();
    assert_eq!(output.exit, Exit::TimedOut);
    assert!(begin.elapsed() >= Duration::from_secs(1) + SHORT, "the grace period was granted");
    let child = number(&output.stdout);
    until("the child's end", || !is_alive(child)).await;
}

#[tokio::test]
async fn a_kill_cuts_the_grace_period_short() {
    let log = Log::capture();
    let runner = Runner::with_grace(PATIENT);
    let end = async {
        let child = log.number_in_first_line().await;
        let grace = tokio::time::timeout(SHORT, runner.shutdown()).await;
        assert!(grace.is_err(), "nobody cares for SIGTERM");
        runner.kill().await;
        child
    };
    let (output, child) =
        in_time("the end", async { tokio::join!(runner.run(shell(STUBBORN)), end) }).await;
    assert_eq!(output.unwrap().exit, Exit::Signal(9));
    until("the child's end", || !is_alive(child)).await;
}

#[tokio::test]
async fn a_stubborn_child_is_killed_though_its_hook_has_gone() {
    let log = Log::capture();
    let runner = Runner::with_grace(SHORT);
    let end = async {
        let child = log.number_in_first_line().await;
        runner.shutdown().await;
        child
    };
    let (output, child) =
        in_time("the end", async { tokio::join!(runner.run(shell(WITH_STUBBORN_CHILD)), end) })
            .await;
    assert_eq!(output.unwrap().exit, Exit::Status(0), "the hook itself has obeyed");
    until("the child's end", || !is_alive(child)).await;
}

#[tokio::test]
async fn a_stopped_command_gets_to_act_on_sigterm() {
    let script = "trap 'echo goodbye; exit 0' TERM; kill -STOP $$; sleep 300";
    let command = Command { timeout: Some(Duration::from_secs(1)), ..shell(script) };
    let runner = Runner::with_grace(PATIENT);
    let output = in_time("the timeout", runner.run(command)).await.unwrap();
    assert_eq!((output.exit, output.stdout.as_slice()), (Exit::TimedOut, &b"goodbye\n"[..]));
}

#[tokio::test]
async fn a_command_that_nobody_waits_for_is_ended_with_its_children() {
    let log = Log::capture();
    let runner = Runner::with_grace(PATIENT);
    let run = runner.run(shell(WITH_CHILD));
    let child = tokio::select! {
        _ = run => panic!("the command can't end by itself"),
        child = log.number_in_first_line() => child,
    };
    until("the child's end", || !is_alive(child)).await;
    until("no zombies", || zombies_of_ours().is_empty()).await;
}

#[tokio::test]
async fn a_shutdown_ends_all_commands_and_waits_for_them() {
    let log = Log::capture();
    let runner = Runner::with_grace(PATIENT);
    let end = async {
        until("both lines", || log.lines().len() == 2).await;
        runner.clone().shutdown().await;
        log.lines().iter().filter(|pid| is_alive(pid.parse().unwrap())).count()
    };
    let (one, two, alive) = in_time("the end", async {
        tokio::join!(runner.run(shell(WITH_CHILD)), runner.run(shell(WITH_CHILD)), end)
    })
    .await;
    assert_eq!((one.unwrap().exit, two.unwrap().exit), (Exit::Signal(15), Exit::Signal(15)));
    assert_eq!(alive, 0);
}

#[tokio::test]
async fn a_shutdown_waits_for_commands_that_nobody_waits_for() {
    let log = Log::capture();
    let runner = Runner::with_grace(SHORT);
    let run = runner.run(shell(STUBBORN));
    let child = tokio::select! {
        _ = run => panic!("the command can't end by itself"),
        child = log.number_in_first_line() => child,
    };
    in_time("the shutdown", runner.shutdown()).await;
    until("the child's end", || !is_alive(child)).await;
    until("no zombies", || zombies_of_ours().is_empty()).await;
}

#[tokio::test]
async fn no_command_is_run_after_a_shutdown() {
    let runner = Runner::new();
    runner.shutdown().await;
    let error = runner.run(shell("exit 0")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot run `/bin/sh`: Dormouse is shutting down");
}

#[test]
fn a_runtime_that_ends_without_a_shutdown_leaves_no_command_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let child = runtime.block_on(async {
        let log = Log::capture();
        let run = tokio::spawn(async { Runner::new().run(shell(WITH_CHILD)).await });
        let child = log.number_in_first_line().await;
        assert!(!run.is_finished());
        child
    });
    assert!(is_alive(child));
    drop(runtime);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(until("the child's end", || !is_alive(child)));
}
