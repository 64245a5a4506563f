//! The end of Dormouse: rule 14.

use std::fs;

use rustix::process::Signal;

use crate::support::proxy::{Client, Ending, Scene};

#[test]
fn rule_14_listeners_close_and_open_connections_may_finish() {
    let scene = Scene::new();
    let mut dormouse = scene.run();
    let client = scene.client();
    client.ask("hello");
    dormouse.signal(Signal::TERM);
    dormouse.await_line("SIGTERM: exiting; clients inside have 5s to finish");
    scene.until("nobody listens", || Client::try_connect(scene.listen()).is_err());
    client.ask("let me finish");
    client.finish();
    assert_eq!(client.rest(), (Vec::new(), Ending::Closed));
    assert_eq!(dormouse.await_end().code(), Some(0));
    dormouse.await_line("all done");
    assert!(scene.is_up(), "the target is left as it is");
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn rule_14_connections_that_take_longer_than_drain_are_cut() {
    let scene = Scene::new().set_global("drain", "200ms");
    let mut dormouse = scene.run();
    let client = scene.client();
    client.ask("hello");
    dormouse.signal(Signal::TERM);
    client.expect_end();
    assert_eq!(dormouse.await_end().code(), Some(0));
    dormouse.await_line("`drain` is over: clients are cut off");
    assert!(scene.is_up());
}

#[test]
fn rule_14_held_clients_are_closed_and_running_hooks_ended_with_all_their_children() {
    let scene = Scene::new().hook("start", "sleep 1000 & sleep 1000");
    let mut dormouse = scene.run();
    let held = [scene.client(), scene.client()];
    scene.until("the hook and its children run", || scene.processes().len() == 4);
    dormouse.signal(Signal::INT);
    for client in &held {
        assert_eq!(client.expect_end(), Ending::Closed);
    }
    assert_eq!(dormouse.await_end().code(), Some(0));
    dormouse.await_line("SIGINT: exiting");
    dormouse.await_line("clients that waited are closed: Dormouse exits");
    scene.until("nothing is left", || scene.processes().is_empty());
}

#[test]
fn rule_14_a_hook_that_ignores_sigterm_is_killed() {
    let scene = Scene::new().hook("start", "trap '' TERM; touch deaf; sleep 1000 & wait; wait");
    let mut dormouse = scene.run();
    let _held = scene.client();
    scene.until("the hook is deaf", || scene.path("deaf").exists());
    dormouse.terminate();
    scene.until("nothing is left", || scene.processes().is_empty());
}

#[test]
fn rule_14_with_stop_on_exit_the_target_is_stopped_when_its_clients_have_left() {
    let scene = Scene::new().set("stop_on_exit", true);
    let mut dormouse = scene.run();
    let client = scene.client();
    client.ask("hello");
    dormouse.signal(Signal::TERM);
    dormouse.await_line("SIGTERM: exiting");
    client.ask("let me finish");
    assert_eq!(scene.hooks(), ["start client"]);
    drop(client);
    assert_eq!(dormouse.await_end().code(), Some(0));
    assert_eq!(scene.hooks(), ["start client", "stop exit"]);
    assert!(!scene.is_up());
}

#[test]
fn rule_14_with_stop_on_exit_a_target_that_sleeps_is_left_alone() {
    let scene = Scene::new().set("stop_on_exit", true);
    let mut dormouse = scene.run();
    dormouse.await_line("the target is down; waiting for a client");
    dormouse.terminate();
    assert!(scene.hooks().is_empty());
}

#[test]
fn rule_14_with_stop_on_exit_a_target_that_starts_is_stopped_too() {
    let scene = Scene::new().set("stop_on_exit", true).hook("start", "launch; await_file never");
    let mut dormouse = scene.run();
    let held = scene.client();
    scene.until("the server listens", || scene.is_up());
    dormouse.terminate();
    held.expect_end();
    assert_eq!(scene.hooks(), ["start client", "stop exit"]);
    scene.until("nothing is left", || scene.processes().is_empty());
}

#[test]
fn rule_14_a_signal_that_comes_while_plugins_are_compiled_ends_it_as_well() {
    let scene = Scene::new().set_global("cache_dir", "nothing-yet");
    let mut dormouse = scene.run();
    let held = scene.client();
    dormouse.terminate();
    held.expect_end();
    dormouse.await_line("all done");
    assert!(scene.hooks().is_empty());
}

#[test]
fn rule_14_a_second_signal_ends_at_once() {
    let scene = Scene::new().set_global("drain", "1h");
    let mut dormouse = scene.run();
    let client = scene.client();
    client.ask("hello");
    dormouse.signal(Signal::TERM);
    dormouse.await_line("SIGTERM: exiting");
    client.ask("let me finish");
    dormouse.signal(Signal::INT);
    client.expect_end();
    dormouse.await_end();
    dormouse.await_line("SIGINT again: exiting at once");
}

#[test]
fn rule_14_a_second_signal_leaves_no_hook_behind() {
    let scene = Scene::new().hook("start", "trap '' TERM; touch deaf; sleep 1000 & wait; wait");
    let mut dormouse = scene.run();
    let _held = scene.client();
    scene.until("the hook is deaf", || scene.path("deaf").exists());
    dormouse.signal(Signal::TERM);
    dormouse.await_line("clients that waited are closed");
    dormouse.signal(Signal::TERM);
    dormouse.await_end();
    dormouse.await_line("SIGTERM again: exiting at once");
    scene.until("nothing is left", || scene.processes().is_empty());
}

#[test]
fn a_server_that_keeps_its_hooks_output_is_not_waited_for_and_outlives_dormouse() {
    let printing = "(while :; do echo tick; touch ticked; sleep 0.01; done) & launch";
    let scene = Scene::new().hook("start", printing);
    let mut dormouse = scene.run();
    scene.client().ask("hello");
    let line = dormouse.await_line("tick");
    assert!(line.contains("service=web hook=start"), "{line}");
    dormouse.terminate();
    fs::remove_file(scene.path("ticked")).expect("a file");
    scene.until("it goes on", || scene.path("ticked").exists());
    assert!(scene.is_up());
}

#[test]
fn rule_14_a_stop_that_runs_at_the_exit_may_finish() {
    let scene = Scene::new().set("cooldown", "100ms").hook("stop", "await_file saved; halt");
    let scene = scene.set_global("drain", "100ms");
    let mut dormouse = scene.run();
    scene.client().ask("hello");
    scene.until("the stop hook runs", || scene.hooks().len() == 2);
    dormouse.signal(Signal::TERM);
    dormouse.await_line("the target is being stopped: Dormouse exits when that is done");
    assert!(scene.is_up());
    scene.touch("saved");
    assert!(dormouse.await_end().success());
    assert!(!scene.is_up());
}

#[test]
fn rule_14_a_stop_that_runs_at_the_exit_has_no_more_than_stop_timeout() {
    let scene = Scene::new().set("cooldown", "100ms").hook("stop", "sleep 1000; halt");
    let scene = scene.set("stop_timeout", "500ms");
    let mut dormouse = scene.run();
    scene.client().ask("hello");
    scene.until("the stop hook runs", || scene.hooks().len() == 2);
    dormouse.terminate();
    scene.until("only the target is left", || scene.processes().len() == 1);
    assert!(scene.is_up());
}
