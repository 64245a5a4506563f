//! One story for each function: how a service fares whose plugin never answers it properly.
//!
//! `guest` has what the `body` of the function needs, and `failure` is what is told of the call, with
//! `FUNCTION` in place of the function's name. Each story ends with a client of the same service that
//! is served.

use std::fs;

use crate::support::guest::{Guest, RETURNED};

use super::ordeal::{NAME, Ordeal, Trial};

const DONE: &str = "(call $done)";

/// What may be changed of an ordeal before it begins.
pub(super) type Change = fn(Ordeal) -> Ordeal;

/// Changes nothing.
pub(super) fn as_it_is(ordeal: Ordeal) -> Ordeal {
    ordeal
}

/// The client is closed. The target, which somebody else has started, is noticed after that.
pub(super) fn start(guest: Guest, body: &str, failure: &str, change: Change) -> Vec<String> {
    let guest = guest.lifecycle(body, DONE);
    change(Ordeal::new("lifecycle", &guest)).endure(|trial| {
        trial.scene.launch();
        trial.client_is_closed();
        once(trial, "the start failed; the next one begins", failure, "start");
        trial.told(&["the target was believed to sleep, and is up"]);
        trial.client_is_served();
    })
}

/// The target still runs, so it counts as up.
pub(super) fn stop(guest: Guest, body: &str, failure: &str, change: Change) -> Vec<String> {
    let guest = guest.lifecycle(DONE, body);
    let ordeal = change(Ordeal::new("lifecycle", &guest)).set("cooldown", "100ms");
    ordeal.endure(|trial| {
        trial.scene.launch();
        trial.client_is_served();
        once(trial, "the stop failed", failure, "stop");
        trial.told(&["the target still answers: it counts as up"]);
        trial.client_is_served();
    })
}

/// It is asked again and again until `start_timeout`, and told of once. Another version of the plugin
/// mends it.
pub(super) fn ready(guest: Guest, body: &str, failure: &str, change: Change) -> Vec<String> {
    let ordeal = change(Ordeal::new("readiness", &guest.readiness(body)));
    ordeal.set("start_timeout", "2s").endure(|trial| {
        trial.client_is_closed();
        once(trial, "readiness can't be judged; asking again", failure, "ready");
        trial.told(&["the target was not ready after 2.0s"]);
        let good = good_judge();
        fs::write(trial.scene.path(&format!("{NAME}.wasm")), good.build()).expect("a file");
        trial.told(&["what stands in it decides from the next call on"]);
        trial.client_is_served();
    })
}

/// A plugin that says that the target is ready when it answers.
fn good_judge() -> Guest {
    Guest::bare()
        .readiness(&format!(
            "(call $probe (i32.const {RETURNED}))
             (if (i32.load8_u (i32.const {RETURNED}))
                (then (return (call $not_yet (i32.const 0) (i32.const 0)))))
             (i32.store8 (i32.const 1032) (i32.const 0))
             (i32.store8 (i32.const 1036) (i32.const 0))
             (call $done)"
        ))
        .import("dormouse:plugin/target@0.1.0", "probe", "probe", "(param i32)")
}

/// The client wakes the target, since `on_gate_error` says so.
pub(super) fn should_wake(guest: Guest, body: &str, failure: &str, change: Change) -> Vec<String> {
    change(Ordeal::new("gate", &guest.gate(body))).endure(|trial| {
        trial.client_is_served();
        once(trial, "the gate failed, so the client wakes the target", failure, "should-wake");
    })
}

/// The target is stopped, since `on_idleness_error` says so, and started for the next client.
pub(super) fn should_sleep(guest: Guest, body: &str, failure: &str, change: Change) -> Vec<String> {
    let ordeal = change(Ordeal::new("idleness", &guest.idleness(body)));
    ordeal.set("cooldown", "100ms").endure(|trial| {
        trial.client_is_served();
        let what = "could not ask whether the target may sleep, so it is stopped";
        once(trial, what, failure, "should-sleep");
        trial.told(&["the target is stopped"]);
        trial.client_is_served();
    })
}

fn once(trial: &Trial<'_>, what: &str, failure: &str, function: &str) {
    let failure = failure.replace("FUNCTION", function);
    trial.told_once(&[what, &failure]);
    // However it is put, this failure is told nowhere else.
    assert_eq!(trial.times(&[&failure]), 1, "{failure}");
}
