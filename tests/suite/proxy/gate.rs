//! Clients that are judged before they may wake the target.

use crate::support::guest::Guest;
use crate::support::proxy::{Ending, Scene};

#[test]
fn a_client_that_the_gate_refuses_starts_nothing() {
    let scene = Scene::new().hook("should_wake", "grep -q please");
    let dormouse = scene.run();
    let refused = scene.client();
    refused.send("open up");
    assert_eq!(refused.expect_end(), Ending::Closed);
    let line = dormouse.await_line("client closed at the gate");
    assert!(line.contains("the gate refused it"), "{line}");
    assert!(line.contains(&refused.address().to_string()), "{line}");
    assert_eq!(scene.hooks(), ["should_wake client"]);
    scene.client().ask("open up, please");
    assert_eq!(scene.hooks(), ["should_wake client", "should_wake client", "start client"]);
}

#[test]
fn a_should_wake_hook_reads_what_the_client_has_sent_and_the_target_gets_it_all_the_same() {
    let scene = Scene::new().hook("should_wake", "cat > seen; env > environment");
    let _dormouse = scene.run();
    let client = scene.client();
    client.ask("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(scene.read("seen"), "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(scene.journal()[2], "first 1 \"GET / HTTP/1.1\\r\\n\\r\\n\"");
    let environment = scene.read("environment");
    for expected in ["DORMOUSE_PHASE=asleep", &format!("DORMOUSE_CLIENT={}", client.address())] {
        assert!(environment.lines().any(|line| line == expected), "{expected}\n{environment}");
    }
}

#[test]
fn a_client_that_waits_for_the_server_to_speak_is_judged_by_its_silence() {
    let scene = Scene::new().hook("should_wake", "cat > seen").hook("start", "launch greet");
    let _dormouse = scene.run();
    scene.client().expect("welcome\n");
    assert!(scene.path("seen").exists());
    assert_eq!(scene.read("seen"), "");
}

#[test]
fn a_client_that_connects_and_closes_does_not_come_to_the_gate() {
    let scene = Scene::new().hook("should_wake", "true");
    let dormouse = scene.run();
    dormouse.await_line("the target is down; waiting for a client");
    drop(scene.client());
    scene.until("Dormouse has noticed", || !scene.has_clients());
    assert!(scene.hooks().is_empty());
    scene.client().ask("hello");
    assert_eq!(scene.hooks(), ["should_wake client", "start client"]);
}

#[test]
fn an_awake_target_has_no_gate() {
    let scene = Scene::new().hook("should_wake", "[ ! -e locked ]");
    let _dormouse = scene.run();
    let first = scene.client();
    first.ask("hello");
    scene.touch("locked");
    scene.client().ask("hello again");
    assert_eq!(scene.hooks(), ["should_wake client", "start client"]);
}

#[test]
fn each_client_of_a_starting_target_is_judged_for_itself() {
    let scene =
        Scene::new().hook("should_wake", "grep -q please").hook("start", "await_file go; launch");
    let _dormouse = scene.run();
    let first = scene.client();
    first.send("please");
    scene.until("the start hook waits", || scene.hooks().len() == 2);
    let refused = scene.client();
    refused.send("now!");
    assert_eq!(refused.expect_end(), Ending::Closed);
    scene.touch("go");
    first.expect("please");
    assert_eq!(scene.connections(), 1);
}

#[test]
fn rule_16_a_service_without_a_plugin_that_works_costs_only_its_own_clients() {
    let scene = Scene::new()
        .service("broken")
        .unset_of("broken", "hooks")
        .set_of("broken", "lifecycle", "bad")
        .plugin("bad", "this is no WebAssembly");
    let dormouse = scene.run();
    // Its plugin may have failed before the other service listens.
    scene.until("it is reported", || dormouse.has_logged("no client can be served"));
    let log = dormouse.log();
    let line = log.iter().find(|line| line.contains("no client can be served"));
    assert!(line.is_some_and(|line| line.contains("service=broken")), "{log:?}");
    assert!(log.iter().any(|line| line.contains("bad.wasm")), "it says why: {log:?}");
    assert_eq!(scene.client_of("broken").expect_end(), Ending::Closed);
    scene.client().ask("hello");
}

#[test]
fn rule_16_a_gate_that_crashes_lets_its_client_wake_the_target_or_not_as_the_config_says() {
    let crashing = Guest::new().gate("(unreachable)").build();
    let scene = Scene::new()
        .set("gate", "crashing")
        .service("strict")
        .set_of("strict", "gate", "crashing")
        .set_of("strict", "on_gate_error", "refuse")
        .plugin("crashing", crashing);
    let dormouse = scene.run();
    scene.client().ask("hello");
    let line = dormouse.await_line("the gate failed, so the client wakes the target");
    assert!(line.contains("the plugin `crashing` crashed in `should-wake`"), "{line}");
    let refused = scene.client_of("strict");
    refused.send("hello");
    assert_eq!(refused.expect_end(), Ending::Closed);
    dormouse.await_line("the gate failed, so the client is refused");
    assert!(scene.hooks_of("strict").is_empty());
}

#[test]
fn rule_16_a_gate_that_loops_holds_up_neither_another_services_start_nor_its_clients() {
    let looping = Guest::new().gate("(loop $again (br $again)) (unreachable)").build();
    let scene = Scene::new()
        .service("looping")
        .set_of("looping", "gate", "looping")
        .set_of("looping", "gate_timeout", "1h")
        .plugin("looping", looping);
    let _dormouse = scene.run();
    // More than there are threads for decisions, so that all of them loop.
    let at_the_gate: Vec<_> = (0..8).map(|_| scene.client_of("looping")).collect();
    at_the_gate.iter().for_each(|client| client.send("let me in"));
    for _ in 0..100 {
        scene.client().ask("hello");
    }
    assert_eq!(scene.hooks(), ["start client"]);
    at_the_gate.iter().for_each(|client| client.expect("let me in"));
}
