//! Plugins that may reach outside, and mean harm there: commands, sockets, files.

use crate::support::guest::{Guest, RETURNED};

use super::ordeal::Ordeal;
use super::places;

#[test]
fn a_command_that_forks_is_ended_with_all_its_children() {
    // A tree of them, half of which will not hear of an end.
    let script = "grow() {
            if [ $1 -gt 0 ]; then grow $(($1 - 1)) & grow $(($1 - 1)) & fi
            trap '' TERM
            while :; do sleep 1; done
        }
        grow 4";
    let guest = Guest::bare()
        .runs("/bin/sh", &["-c", script], None)
        .lifecycle("(call $run) (call $tell)", "(call $done)");
    let grant = toml::Value::from(vec!["/bin/sh"]);
    let ordeal = Ordeal::new("lifecycle", &guest).allow("exec", grant);
    ordeal.set("start_timeout", "1s").endure(|trial| {
        trial.scene.launch();
        trial.client_is_closed();
        trial.told_once(&["the start call had not returned after 1.0s: the start is given up"]);
        trial.scene.until("the tree is gone", || {
            let all = trial.scene.processes();
            !all.iter().any(|process| process.command.contains("grow"))
        });
    });
}

/// Does something 10,000 times, and answers with the digit of the last result's payload.
fn ten_thousand_times(body: &str) -> String {
    format!(
        "(local $left i32)
         (local.set $left (i32.const 10000))
         (loop $again
            {body}
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))
         (call $fail (i32.const 1) (call $digit (i32.load8_u (i32.const {}))) (i32.const 1))",
        RETURNED + 4
    )
}

const TOO_MANY: &str =
    "the plugin `hostile` wanted more than 256 sockets, files and streams at once in `FUNCTION`";

fn opens_sockets() -> (Guest, String) {
    let make = format!("(call $make_tcp (i32.const 0) (i32.const {RETURNED}))");
    (Guest::bare().makes_tcp_sockets(), ten_thousand_times(&make))
}

#[test]
fn a_plugin_that_opens_10_000_sockets_without_a_grant_opens_none() {
    let (guest, body) = opens_sockets();
    // The last error is `access-denied`.
    let log =
        places::start(guest, &body, "the plugin `hostile`: 1", |ordeal| ordeal.limit("cpu", "1m"));
    let denials = log.iter().filter(|line| line.contains("the plugin wanted to")).count();
    assert_eq!(denials, 1, "{log:?}");
    assert!(log.iter().any(|line| line.contains("10000 denials")), "{log:?}");
}

#[test]
fn a_plugin_that_opens_10_000_sockets_costs_its_own_call() {
    let (guest, body) = opens_sockets();
    places::start(guest, &body, TOO_MANY, |ordeal| {
        ordeal.allow("connect", toml::Value::from(vec!["target"])).limit("cpu", "1m")
    });
}

#[test]
fn a_plugin_that_opens_10_000_files_costs_its_own_call() {
    let guest = Guest::bare().opens("dormouse.toml", 0, 1);
    let body = ten_thousand_times("(drop (call $open))");
    places::start(guest, &body, TOO_MANY, |ordeal| {
        ordeal.allow("read", toml::Value::from(vec!["."])).limit("cpu", "1m")
    });
}
