//! The interface `children`: processes that live on when the call is over.

use std::path::PathBuf;

use dormouse::plugin::Host;
use dormouse::plugin::process::Identity;

use super::*;
use crate::support::process::{Event, KillAtEnd, Log, children_of, in_time, is_alive, until};
use crate::support::reach::code;

/// Cases of `child-signal`.
const TERMINATE: u8 = 0;
const KILL: u8 = 1;
const HANGUP: u8 = 3;

/// Cases of `child-error`.
const ALREADY_RUNNING: u8 = 2;
const NOT_RUNNING: u8 = 3;

/// Cases of `child-status`, and below `ended`: of `some`, `exit`, and its number.
const UNKNOWN: &str = "0";
const RUNNING: &str = "1";

/// Prints what it reads, and `hup` at SIGHUP.
const SCRIPT: &str = "trap 'echo hup' HUP; echo ready; while :; do
    if read line; then echo \"got $line\"; [ \"$line\" = end ] && exit 7; else sleep 0.05; fi; done";

/// A guest that keeps a shell with this script under the name `c`: `start` starts it, `stop` sends
/// the signal, `should-sleep` writes the input, `ready` tells the status.
fn keeping(script: &str, signal: u8, input: &str) -> Guest {
    Guest::bare()
        .keeps("c", "/bin/sh", &["-c", script], signal, input)
        .lifecycle("(call $start_child)", "(call $signal_child)")
        .readiness("(call $child_status)")
        .idleness("(call $write_child)")
}

fn stage(guest: &Guest) -> Stage {
    let mut stage = Stage::new(&guest.build());
    grant(stage.plugin(), "/bin/sh", None);
    stage
}

async fn deciders(host: &Host, stage: &Stage) -> Deciders {
    host.deciders(&stage.config, &stage.config.services[0]).await.unwrap()
}

async fn status(deciders: &Deciders) -> String {
    match ready(deciders).await.unwrap() {
        Readiness::NotYet(status) => status,
        ready => panic!("it is {ready:?}"),
    }
}

