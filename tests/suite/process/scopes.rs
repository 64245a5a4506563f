//! Scopes: a call is over when its process groups are gone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse::plugin::process::{Exit, Identity, Observer, Runner, Scope};

use crate::support::process::{KillAtEnd, Log, in_time, is_alive, shell, until};

/// Long enough that no test waits for it.
const PATIENT: Duration = Duration::from_secs(600);

const SHORT: Duration = Duration::from_millis(100);

/// Ends at once when it gets SIGTERM, but its child, whose number it prints, takes a while.
const WITH_SLOW_CHILD: &str = r#"
    trap 'exit 0' TERM
    sh -c 'trap "sleep 0.5; exit 0" TERM; echo $$; while :; do sleep 0.01; done' &
    wait"#;

/// No process of it cares for SIGTERM.
const STUBBORN: &str = r#"trap "" TERM; sleep 300 & echo $!; while :; do wait; sleep 1; done"#;

/// What a scope has reported.
#[derive(Default)]
struct Reports {
    started: Mutex<Vec<Identity>>,
    ended: Mutex<Vec<Identity>>,
}

impl Observer for Reports {
    fn started(&self, leader: Identity) {
        self.started.lock().unwrap().push(leader);
    }

    fn ended(&self, leader: Identity) {
        self.ended.lock().unwrap().push(leader);
    }
}

#[tokio::test]
async fn a_scope_has_ended_when_no_process_of_its_groups_lives() {
    for (script, grace) in [(WITH_SLOW_CHILD, PATIENT), (STUBBORN, SHORT)] {
        let log = Log::capture();
        let (runner, scope) = (Runner::with_grace(grace), Scope::default());
        let end = async {
            let child = log.number_in_first_line().await;
            scope.end();
            scope.ended().await;
            assert!(!is_alive(child), "a child is left: {script}");
        };
        in_time("the end", async { tokio::join!(runner.run_in(&scope, shell(script)), end) })
            .await
            .0
            .unwrap();
    }
}

#[tokio::test]
async fn a_command_that_is_dropped_is_counted_until_it_is_gone() {
    let log = Log::capture();
    let (runner, scope) = (Runner::with_grace(PATIENT), Scope::default());
    let child = tokio::select! {
        _ = runner.run_in(&scope, shell(WITH_SLOW_CHILD)) => panic!("it can't end by itself"),
        child = log.number_in_first_line() => child,
    };
    in_time("the end", scope.ended()).await;
    assert!(!is_alive(child));
}

#[tokio::test]
async fn a_command_that_nobody_polls_is_ended_with_its_scope() {
    let log = Log::capture();
    let (runner, scope) = (Runner::with_grace(PATIENT), Scope::default());
    let mut run = Box::pin(runner.run_in(&scope, shell(WITH_SLOW_CHILD)));
    let child = tokio::select! {
        _ = &mut run => panic!("it can't end by itself"),
        child = log.number_in_first_line() => child,
    };
    scope.end();
    in_time("the end", scope.ended()).await;
    assert!(!is_alive(child));
    drop(run);
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_not_in_its_scope() {
    let (runner, scope) = (Runner::with_grace(PATIENT), Scope::default());
    let run = runner.run_in(&scope, shell("sleep 300 >/dev/null 2>&1 & echo $!"));
    let output = in_time("the end of the command", run).await.unwrap();
    let daemon = KillAtEnd(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap());
    scope.end();
    in_time("the end of the scope", scope.ended()).await;
    assert!(is_alive(daemon.0));
}

#[tokio::test]
async fn a_group_in_which_only_a_zombie_is_left_is_gone() {
    // `sleep` is the zombie's parent, and in another group.
    let script = "sh -c 'true & exec setsid sleep 300' > /dev/null 2>&1 & echo $!; wait";
    let mut command = shell(script);
    command.timeout = Some(Duration::from_secs(1));
    let runner = Runner::with_grace(PATIENT);
    let output = in_time("the timeout", runner.run(command)).await.unwrap();
    assert_eq!(output.exit, Exit::TimedOut);
    let parent = KillAtEnd(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap());
    assert!(is_alive(parent.0), "the zombie's parent lives");
}

#[tokio::test]
async fn no_command_is_run_in_a_scope_that_has_ended() {
    let (runner, scope) = (Runner::new(), Scope::default());
    scope.end();
    let error = runner.run_in(&scope, shell("exit 0")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot run `/bin/sh`: the call that it was for is over");
    in_time("the end of the scope", scope.ended()).await;
    assert!(runner.run(shell("exit 0")).await.is_ok(), "others go on");
}

#[tokio::test]
async fn groups_are_reported_when_they_start_and_when_they_are_gone() {
    let log = Log::capture();
    let reports = Arc::new(Reports::default());
    let (runner, scope) = (Runner::new(), Scope::observed_by(Arc::clone(&reports) as _));
    let end = async {
        let pid = log.number_in_first_line().await;
        until("the report", || reports.started.lock().unwrap().len() == 1).await;
        let started = reports.started.lock().unwrap()[0];
        assert_eq!(started, Identity::of(pid).unwrap());
        assert!(reports.ended.lock().unwrap().is_empty());
        scope.end();
        scope.ended().await;
        assert_eq!(*reports.ended.lock().unwrap(), [started]);
        assert!(!is_alive(pid));
    };
    let run = runner.run_in(&scope, shell("echo $$; exec sleep 300"));
    let (output, ()) = in_time("the end", async { tokio::join!(run, end) }).await;
    assert_eq!(output.unwrap().exit, Exit::Signal(15));
}
