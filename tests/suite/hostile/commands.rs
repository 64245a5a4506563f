//! Plugins that may run a command, and run one that means harm; and sockets.

use crate::support::guest::{Guest, RETURNED};

use super::ordeal::Ordeal;

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

#[test]
fn a_plugin_that_opens_10_000_sockets_without_a_grant_opens_none() {
    // The digit of the last error: `access-denied` is case 1.
    let start = format!(
        "(local $left i32)
         (local.set $left (i32.const 10000))
         (loop $again
            (call $make (i32.const 0) (i32.const {RETURNED}))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))
         (call $fail (i32.const 2) (call $digit (i32.load8_u (i32.const {}))) (i32.const 1))",
        RETURNED + 4
    );
    let guest = Guest::bare().lifecycle(&start, "(call $done)").import(
        "wasi:sockets/tcp-create-socket@0.2.0",
        "create-tcp-socket",
        "make",
        "(param i32 i32)",
    );
    Ordeal::new("lifecycle", &guest).limit("cpu", "1m").endure(|trial| {
        trial.scene.launch();
        trial.client_is_closed();
        trial.told_once(&["the start failed for good", "the plugin `hostile`: 1"]);
    });
}
