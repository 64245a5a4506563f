//! The commands that start nothing: what they print.

#![allow(clippy::expect_used, reason = "a test that fails here should fail loudly")]

use std::process::{Command, Stdio};

use crate::support::command::Folder;

const SCRIPT: &str = "#!/bin/sh\nexit 0\n";

const WEB: &str = r#"
[services.web]
listen = ["0.0.0.0:8080", "[::]:8080"]
target = "192.168.1.5:80"
cooldown = "90s"
hooks = { start = "./start.sh", stop = ["./stop.sh", "--now"], should_wake = "true" }

[services.game]
listen = "0.0.0.0:7777"
target = "game.example.com:7777"
lifecycle = "scripts"

[plugins.scripts]
wasm = "builtin:shell"
settings = { start = "./start.sh", stop = ["./stop.sh", "--now"] }
allow = { exec = ["./start.sh", ["./stop.sh", "--now"]], env = ["HOME"] }
"#;

macro_rules! snapshot {
    ($text:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($text) })
    };
}

/// A folder with a config that is right, and its scripts.
fn good() -> Folder {
    let folder = Folder::with_config(WEB);
    folder.program("start.sh", SCRIPT).program("stop.sh", SCRIPT);
    folder
}

#[test]
fn check_prints_who_decides_what() {
    snapshot!(good().dormouse(&["check"]));
}

#[test]
fn check_prints_how_often_clients_may_wake_the_target_and_what_a_failed_idleness_means() {
    let folder = good();
    let config = std::fs::read_to_string(folder.path().join("dormouse.toml")).expect("a config");
    let config = config.replacen(
        "[services.web]\n",
        "[services.web]\nwakes = { per_hour = 12, per_client_per_hour = 4 }\n\
         on_idleness_error = \"stay\"\n",
        1,
    );
    folder.write("dormouse.toml", config);
    let said = folder.dormouse(&["check"]);
    let expected = "  sleep     the cool-down alone
            the target stays up if that fails
  wakes     at most 12 an hour
            at most 4 an hour by one client
  cooldown  1m 30s
";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn check_says_how_many_clients_fit_and_warns_of_a_service_that_could_hold_more() {
    let folder = good();
    let said = folder.outcome_with_open_files(100_000.min(hard_limit()), "check");
    assert!(said.stdout.contains(" clients fit at once, over all services, with the limit of "));
    assert_eq!(said.stderr, "");
    let said = folder.outcome_with_open_files(100, "check");
    assert_eq!(said.status, Some(0), "it is no error: {said}");
    let count = said.stdout.lines().find_map(|line| {
        line.strip_suffix(
            " clients fit at once, over all services, with the limit of 100 open files here.",
        )
    });
    let count: u32 = count.and_then(|count| count.parse().ok()).expect("a number");
    assert!((5..50).contains(&count), "{count}");
    let expected = format!(
        "`max_held` of service `web` is 4096, and with a limit of 100 open files {count} clients fit"
    );
    assert!(said.stderr.contains(&expected), "{said}");
    assert!(said.stderr.contains("LimitNOFILE="), "{said}");
}

fn hard_limit() -> u32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX)
}

#[test]
fn check_does_not_run_a_hook() {
    let folder = good();
    folder.program("start.sh", "#!/bin/sh\necho > ran\n");
    folder.program("stop.sh", "#!/bin/sh\necho > ran\n");
    let outcome = folder.outcome(&["check"], &[]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(!folder.path().join("ran").exists());
}

#[test]
fn hooks_are_looked_for_beside_the_config_and_not_in_the_working_directory() {
    let folder = good();
    let config = folder.path().join("dormouse.toml");
    let config = config.to_str().expect("UTF-8");
    let outcome = Folder::new().outcome(&["check", "--config", config], &[]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
}

#[test]
fn messages_have_no_colour_in_a_pipe() {
    let outcome = Folder::with_config("x = 1").outcome(&["check"], &[("TERM", "xterm")]);
    assert!(outcome.stderr.contains("unknown key"), "{outcome}");
    assert!(!outcome.stderr.contains('\x1b'), "{outcome}");
}

#[test]
fn the_version_goes_to_stdout() {
    let said = Folder::new().dormouse(&["--version"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        said,
        format!("exit status: 0\n----- stdout -----\ndormouse {version}\n----- stderr -----\n")
    );
}

#[test]
fn help_that_was_asked_for_goes_to_stdout() {
    for arguments in [&["--help"][..], &["-h"], &["run", "--help"], &["plugin", "inspect", "-h"]] {
        let outcome = Folder::new().outcome(arguments, &[]);
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert!(outcome.stdout.contains("Usage: dormouse"), "{outcome}");
        assert!(outcome.stderr.is_empty(), "{outcome}");
    }
}

#[test]
fn there_are_completions_for_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let outcome = Folder::new().outcome(&["completions", shell], &[]);
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert!(outcome.stdout.contains("hook-start-svc"), "{shell}");
        assert!(outcome.stderr.is_empty(), "{outcome}");
    }
}

#[test]
fn completions_for_bash_are_a_script_that_bash_takes() {
    let folder = Folder::new();
    let script = folder.outcome(&["completions", "bash"], &[]).stdout;
    folder.write("completions", script);
    let status = Command::new("bash")
        .args(["-n", "completions"])
        .current_dir(folder.path())
        .status()
        .expect("bash");
    assert!(status.success());
}

#[test]
fn an_unknown_shell_is_told() {
    snapshot!(Folder::new().dormouse(&["completions", "tcsh"]));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_dormouse"))
        .args(["completions", "zsh"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("dormouse");
    assert!(output.status.success(), "{:?}", output.status);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_stderr_that_goes_away_changes_no_exit_status() {
    let folder = Folder::with_config("x = 1");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_dormouse"))
        .arg("check")
        .current_dir(folder.path())
        .stderr(writer)
        .status()
        .expect("dormouse");
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_log_that_can_not_be_written_changes_nothing() {
    let folder = good();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_dormouse"))
        .arg("check")
        .current_dir(folder.path())
        .env("RUST_LOG", "dormouse=loud")
        .stdout(Stdio::null())
        .stderr(writer)
        .status()
        .expect("dormouse");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_wrong_rust_log_is_told_and_ignored() {
    let outcome = good().outcome(&["check"], &[("RUST_LOG", "dormouse=loud")]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(outcome.stderr.contains(" WARN RUST_LOG is ignored: "), "{outcome}");
}

#[test]
fn a_log_in_json_has_an_object_in_each_line() {
    let arguments = ["check", "--log-format", "json"];
    let outcome = good().outcome(&arguments, &[("RUST_LOG", "dormouse=loud")]);
    let line: serde_json::Value = serde_json::from_str(&outcome.stderr).expect("JSON");
    assert_eq!(line["level"], "WARN");
    let message = line["message"].as_str().expect("a message");
    assert!(message.starts_with("RUST_LOG is ignored: "), "{message}");
    let time = line["timestamp"].as_str().expect("a time");
    assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
}
