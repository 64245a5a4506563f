//! Targets whose clients have left.

use std::time::{Duration, Instant};

use crate::support::guest::Guest;
use crate::support::proxy::Scene;

#[test]
fn rule_5_a_target_is_stopped_after_the_cool_down() {
    let scene = Scene::new().set("cooldown", "300ms");
    let dormouse = scene.run();
    let client = scene.client();
    client.ask("hello");
    let left = Instant::now();
    drop(client);
    scene.until("the stop hook runs", || scene.hooks() == ["start client", "stop cooldown"]);
    assert!(left.elapsed() >= Duration::from_millis(300));
    dormouse.await_line("no client is left; the target is stopped in ");
    dormouse.await_line("the target is stopped");
    assert!(!scene.is_up());
}

#[test]
fn rule_5_a_target_is_not_stopped_under_a_silent_client() {
    // When the other service has slept through its cool-down, five of this one's have passed.
    let scene =
        Scene::new().set("cooldown", "100ms").service("other").set_of("other", "cooldown", "500ms");
    let dormouse = scene.run();
    let silent = scene.client();
    silent.ask("hello");
    scene.client_of("other").ask("hello");
    scene.until("the other is stopped", || scene.hooks_of("other").len() == 2);
    assert_eq!(scene.hooks(), ["start client"]);
    silent.ask("still there?");
    drop(silent);
    dormouse.await_line("the target is stopped");
    scene.until("the stop hook runs", || scene.hooks() == ["start client", "stop cooldown"]);
}

#[test]
fn rule_5_a_client_in_the_cool_down_ends_it() {
    let cooldown = Duration::from_secs(2);
    let scene = Scene::new().set("cooldown", "2s");
    let dormouse = scene.run();
    scene.client().ask("hello");
    dormouse.await_line("no client is left; the target is stopped in ");
    let client = scene.client();
    client.ask("hello again");
    let left = Instant::now();
    drop(client);
    dormouse.await_line("stopping the target");
    assert!(left.elapsed() >= cooldown, "it began anew when the second client left");
    scene.until("the stop hook runs", || scene.hooks() == ["start client", "stop cooldown"]);
}

#[test]
fn rule_5_without_a_cool_down_the_stop_follows_the_last_client() {
    let scene = Scene::new().set("cooldown", "0s");
    let dormouse = scene.run();
    for _ in 0..3 {
        scene.client().ask("hello");
        dormouse.await_line("the target is stopped");
    }
    assert_eq!(scene.hooks(), ["start client", "stop cooldown"].repeat(3));
    assert!(!dormouse.has_logged("no client is left"), "what is over needn't be told");
}

#[test]
fn rule_5_a_should_sleep_hook_that_agrees_is_asked_once() {
    let scene = Scene::new().set("cooldown", "200ms").hook("should_sleep", "true");
    let dormouse = scene.run();
    scene.client().ask("hello");
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.hooks(), ["start client", "should_sleep cooldown", "stop cooldown"]);
}

#[test]
fn rule_5_a_should_sleep_hook_may_keep_the_target_up() {
    let scene = Scene::new().set("cooldown", "200ms").hook("should_sleep", "exit 1");
    let dormouse = scene.run();
    scene.client().ask("hello");
    dormouse.await_line("the target stays up; whether it may sleep is asked again in 1m");
    scene.client().ask("hello again");
    assert_eq!(scene.hooks(), ["start client", "should_sleep cooldown"]);
}

#[test]
fn rule_5_what_a_should_sleep_that_crashes_means_is_for_the_config_to_say() {
    let crashing = Guest::bare().idleness("(unreachable)").build();
    let scene = Scene::new()
        .set("cooldown", "100ms")
        .set("idleness", "crashing")
        .service("dear")
        .set_of("dear", "cooldown", "100ms")
        .set_of("dear", "idleness", "crashing")
        .set_of("dear", "on_idleness_error", "stay")
        .plugin("crashing", crashing);
    let mut dormouse = scene.run();
    scene.client().ask("hello");
    let line = dormouse.await_line("could not ask whether the target may sleep, so it is stopped");
    assert!(line.contains("the plugin `crashing` crashed in `should-sleep`"), "{line}");
    dormouse.await_line("the target is stopped");
    scene.client_of("dear").ask("hello");
    dormouse.await_line("could not ask whether the target may sleep, so it stays up");
    let line =
        dormouse.await_line("the target stays up; whether it may sleep is asked again in 1m");
    assert!(line.contains(" until=20"), "{line}");
    assert_eq!(scene.hooks_of("dear"), ["start client"]);
    dormouse.terminate();
    dormouse.await_line("what this plugin has done so far: 2 calls, 2 crashes");
}

#[test]
fn rule_6_a_client_that_comes_during_the_stop_is_held_and_gets_a_fresh_start() {
    let scene = Scene::new()
        .set("cooldown", "100ms")
        .hook("stop", "await_file go; halt; echo 'web stop is over' >> hooks.log");
    let dormouse = scene.run();
    scene.client().ask("hello");
    scene.until("the stop hook waits", || scene.hooks().len() == 2);
    let late = scene.client();
    late.send("hello again");
    assert!(scene.is_up(), "the target that is being stopped still listens");
    assert!(late.is_waiting());
    scene.touch("go");
    late.expect("hello again");
    dormouse.await_line("the target is stopped");
    let hooks = scene.hooks();
    assert_eq!(hooks[..4], ["start client", "stop cooldown", "stop is over", "start client"]);
}

#[test]
fn rule_10_a_target_that_runs_already_is_adopted_and_stopped() {
    let scene = Scene::new().set("cooldown", "200ms");
    scene.launch();
    let dormouse = scene.run();
    dormouse.await_line("the target is up");
    dormouse.await_line("no client is left; the target is stopped in ");
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.hooks(), ["stop cooldown"]);
    assert!(!scene.is_up());
}

#[test]
fn rule_10_a_target_that_outlives_a_killed_dormouse_is_adopted_by_the_next() {
    let scene = Scene::new();
    let mut killed = scene.run();
    let client = scene.client();
    client.ask("hello");
    killed.kill();
    client.expect_end();
    assert!(scene.is_up());
    drop(killed);

    let scene = scene.set("cooldown", "300ms");
    let dormouse = scene.run();
    dormouse.await_line("the target is up");
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.hooks(), ["start client", "stop cooldown"]);
}
