//! Functions that never end, and functions that always trap.

use crate::support::guest::Guest;

use super::LOOP;
use super::ordeal::Ordeal;
use super::places::{self, as_it_is};

const SPENT: &str = "the plugin `hostile` used up the CPU time of a call (100ms) in `FUNCTION`";

/// What a log says at its end of the one call that looped.
fn counted(log: &[String], faults: &str) {
    let account = "what this plugin has done so far: ";
    let lines: Vec<_> = log.iter().filter(|line| line.contains(account)).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(faults), "{}", lines[0]);
}

#[test]
fn a_start_that_never_ends_costs_its_own_call() {
    let log = places::start(Guest::bare(), LOOP, SPENT, as_it_is);
    counted(&log, "1 call that used up its CPU time");
}

#[test]
fn a_stop_that_never_ends_costs_its_own_call() {
    places::stop(Guest::bare(), LOOP, SPENT, as_it_is);
}

#[test]
fn a_ready_that_never_ends_costs_its_own_calls() {
    places::ready(Guest::bare(), LOOP, SPENT, as_it_is);
}

#[test]
fn a_should_wake_that_never_ends_costs_its_own_call() {
    let log = places::should_wake(Guest::bare(), LOOP, SPENT, as_it_is);
    counted(&log, "1 call that used up its CPU time");
}

#[test]
fn a_should_sleep_that_never_ends_costs_its_own_call() {
    places::should_sleep(Guest::bare(), LOOP, SPENT, as_it_is);
}

#[test]
fn a_plugin_that_traps_in_every_call_is_told_from_the_target() {
    const TRAP: &str = "(unreachable)";
    let guest = Guest::bare().lifecycle(TRAP, TRAP).readiness(TRAP).gate(TRAP).idleness(TRAP);
    let ordeal = Ordeal::new("lifecycle", &guest).set("gate", "hostile").set("cooldown", "100ms");
    let log = ordeal.endure(|trial| {
        trial.scene.launch();
        trial.client_is_closed();
        trial.told_once(&["the gate failed", "crashed in `should-wake`: it gave up with a panic"]);
        trial.told_once(&["the start failed", "crashed in `start`: it gave up with a panic"]);
        trial.told(&["the target was believed to sleep, and is up"]);
        // Awake, without a single answer of the plugin; and never stopped by it.
        trial.client_is_served();
        trial.told_once(&["could not ask whether the target may sleep", "`should-sleep`"]);
        trial.told_once(&["the stop failed", "crashed in `stop`: it gave up with a panic"]);
        trial.told(&["the target still answers: it counts as up"]);
        trial.client_is_served();
    });
    counted(&log, " crashes");
}

#[test]
fn a_ready_that_is_taken_back_while_it_loops_is_nobody_elses_defect() {
    let ordeal = Ordeal::new("readiness", &Guest::bare().readiness(LOOP));
    let ordeal = ordeal.limit("cpu", "1m").limit("call", "3s").set("start_timeout", "500ms");
    let log = ordeal.endure(|trial| {
        trial.client_is_closed();
        trial.told_once(&["the target was not ready after 500ms"]);
    });
    // The look at the boot came first, and took as long as a call may.
    let judged = log.iter().filter(|line| line.contains("readiness can't be judged")).count();
    assert_eq!(judged, 1, "in the start it was asked no more");
}
