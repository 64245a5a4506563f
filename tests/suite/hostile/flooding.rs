//! Plugins that want to fill the disk: the log, and their state.

use crate::support::guest::{Guest, RETURNED};

use super::ordeal::Ordeal;

/// Does something a million times.
fn a_million_times(body: &str) -> String {
    format!(
        "(local $left i32)
         (local.set $left (i32.const 1000000))
         (loop $again
            {body}
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))
         (call $done)"
    )
}

#[test]
fn a_million_log_lines_are_ten_and_one() {
    let mut guest = Guest::bare();
    let line = guest.text("look at me");
    let start = a_million_times(&format!("(call $log (i32.const 1) {line})"));
    let guest = guest.lifecycle(&start, "(call $done)").import(
        "dormouse:plugin/log@0.1.0",
        "write",
        "log",
        "(param i32 i32 i32)",
    );
    let ordeal = Ordeal::new("lifecycle", &guest).limit("log_lines", 10).limit("cpu", "1m");
    let log = ordeal.endure(|trial| {
        trial.scene.launch();
        trial.client_is_served();
        trial.told_once(&["999990 more lines of this plugin were left out", "limits.log_lines"]);
        assert_eq!(trial.times(&["look at me"]), 10);
    });
    let last = log.iter().find(|line| line.contains("what this plugin has done so far"));
    assert!(last.is_some_and(|line| line.contains("999990 lines left out of the log")), "{log:?}");
}

#[test]
fn a_million_lines_on_the_standard_error_are_ten_and_one() {
    // Each write has 4096 lines; 245 of them have a million.
    let mut guest = Guest::bare();
    let lines = guest.text("\n".repeat(4096));
    let start = format!(
        "(local $left i32) (local $stderr i32)
         (local.set $stderr (call $stderr))
         (local.set $left (i32.const 245))
         (loop $again
            (call $print (local.get $stderr) {lines} (i32.const {RETURNED}))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))
         (call $done)"
    );
    let guest = guest
        .lifecycle(&start, "(call $done)")
        .import("wasi:cli/stderr@0.2.0", "get-stderr", "stderr", "(result i32)")
        .import(
            "wasi:io/streams@0.2.0",
            "[method]output-stream.blocking-write-and-flush",
            "print",
            "(param i32 i32 i32 i32)",
        );
    let ordeal = Ordeal::new("lifecycle", &guest).limit("log_lines", 10).limit("cpu", "1m");
    ordeal.endure(|trial| {
        trial.scene.launch();
        trial.client_is_served();
        trial.told_once(&["1003510 more lines of this plugin were left out"]);
    });
}

/// Sets one key after another, each of another name, to a value of this size until one is refused;
/// then it fails.
fn hoarder(size: u32) -> Guest {
    let fine = format!("(i32.eqz (i32.load8_u (i32.const {RETURNED})))");
    let start = format!(
        "(local $number i32)
         (loop $again
            (local.set $number (i32.add (local.get $number) (i32.const 1)))
            ;; Four letters: each has six bits of the number.
            (i32.store (i32.const 1536) (i32.add (i32.const 0x30303030) (i32.or
                (i32.or (i32.and (local.get $number) (i32.const 0x3f))
                    (i32.shl (i32.and (local.get $number) (i32.const 0xfc0)) (i32.const 2)))
                (i32.shl (i32.and (local.get $number) (i32.const 0x3f000)) (i32.const 4)))))
            (call $state_set (i32.const 1536) (i32.const 4) (i32.const 8192) (i32.const {size})
                (i32.const {RETURNED}))
            (br_if $again {fine}))
         (call $done)"
    );
    Guest::bare().lifecycle(&start, "(call $done)").import(
        "dormouse:plugin/state@0.1.0",
        "set",
        "state_set",
        "(param i32 i32 i32 i32 i32)",
    )
}

#[test]
fn a_state_that_grows_without_end_ends_at_its_limit() {
    for size in [0, 4000] {
        let ordeal = Ordeal::new("lifecycle", &hoarder(size));
        let ordeal = ordeal.limit("state", "100KiB").limit("cpu", "1m");
        ordeal.endure(|trial| {
            trial.scene.launch();
            trial.client_is_served();
            trial.told_once(&["keep more than", "limits.state"]);
            let file = trial.scene.path("state").join("plugin+hostile+web.state");
            let length = std::fs::metadata(file).expect("the state").len();
            assert!((10_000..=110_000).contains(&length), "{length} bytes");
        });
    }
}
