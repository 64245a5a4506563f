//! Calls that are cancelled, and calls that are late: they answer when nothing runs any more on their
//! behalf. And what an earlier Dormouse has left.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use dormouse::decide::{CALL_VARIABLE, Leftover, ProcessGroup, ProcessJournal};
use dormouse::plugin::process::{Identity, boot};
use rustix::process::{Pid, Signal, kill_process_group};

use super::commands::content;
use super::*;
use crate::support::process::{in_time, is_alive};

/// Writes the number of a child to `$DORMOUSE_FILE`, which takes a while to end when the command has
/// already obeyed SIGTERM.
const WITH_SLOW_CHILD: &str = r#"
    trap 'exit 0' TERM
    sh -c 'trap "sleep 0.5; exit 0" TERM
        echo $$ > "$DORMOUSE_FILE.new"; mv "$DORMOUSE_FILE.new" "$DORMOUSE_FILE"
        while :; do sleep 0.01; done' &
    wait"#;

/// A stage whose plugin runs `script` in every call, and a folder for the script with its `$DORMOUSE_FILE`.
fn running(script: &str) -> (Stage, tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let guest = Guest::bare()
        .runs("/bin/sh", &["-c", script], Some(("DORMOUSE_FILE", file.to_str().unwrap())))
        .lifecycle("(call $run) (call $done)", "(call $run) (call $done)")
        .readiness("(call $run) (call $not_yet (i32.const 0) (i32.const 0))")
        .idleness("(call $run) (call $sleep)");
    let mut stage = Stage::new(&guest.build());
    grant(stage.plugin(), "/bin/sh", None);
    stage.plugin().limits.call = LONG;
    (stage, folder, file)
}

async fn number_in(file: &Path) -> u32 {
    content(file).await.trim().parse().unwrap()
}

#[tokio::test]
async fn a_call_that_is_cancelled_answers_when_its_processes_are_gone() {
    let (stage, _folder, file) = running(WITH_SLOW_CHILD);
    let deciders = stage.deciders().await;
    for call in ["start", "stop", "ready", "should-sleep"] {
        let _ = fs::remove_file(&file);
        let context = CallContext::detached();
        let cancelled = context.cancelled.clone();
        let cancel = async {
            let child = number_in(&file).await;
            cancelled.cancel();
            child
        };
        let (lifecycle, cause) = (&deciders.lifecycle, Cause::Cooldown);
        let answer = async {
            match call {
                "start" => lifecycle.start(cause, LONG, context).await.is_ok(),
                "stop" => lifecycle.stop(cause, LONG, context).await.is_ok(),
                "ready" => deciders.readiness.as_ref().unwrap().ready(1, context).await.is_ok(),
                _ => deciders.idleness.as_ref().unwrap().should_sleep(LONG, context).await.is_ok(),
            }
        };
        let both = async {
            let (answered, child) = tokio::join!(answer, cancel);
            assert!(!is_alive(child), "a child of `{call}` is left");
            answered
        };
        assert!(!in_time("the answer", both).await, "`{call}` was answered");
    }
}

#[tokio::test]
async fn a_call_that_is_late_answers_when_its_processes_are_gone() {
    let (stage, _folder, file) = running(WITH_SLOW_CHILD);
    let deciders = stage.deciders().await;
    let start =
        deciders.lifecycle.start(Cause::Operator, Duration::from_secs(1), CallContext::detached());
    let both = async {
        let (_, child) = tokio::join!(start, number_in(&file));
        assert!(!is_alive(child), "a child is left");
    };
    in_time("the answer", both).await;
}

#[tokio::test]
async fn a_guest_that_computes_runs_no_code_after_its_call_was_cancelled() {
    let mut stage = Stage::new(&starting("(loop $again (br $again)) (unreachable)").build());
    stage.plugin().limits.cpu = LONG;
    let deciders = stage.deciders().await;
    let context = CallContext::detached();
    let cancelled = context.cancelled.clone();
    let cancel = async {
        tokio::task::yield_now().await;
        cancelled.cancel();
    };
    let start = deciders.lifecycle.start(Cause::Operator, LONG, context);
    let (answer, ()) = in_time("the answer", async { tokio::join!(start, cancel) }).await;
    let failure = answer.unwrap_err();
    assert_eq!(failure.message, "`start` of the plugin `p` was cancelled");
}

#[tokio::test]
async fn a_call_that_is_cancelled_before_it_begins_runs_nothing() {
    let (stage, _folder, file) = running(": > \"$DORMOUSE_FILE\"");
    let deciders = stage.deciders().await;
    let context = CallContext::detached();
    context.cancelled.cancel();
    assert!(deciders.lifecycle.start(Cause::Operator, LONG, context).await.is_err());
    assert!(!file.exists());
}

