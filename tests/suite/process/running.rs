//! What a command is given, and what is said about its end.

use std::fs;
use std::time::Duration;

use dormouse::plugin::process::{Command, Exit, Runner};

use crate::support::process::{in_time, shell, until, zombies_of_ours};

#[tokio::test]
async fn a_status_is_reported() {
    let output = Runner::new().run(shell("exit 7")).await.unwrap();
    assert_eq!(output.exit, Exit::Status(7));
}

#[tokio::test]
async fn a_signal_is_reported() {
    let output = Runner::new().run(shell("kill -9 $$")).await.unwrap();
    assert_eq!(output.exit, Exit::Signal(9));
}

#[tokio::test]
async fn a_program_without_a_slash_is_found_in_path() {
    let command = Command { program: "sh".into(), ..shell("exit 3") };
    assert_eq!(Runner::new().run(command).await.unwrap().exit, Exit::Status(3));
}

#[tokio::test]
async fn the_environment_is_ours_and_what_was_asked_for() {
    let environment = vec![("DORMOUSE_SERVICE".into(), "a b".into())];
    let command = Command { environment, ..shell(r#"printf '%s|%s' "$DORMOUSE_SERVICE" "$PATH""#) };
    let output = Runner::new().run(command).await.unwrap();
    let expected = format!("a b|{}", std::env::var("PATH").unwrap());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[tokio::test]
async fn a_command_reads_what_it_is_given() {
    let stdin: Vec<u8> = (0..=255).collect();
    let command = Command { stdin: Some(stdin.clone()), ..shell("cat") };
    assert_eq!(Runner::new().run(command).await.unwrap().stdout, stdin);
}

#[tokio::test]
async fn a_command_that_is_given_nothing_reads_nothing() {
    let output = in_time("an end of file", Runner::new().run(shell("cat"))).await.unwrap();
    assert_eq!((output.exit, output.stdout), (Exit::Status(0), vec![]));
}

#[tokio::test]
async fn a_command_need_not_read_what_it_is_given() {
    for script in ["exit 5", "exec <&-; exit 5", "(sleep 300) & exit 5"] {
        for length in [64 << 10, 1 << 20] {
            let command = Command { stdin: Some(vec![b'x'; length]), ..shell(script) };
            let output = in_time("the end", Runner::new().run(command)).await.unwrap();
            assert_eq!(output.exit, Exit::Status(5), "{script} with {length} bytes");
        }
    }
}

#[tokio::test]
async fn a_command_leads_a_group_of_its_own() {
    let output = Runner::new().run(shell("echo $$; cut -d ' ' -f 5 /proc/$$/stat")).await.unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let (pid, group) = output.trim_end().split_once('\n').unwrap();
    assert_eq!(pid, group);
}

#[tokio::test]
async fn a_command_starts_with_signals_as_programs_expect_them() {
    // This process ignores SIGPIPE, as every Rust program does.
    let output = Runner::new().run(shell("exec cat /proc/self/status")).await.unwrap();
    let status = String::from_utf8(output.stdout).unwrap();
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    let sigpipe = 1 << (13 - 1);
    assert_eq!(mask("SigIgn:") & sigpipe, 0, "SIGPIPE is not ignored");
    assert_eq!(mask("SigBlk:"), 0, "no signal is blocked");
}

#[tokio::test]
async fn two_hundred_commands_leave_no_zombies_and_no_open_files() {
    let open_files = || fs::read_dir("/proc/self/fd").unwrap().count();
    let runner = Runner::new();
    runner.run(shell("echo warm")).await.unwrap();
    let before = open_files();
    for _ in 0..50 {
        let mut hooks = tokio::task::JoinSet::new();
        for script in ["echo a", "exit 1", "kill -9 $$", "exec sleep 300"] {
            let timeout = script.starts_with("exec").then_some(Duration::from_millis(1));
            let stdin = Some(vec![1; 100]);
            let command = Command { timeout, stdin, ..shell(script) };
            let runner = runner.clone();
            hooks.spawn(async move { runner.run(command).await.unwrap() });
        }
        assert_eq!(hooks.join_all().await.len(), 4);
    }
    until("no zombies", || zombies_of_ours().is_empty()).await;
    // Other tests may run in this process; two hundred leaks would still stand out.
    let growth = open_files().saturating_sub(before);
    assert!(growth < 100, "{growth} more open files than before");
}
