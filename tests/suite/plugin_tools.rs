//! `dormouse plugin`: the tools of those who write plugins.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

mod inspect;
mod new;
mod play;
mod scripts;
mod trial;
mod wit;

use crate::support::command::Folder;
use crate::support::guest::Guest;

/// A folder with this guest in `p.wasm`.
fn folder_with(guest: &Guest) -> Folder {
    let folder = Folder::new();
    folder.write("p.wasm", guest.build());
    folder
}

/// A gate that wants five bytes, says how many it has, and then greets and wakes. It logs each
/// time.
fn greeter() -> Guest {
    let mut guest =
        Guest::bare().import("dormouse:plugin/log@0.1.0", "write", "log", "(param i32 i32 i32)");
    let short = guest.text("too short");
    let enough = guest.text("that will do");
    let greeting = guest.text("hello\r\n");
    guest.gate(&format!(
        "(if (result i32) (i32.lt_u (local.get $length) (i32.const 5))
            (then (call $log (i32.const 0) {short})
                (call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1)))
            (else (call $log (i32.const 2) {enough})
                (call $reply {greeting} (i32.const 5) (i32.const 0))))"
    ))
}

/// A lifecycle whose start runs `docker start mc` and fails with what it prints.
fn starter() -> Guest {
    Guest::bare()
        .runs("docker", &["start", "mc"], None)
        .lifecycle("(call $run) (call $tell)", "(unreachable)")
}

/// What a command said, without the figures that differ from run to run.
fn without_figures(told: &str) -> String {
    let mut lines = Vec::new();
    for line in told.lines() {
        let row = |name: &str| line.starts_with(&format!("  {name:<10}"));
        let step = line.starts_with("ok ") || line.starts_with("differs ");
        lines.push(if row("time") {
            "  time      [TIME]".to_owned()
        } else if row("cpu") {
            let (_, of) = line.split_once(" of ").unwrap();
            format!("  cpu       [TIME] of {of}")
        } else if row("memory") {
            let (_, of) = line.split_once(" of ").unwrap();
            format!("  memory    [SIZE] of {of}")
        } else if line.starts_with("  to compile, once") {
            "  to compile, once       [TIME]".to_owned()
        } else if step {
            let (line, _) = line.rsplit_once("  ").unwrap();
            format!("{line}  [TIME]")
        } else {
            line.to_owned()
        });
    }
    lines.join("\n") + "\n"
}

/// Runs `dormouse plugin …`, and gives what it said without figures.
fn plugin(folder: &Folder, arguments: &[&str]) -> String {
    let arguments: Vec<_> = ["plugin"].iter().chain(arguments).collect();
    without_figures(&folder.dormouse(&arguments))
}

/// The exit status of `dormouse plugin …`.
fn status(folder: &Folder, arguments: &[&str]) -> Option<i32> {
    let arguments: Vec<_> = ["plugin"].iter().chain(arguments).collect();
    folder.outcome(&arguments, &[]).status
}