/// What was noted.
#[derive(Default)]
struct Journal {
    started: Mutex<Vec<ProcessGroup>>,
    ended: Mutex<Vec<ProcessGroup>>,
}

impl ProcessJournal for Journal {
    fn mark(&self) -> &str {
        "s/7"
    }

    fn started(&self, group: &ProcessGroup) {
        self.started.lock().unwrap().push(group.clone());
    }

    fn ended(&self, group: &ProcessGroup) {
        self.ended.lock().unwrap().push(group.clone());
    }
}

#[tokio::test]
async fn the_processes_of_a_start_and_a_stop_are_noted_and_marked_and_no_others() {
    let script = "echo \"$$ $DORMOUSE_CALL\" > \"$DORMOUSE_FILE\"";
    let (stage, _folder, file) = running(script);
    let deciders = stage.deciders().await;
    let journal = Arc::new(Journal::default());
    let context = || CallContext { journal: Arc::clone(&journal) as _, ..CallContext::detached() };
    for (number, call) in ["start", "stop"].into_iter().enumerate() {
        let lifecycle = &deciders.lifecycle;
        match call {
            "start" => lifecycle.start(Cause::Operator, LONG, context()).await.unwrap(),
            _ => lifecycle.stop(Cause::Operator, LONG, context()).await.unwrap(),
        }
        let written = fs::read_to_string(&file).unwrap();
        let (pid, mark) = written.trim_end_matches('\n').split_once(' ').unwrap();
        assert_eq!(mark, "s/7", "{call}");
        let noted = journal.started.lock().unwrap()[number].clone();
        assert_eq!((noted.pid.to_string().as_str(), noted.boot), (pid, boot().unwrap()));
        assert_eq!(*journal.started.lock().unwrap(), *journal.ended.lock().unwrap());
    }
    let judge = deciders.readiness.as_ref().unwrap();
    judge.ready(1, context()).await.unwrap();
    let written = fs::read_to_string(&file).unwrap();
    assert_eq!(
        written.trim_end_matches('\n').split_once(' ').unwrap().1,
        "",
        "a question has no mark"
    );
    assert_eq!(journal.started.lock().unwrap().len(), 2, "and is not noted");
}

/// A command that an earlier Dormouse has left.
struct Left(Child);

impl Left {
    fn with_mark(mark: &str) -> Left {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 300 & wait"]).env(CALL_VARIABLE, mark).process_group(0);
        Left(command.stdout(Stdio::null()).spawn().unwrap())
    }

    fn group(&self) -> ProcessGroup {
        let Identity { pid, started } = Identity::of(self.0.id()).unwrap();
        ProcessGroup { pid, started, boot: boot().unwrap() }
    }

    fn is_alive(&self) -> bool {
        is_alive(self.0.id())
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).unwrap();
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
    }
}

/// A mark that no other test has.
fn mark(name: &str) -> String {
    format!("{name}/{}", std::process::id())
}

#[tokio::test]
async fn a_leftover_is_waited_for_and_ended_once_it_is_cancelled() {
    let deciders = Stage::new(&Guest::new().build()).deciders().await;
    let left = Left::with_mark("");
    let leftover = Leftover { groups: vec![left.group()], ..Leftover::default() };
    let context = CallContext::detached();
    let cancelled = context.cancelled.clone();
    let mut wait = deciders.lifecycle.await_leftover(leftover, context);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut wait).await.is_err());
    assert!(left.is_alive());
    cancelled.cancel();
    in_time("its end", wait).await;
    assert!(!left.is_alive());
}

#[tokio::test]
async fn a_leftover_that_was_not_noted_is_found_by_its_mark() {
    let deciders = Stage::new(&Guest::new().build()).deciders().await;
    let left = Left::with_mark(&mark("found"));
    let other = Left::with_mark(&mark("other"));
    let context = CallContext::detached();
    context.cancelled.cancel();
    let leftover = Leftover { mark: mark("found"), ..Leftover::default() };
    in_time("its end", deciders.lifecycle.await_leftover(leftover, context)).await;
    assert!(!left.is_alive());
    assert!(other.is_alive());
}

#[tokio::test]
async fn nothing_is_left_of_another_boot_of_a_dead_leader_and_of_no_mark() {
    let deciders = Stage::new(&Guest::new().build()).deciders().await;
    let left = Left::with_mark("");
    let context = || {
        let context = CallContext::detached();
        context.cancelled.cancel();
        context
    };
    let of_another_boot = ProcessGroup { boot: "another".to_owned(), ..left.group() };
    let another = ProcessGroup { started: left.group().started + 1, ..left.group() };
    for groups in [vec![of_another_boot], vec![another], Vec::new()] {
        let leftover = Leftover { groups, ..Leftover::default() };
        in_time("an answer", deciders.lifecycle.await_leftover(leftover, context())).await;
        assert!(left.is_alive());
    }
}