async fn ended(deciders: &Deciders) -> String {
    in_time("the end of the child", async {
        loop {
            let status = status(deciders).await;
            if status != RUNNING {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

fn message(answer: Result<(), Failure>) -> String {
    answer.unwrap_err().message.trim_start_matches("the plugin `p`: ").to_owned()
}

/// The number of the child that was started last.
fn pid(log: &Log) -> u32 {
    let started = |event: &Event| event.message() == "a child was started";
    let event = log.events().into_iter().rfind(started).expect("a child was started");
    event.fields["pid"].parse().unwrap()
}

async fn line(log: &Log, line: &str) {
    until(line, || log.lines().iter().any(|seen| seen == line)).await;
}

/// The file in which it is written down who runs.
fn record(stage: &Stage) -> PathBuf {
    stage.config.state_dir.join("plugin+p+s.children")
}

#[tokio::test]
async fn a_child_outlives_its_call_and_prints_to_the_log() {
    let stage = stage(&keeping(SCRIPT, TERMINATE, ""));
    let (host, log) = (stage.host(), Log::capture());
    let deciders = deciders(&host, &stage).await;
    assert_eq!(status(&deciders).await, UNKNOWN);
    start(&deciders).await.unwrap();
    line(&log, "ready").await;
    assert_eq!(status(&deciders).await, RUNNING);
    let events = log.events();
    let printed = events.iter().find(|event| event.message() == "ready").unwrap();
    for (field, value) in [("hook", "c"), ("plugin", "p"), ("service", "s"), ("stream", "output")] {
        assert_eq!(printed.fields[field], value);
    }
    let pid = pid(&log);
    let group = rustix::process::getpgid(rustix::process::Pid::from_raw(pid as i32)).unwrap();
    assert_eq!(group.as_raw_nonzero().get(), pid as i32, "it has a group of its own");
    host.shutdown().await;
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_child_is_written_to_and_its_status_is_known_when_it_has_ended() {
    let stage = stage(&keeping(SCRIPT, TERMINATE, "one\nend\n"));
    let (host, log) = (stage.host(), Log::capture());
    let deciders = deciders(&host, &stage).await;
    start(&deciders).await.unwrap();
    should_sleep(&deciders).await.unwrap();
    line(&log, "got one").await;
    // Ended, some, by itself, with the status 7.
    assert_eq!(ended(&deciders).await, "2107");
    let warned = |event: &Event| {
        event.level == Level::WARN && event.message() == "a child exited with status 7"
    };
    assert!(log.events().iter().any(warned));
    assert_eq!(message(should_sleep(&deciders).await.map(|_| ())), code(NOT_RUNNING));
    assert!(!record(&stage).exists());
    host.shutdown().await;
}

#[tokio::test]
async fn a_signal_reaches_a_child() {
    let stage = stage(&keeping(SCRIPT, HANGUP, ""));
    let (host, log) = (stage.host(), Log::capture());
    let deciders = deciders(&host, &stage).await;
    assert_eq!(message(stop(&deciders).await), code(NOT_RUNNING));
    start(&deciders).await.unwrap();
    line(&log, "ready").await;
    stop(&deciders).await.unwrap();
    line(&log, "hup").await;
    assert_eq!(status(&deciders).await, RUNNING);
    host.shutdown().await;
}

#[tokio::test]
async fn a_signal_reaches_those_that_a_child_has_started() {
    let stage = stage(&keeping("sleep 1000 & echo $!; wait", KILL, ""));
    let (host, log) = (stage.host(), Log::capture());
    let deciders = deciders(&host, &stage).await;
    start(&deciders).await.unwrap();
    let grandchild = log.number_in_first_line().await;
    let _end = KillAtEnd(grandchild);
    stop(&deciders).await.unwrap();
    // Ended, some, by a signal: 9.
    assert_eq!(ended(&deciders).await, "2119");
    until("the end of the child's child", || !is_alive(grandchild)).await;
    host.shutdown().await;
}

#[tokio::test]
async fn there_is_one_child_of_a_name() {
    let stage = stage(&keeping(SCRIPT, TERMINATE, "end\n"));
    let (host, log) = (stage.host(), Log::capture());
    let deciders = deciders(&host, &stage).await;
    start(&deciders).await.unwrap();
    assert_eq!(message(start(&deciders).await), code(ALREADY_RUNNING));
    let first = pid(&log);
    should_sleep(&deciders).await.unwrap();
    ended(&deciders).await;
    start(&deciders).await.unwrap();
    assert_ne!(pid(&log), first);
    assert_eq!(status(&deciders).await, RUNNING);
    host.shutdown().await;
}

#[tokio::test]
async fn a_child_that_is_not_granted_is_denied_and_told_once() {
    let mut stage = stage(&keeping("true", TERMINATE, ""));
    stage.plugin().allow.exec.clear();
    grant(stage.plugin(), "/bin/sh", Some(&["-c", "false"]));
    let told = Told::listen();
    let deciders = stage.deciders().await;
    insta::assert_snapshot!(message(start(&deciders).await), @r#"the config does not let this plugin run ["/bin/sh", "-c", "true"]. To allow it, write this under `[plugins.p.allow]`: exec = [["/bin/sh", "-c", "false"], ["/bin/sh", "-c", "true"]]"#);
    start(&deciders).await.unwrap_err();
    assert_eq!(told.at(Level::WARN).len(), 1);
    assert!(!record(&stage).exists());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error_and_leaves_nothing_behind() {
    let guest = Guest::bare()
        .keeps("c", "/nonesuch", &[], TERMINATE, "")
        .lifecycle("(call $start_child)", "(call $done)");
    let mut stage = Stage::new(&guest.build());
    grant(stage.plugin(), "/nonesuch", None);
    let failure = message(start(&stage.deciders().await).await);
    assert_eq!(failure, "cannot run `/nonesuch`: there is no such file");
    assert!(!record(&stage).exists());
}

#[tokio::test]
async fn names_that_are_no_words_are_refused() {
    for name in ["", "../x", "a b", "\u{1b}[2J", "a\0b", &"x".repeat(65)] {
        let guest = Guest::bare()
            .keeps(name, "/bin/sh", &["-c", "true"], TERMINATE, "")
            .lifecycle("(call $start_child)", "(call $done)");
        let failure = message(start(&stage(&guest).deciders().await).await);
        assert!(failure.contains("can't be the name of a child"), "{failure}");
        assert!(!failure.contains(['\u{1b}', '\0']), "{failure}");
    }
}

#[tokio::test]
async fn there_are_no_more_children_than_the_limit() {
    let mut guest = Guest::bare().keeps("a", "/bin/sh", &["-c", "sleep 1000"], TERMINATE, "");
    let (program, other) = (guest.text("/bin/sh"), guest.text("b"));
    let arguments = guest.strings(&["-c", "sleep 1000"]);
    let guest = guest
        .lifecycle(
            &format!(
                "(drop (call $start_child))
                 (call $children_start {other} {program} {arguments} (i32.const 0) (i32.const 0)
                    (i32.const {RETURNED}))
                 (call $told)"
            ),
            "(call $done)",
        )
        .readiness("(call $child_status)");
    let mut stage = stage(&guest);
    stage.plugin().limits.children = 1;
    let host = stage.host();
    let deciders = deciders(&host, &stage).await;
    let told = Told::listen();
    let failure = message(start(&deciders).await);
    insta::assert_snapshot!(failure, @"1 children run already, and there may not be more (`limits.children`). End one of them first, or raise the limit");
    assert_eq!(
        told.at(Level::WARN),
        [format!("`b` was not started: {failure} plugin=\"p\" service=\"s\"")]
    );
    assert_eq!(status(&deciders).await, RUNNING);
    host.shutdown().await;
}

#[tokio::test]
async fn a_child_that_does_not_read_costs_the_call_that_writes_to_it() {
    let guest = keeping("sleep 1000", TERMINATE, &"x".repeat(60 << 10));
    let mut stage = stage(&guest);
    stage.plugin().limits.call = Duration::from_millis(300);
    let host = stage.host();
    let deciders = deciders(&host, &stage).await;
    start(&deciders).await.unwrap();
    should_sleep(&deciders).await.unwrap();
    let failure = message(should_sleep(&deciders).await.map(|_| ()));
    assert!(failure.starts_with("it did not read its input in time: "), "{failure}");
    assert_eq!(status(&deciders).await, RUNNING);
    host.shutdown().await;
}

#[tokio::test]
async fn a_child_is_ended_with_its_group_when_dormouse_exits() {
    let script = "trap 'echo saved; exit 0' TERM; sleep 1000 & echo $!; wait";
    let stage = stage(&keeping(script, TERMINATE, ""));
    let (host, log) = (stage.host(), Log::capture());
    start(&deciders(&host, &stage).await).await.unwrap();
    let grandchild = log.number_in_first_line().await;
    let _end = KillAtEnd(grandchild);
    host.shutdown().await;
    assert!(!is_alive(pid(&log)));
    assert!(!is_alive(grandchild));
    assert!(log.lines().contains(&"saved".to_owned()), "its last line: {:?}", log.lines());
    assert!(!record(&stage).exists());
    until("the end of all helpers", || {
        let ours = children_of(std::process::id());
        !ours.iter().any(|pid| command_line(*pid).contains("of the hook c of s"))
    })
    .await;
}

fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Starts a child with a host that ends without a word, and gives its number.
async fn crashed(stage: &Stage, log: &Log) -> u32 {
    let host = stage.host();
    start(&deciders(&host, stage).await).await.unwrap();
    line(log, "ready").await;
    pid(log)
}

#[tokio::test]
async fn after_a_crash_a_child_is_found_again_and_ended_on_exit() {
    let stage = stage(&keeping(SCRIPT, HANGUP, "x"));
    let log = Log::capture();
    let pid = crashed(&stage, &log).await;
    let _end = KillAtEnd(pid);

    let host = stage.host();
    let deciders = deciders(&host, &stage).await;
    let found = log.events().into_iter().find(|event| event.message().contains("is taken over"));
    assert_eq!(found.expect("it is told").fields["pid"], pid.to_string());
    assert_eq!(status(&deciders).await, RUNNING);
    assert_eq!(message(start(&deciders).await), code(ALREADY_RUNNING));
    stop(&deciders).await.unwrap();
    line(&log, "hup").await;
    let failure = message(should_sleep(&deciders).await.map(|_| ()));
    assert!(failure.starts_with("it was started before Dormouse was"), "{failure}");
    host.shutdown().await;
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn the_end_of_a_child_that_was_found_again_is_noticed() {
    let stage = stage(&keeping(SCRIPT, KILL, ""));
    let log = Log::capture();
    let pid = crashed(&stage, &log).await;
    let _end = KillAtEnd(pid);
    let host = stage.host();
    let deciders = deciders(&host, &stage).await;
    stop(&deciders).await.unwrap();
    // Ended, nobody knows how.
    assert!(ended(&deciders).await.starts_with("20"));
    assert_eq!(message(stop(&deciders).await), code(NOT_RUNNING));
    host.shutdown().await;
}

/// Writes down a child of an earlier Dormouse.
fn write_record(stage: &Stage, owner: Identity, process: &str) {
    write_trace(stage, owner, &format!(r#""process":{process}"#));
}

/// Writes down a child of an earlier Dormouse, and how it is found.
fn write_trace(stage: &Stage, owner: Identity, trace: &str) {
    let boot = dormouse::plugin::process::boot().unwrap();
    let text = format!(
        r#"{{"version":1,"boot":"{boot}","owner":{{"pid":{},"started":{}}},
            "children":[{{"name":"c",{trace}}}]}}"#,
        owner.pid, owner.started
    );
    fs::create_dir_all(&stage.config.state_dir).unwrap();
    fs::write(record(stage), text).unwrap();
}

/// A process that has nothing to do with Dormouse.
struct Stranger(std::process::Child);

/// A Dormouse that is not there any more.
fn gone() -> Identity {
    Identity { pid: std::process::id(), started: 0 }
}

impl Stranger {
    fn new() -> Stranger {
        Stranger::with_variable("STRANGER", "1")
    }

    fn with_variable(name: &str, value: &str) -> Stranger {
        let mut command = std::process::Command::new("/bin/sleep");
        Stranger(
            std::os::unix::process::CommandExt::process_group(&mut command, 0)
                .arg("1000")
                .env(name, value)
                .spawn()
                .unwrap(),
        )
    }

    fn identity(&self) -> Identity {
        Identity::of(self.0.id()).unwrap()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_number_that_belongs_to_somebody_else_is_left_alone() {
    let stage = stage(&keeping("true", KILL, ""));
    let stranger = Stranger::new();
    let Identity { pid, started } = stranger.identity();
    write_record(&stage, gone(), &format!(r#"{{"pid":{pid},"started":{}}}"#, started - 1));
    let (host, log) = (stage.host(), Log::capture());
    let deciders = deciders(&host, &stage).await;
    assert!(log.events().iter().any(|event| event.message().contains("that is not known")));
    assert!(status(&deciders).await.starts_with("20"));
    assert_eq!(message(stop(&deciders).await), code(NOT_RUNNING));
    host.shutdown().await;
    assert!(is_alive(pid));
}

#[tokio::test]
async fn a_child_that_was_being_started_in_a_crash_is_found_by_its_mark() {
    let stage = stage(&keeping("true", KILL, ""));
    let child = Stranger::with_variable("DORMOUSE_CHILD", "a mark");
    let _other = Stranger::with_variable("DORMOUSE_CHILD", "another mark");
    write_trace(&stage, gone(), r#""mark":"a mark""#);
    let (host, log) = (stage.host(), Log::capture());
    let deciders = deciders(&host, &stage).await;
    let found = log.events().into_iter().find(|event| event.message().contains("is taken over"));
    let pid = child.identity().pid;
    assert_eq!(found.expect("it is told").fields["pid"], pid.to_string());
    assert_eq!(status(&deciders).await, RUNNING);
    host.shutdown().await;
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_child_that_was_being_started_in_a_crash_and_is_not_found_is_reported() {
    let stage = stage(&keeping(SCRIPT, KILL, ""));
    write_trace(&stage, gone(), r#""mark":"a mark that nobody has""#);
    let (host, log) = (stage.host(), Log::capture());
    let deciders = deciders(&host, &stage).await;
    let warned = |event: &Event| {
        event.level == Level::WARN && event.message().contains("is not found. If it runs")
    };
    assert!(log.events().iter().any(warned));
    assert_eq!(status(&deciders).await, UNKNOWN);
    start(&deciders).await.unwrap();
    host.shutdown().await;
}

#[tokio::test]
async fn the_children_of_another_dormouse_that_lives_are_left_to_it() {
    let stage = stage(&keeping(SCRIPT, KILL, ""));
    let (other, child) = (Stranger::new(), Stranger::new());
    let Identity { pid, started } = child.identity();
    write_record(&stage, other.identity(), &format!(r#"{{"pid":{pid},"started":{started}}}"#));
    let before = fs::read(record(&stage)).unwrap();
    let host = stage.host();
    let deciders = deciders(&host, &stage).await;
    let failure = message(start(&deciders).await);
    assert!(failure.starts_with("another Dormouse (process "), "{failure}");
    assert_eq!(message(stop(&deciders).await), code(NOT_RUNNING));
    host.shutdown().await;
    assert!(is_alive(pid));
    assert_eq!(fs::read(record(&stage)).unwrap(), before);
}

#[tokio::test]
async fn a_record_that_is_damaged_is_put_aside_and_told() {
    let stage = stage(&keeping(SCRIPT, KILL, ""));
    fs::create_dir_all(&stage.config.state_dir).unwrap();
    fs::write(record(&stage), "{").unwrap();
    let (host, log) = (stage.host(), Log::capture());
    let deciders = deciders(&host, &stage).await;
    let told = |event: &Event| event.level == Level::ERROR && event.message().contains(".damaged`");
    assert!(log.events().iter().any(told));
    start(&deciders).await.unwrap();
    host.shutdown().await;
}
