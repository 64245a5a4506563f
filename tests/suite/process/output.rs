//! What a command prints: the log, and what is kept.

use std::fs;

use dormouse::plugin::process::{Command, Exit, Runner};

use crate::support::process::{Log, in_time, shell, until};

#[tokio::test]
async fn the_last_bytes_of_each_stream_are_kept() {
    let script = "printf abcdefgh; printf 12345678 >&2";
    let command = Command { output_limit: 4, ..shell(script) };
    let output = Runner::new().run(command).await.unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"efgh"[..], &b"5678"[..]));
}

#[tokio::test]
async fn a_line_is_in_the_log_while_the_hook_still_runs() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let script = format!(
        "echo first; while [ ! -e '{}' ]; do sleep 0.01; done; echo second >&2",
        go.display()
    );
    let log = Log::capture();
    let runner = Runner::new();
    let look = async {
        until("the first line", || log.lines() == ["first"]).await;
        fs::write(&go, "").unwrap();
    };
    let (output, ()) = tokio::join!(runner.run(shell(&script)), look);
    assert_eq!(output.unwrap().exit, Exit::Status(0));
    assert_eq!(log.lines(), ["first", "second"]);
}

#[tokio::test]
async fn a_line_says_who_printed_it() {
    let log = Log::capture();
    Runner::new().run(shell("echo to stdout; sleep 0.01; echo to stderr >&2")).await.unwrap();
    let fields: Vec<_> = log
        .events()
        .iter()
        .filter(|event| event.level == tracing::Level::INFO)
        .map(|event| {
            ["service", "hook", "plugin", "stream", "message"]
                .map(|name| event.fields.get(name).cloned().unwrap_or_default())
        })
        .collect();
    assert!(fields.contains(&["web", "start", "shell", "stdout", "to stdout"].map(String::from)));
    assert!(fields.contains(&["web", "start", "shell", "stderr", "to stderr"].map(String::from)));
    assert_eq!(fields.len(), 2);
}

#[tokio::test]
async fn a_last_line_without_an_end_is_a_line() {
    let log = Log::capture();
    Runner::new().run(shell(r"printf 'one\r\n\ntwo'")).await.unwrap();
    assert_eq!(log.lines(), ["one", "", "two"]);
}

#[tokio::test]
async fn garbage_and_escape_sequences_are_escaped() {
    let log = Log::capture();
    let script = r"printf '\033[2J\033]0;title\007\377\000\303\244\n'";
    let output = Runner::new().run(shell(script)).await.unwrap();
    assert_eq!(log.lines(), [r"\u{1b}[2J\u{1b}]0;title\u{7}\xff\u{0}ä"]);
    assert_eq!(output.stdout, b"\x1b[2J\x1b]0;title\x07\xff\0\xc3\xa4\n");
}

#[tokio::test]
async fn a_line_without_end_is_cut_in_pieces() {
    let log = Log::capture();
    Runner::new().run(shell("head -c 20000 /dev/zero | tr '\\0' x")).await.unwrap();
    let lengths: Vec<_> = log.lines().iter().map(String::len).collect();
    assert_eq!(lengths, [8192, 8192, 3616]);
}

#[tokio::test]
async fn a_character_is_not_cut_in_two() {
    let log = Log::capture();
    Runner::new().run(shell("printf x; yes ä | tr -d '\\n' | head -c 8192")).await.unwrap();
    let lengths: Vec<_> = log.lines().iter().map(String::len).collect();
    assert_eq!(lengths, [8191, 2]);
    assert!(log.lines().iter().all(|line| !line.contains('\\')));
}

#[tokio::test]
async fn a_flood_neither_blocks_nor_fills_memory_nor_the_log() {
    let log = Log::capture();
    let before = resident_kib();
    let flood = shell("yes a line of a flood | head -c 100000000; echo the last one");
    let output = in_time("the end of the flood", Runner::new().run(flood)).await.unwrap();
    let growth = resident_kib().saturating_sub(before);
    assert_eq!(output.exit, Exit::Status(0));
    assert_eq!(output.stdout.len(), 16 << 10);
    assert!(output.stdout.ends_with(b"the last one\n"));
    assert!(growth < 64 << 10, "{growth} KiB more than before");

    let logged = log.lines().len() as u64;
    let left_out: u64 = log
        .events()
        .iter()
        .filter(|event| event.level == tracing::Level::WARN)
        .map(|event| event.message().split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert!(left_out > logged, "{logged} lines logged, {left_out} left out");
    let printed = 100_000_000 / "a line of a flood\n".len() as u64;
    // The flood ends within a line, which the last one completes.
    assert_eq!(logged + left_out, printed + 1);
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
