//! Starts and stops that go wrong.

use std::time::{Duration, Instant};

use crate::support::proxy::{Ending, Scene};

/// The first back-off is a second, and jitter takes a tenth at most.
const BACKOFF_LEAST: Duration = Duration::from_millis(900);

#[test]
fn rule_8_a_start_that_fails_closes_its_clients_and_the_next_one_waits_for_the_back_off() {
    let scene = Scene::new()
        .hook("start", "[ -e repaired ] || { echo one >&2; echo 'no disk' >&2; exit 3; }; launch");
    let dormouse = scene.run();
    let before = Instant::now();
    let first = scene.client();
    first.send("hello");
    first.expect_end();
    let line = dormouse.await_line("the start failed; the next one begins when a client comes");
    let command = scene.path("start.sh").display().to_string();
    for part in [&command, "status 3", "no disk", "closed=1"] {
        assert!(line.contains(part), "{part} is missing: {line}");
    }
    scene.touch("repaired");
    let second = scene.client();
    second.ask("hello again");
    assert!(before.elapsed() >= BACKOFF_LEAST);
    dormouse.await_line("a client waits: the next start may begin in ");
    assert_eq!(scene.hooks(), ["start client", "start client"]);
}

#[test]
fn rule_8_a_start_that_fails_is_not_tried_again_before_a_client_comes() {
    // By the time that the other service has slept, this one's back-off is over.
    let scene = Scene::new()
        .hook("start", "[ $service = other ] || exit 1; launch")
        .service("other")
        .set_of("other", "cooldown", "1200ms");
    let _dormouse = scene.run();
    let client = scene.client();
    client.expect_end();
    scene.client_of("other").ask("hello");
    scene.until("the other is stopped", || scene.hooks_of("other").len() == 2);
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn rule_8_a_start_hook_that_never_returns_is_ended_with_its_children_undone_and_explained() {
    let scene = Scene::new()
        .set("start_timeout", "1s")
        .set("hold_timeout", "1m")
        .hook("start", "sleep 1000 & sleep 1000");
    let dormouse = scene.run();
    dormouse.await_line("the target is down; waiting for a client");
    let client = scene.client();
    assert_eq!(client.expect_end(), Ending::Closed);
    let line = dormouse.await_line("the start call had not returned after 1.0s");
    assert!(line.contains("A start hook has to return once it has launched the server"), "{line}");
    assert!(line.ends_with("closed=1"), "{line}");
    scene.until("the stop hook is run", || scene.hooks() == ["start client", "stop failed-start"]);
    dormouse.await_line("the target is stopped");
    scene.until("all of the hook is gone", || scene.processes().len() == 1);

    scene.script("start", "launch");
    scene.client().ask("hello");
}

#[test]
fn rule_8_a_target_that_does_not_get_ready_is_stopped() {
    let scene = Scene::new().set("start_timeout", "400ms").hook("start", "launch echo never");
    let dormouse = scene.run();
    assert_eq!(scene.client().expect_end(), Ending::Closed);
    dormouse.await_line("the target was not ready after 400ms");
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.hooks(), ["start client", "stop failed-start"]);
    scene.until("only Dormouse is left", || scene.processes().len() == 1);
}

#[test]
fn rule_8_a_target_that_runs_although_its_start_failed_is_found_and_stopped() {
    let scene = Scene::new()
        .set("cooldown", "200ms")
        .hook("start", "launch; until [ -s web.journal ]; do sleep 0.01; done; exit 1");
    let dormouse = scene.run();
    scene.client().expect_end();
    dormouse.await_line("the target was believed to sleep, and is up");
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.hooks(), ["start client", "stop cooldown"]);
    assert!(!scene.is_up());
}

#[test]
fn rule_9_a_stop_that_fails_is_tried_again_while_the_target_answers() {
    let scene = Scene::new()
        .set("cooldown", "100ms")
        .hook("stop", "[ -e repaired ] || { echo 'no permission' >&2; exit 4; }; halt");
    let dormouse = scene.run();
    scene.client().ask("hello");
    let line = dormouse.await_line("the stop failed; looking whether the target still answers");
    assert!(line.contains("status 4") && line.contains("no permission"), "{line}");
    dormouse.await_line("the target still answers: it counts as up, and the stop is tried again");
    scene.client().ask("you still serve");
    scene.touch("repaired");
    dormouse.await_line("the target is stopped");
    let hooks = scene.hooks();
    assert_eq!(hooks[..3], ["start client", "stop cooldown", "stop cooldown"]);
    assert!(!scene.is_up());
}

#[test]
fn rule_9_a_stop_that_fails_is_not_tried_again_if_the_target_is_down() {
    let scene = Scene::new().set("cooldown", "100ms").hook("stop", "halt; exit 4");
    let dormouse = scene.run();
    scene.client().ask("hello");
    dormouse.await_line("the target does not answer any more: it counts as stopped");
    scene.client().ask("hello again");
    assert_eq!(scene.hooks()[..3], ["start client", "stop cooldown", "start client"]);
}

#[test]
fn rule_9_a_stop_hook_that_never_returns_is_ended_with_its_children() {
    let scene = Scene::new()
        .set("cooldown", "100ms")
        .set("stop_timeout", "400ms")
        .hook("stop", "[ -e repaired ] || { sleep 1000 & sleep 1000; }; halt");
    let dormouse = scene.run();
    scene.client().ask("hello");
    dormouse.await_line("the stop took longer than 400ms and is given up");
    dormouse.await_line("the target still answers");
    scene.until("all of the hook is gone", || {
        !scene.processes().iter().any(|process| process.command.starts_with("sleep 1000"))
    });
    scene.touch("repaired");
    dormouse.await_line("the target is stopped");
}
