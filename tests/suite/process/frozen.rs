//! A Dormouse that is stopped, or on a machine that is suspended, while a command runs.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::process::{until, zombies_of};

/// The time that the call may take: over while Dormouse stands still.
const CALL: Duration = Duration::from_secs(1);

/// Dormouse on an author's bench, which asks a hook once.
fn asking(folder: &Path, script: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_dormouse"))
        .args(["plugin", "try", "builtin:shell", "ready", "--json"])
        .args(["--limits", &format!("call = \"{}ms\"", CALL.as_millis())])
        .args(["--settings", &format!("ready = ['/bin/sh', '-c', '{script}']")])
        .args(["--allow", "exec = ['/bin/sh']"])
        .current_dir(folder)
        // One for all of these tests, so that the shell plugin is compiled once.
        .env("CACHE_DIRECTORY", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
        .env("STATE_DIRECTORY", Path::new(env!("CARGO_TARGET_TMPDIR")).join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_hook_that_has_ended_while_dormouse_stood_still_is_not_late() {
    let folder = tempfile::tempdir().unwrap();
    let script = ": > began; while [ ! -e go ]; do sleep 0.01; done; exit 0";
    let dormouse = asking(folder.path(), script);
    let pid = Pid::from_raw(dormouse.id().try_into().unwrap()).unwrap();
    until("the hook runs", || folder.path().join("began").exists()).await;
    kill_process(pid, Signal::STOP).unwrap();
    std::fs::write(folder.path().join("go"), "").unwrap();
    until("the hook has ended", || !zombies_of(dormouse.id()).is_empty()).await;
    // Time itself is what is waited for.
    tokio::time::sleep(CALL).await;
    kill_process(pid, Signal::CONT).unwrap();
    let output = dormouse.wait_with_output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let answer: serde_json::Value = serde_json::from_str(output.trim()).unwrap();
    assert!(answer["failure"].is_null(), "{answer:#}");
    assert!(!answer["answer"].is_null(), "{answer:#}");
}
