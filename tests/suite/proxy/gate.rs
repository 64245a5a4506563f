//! Clients that are judged before they may wake the target.

use std::fs;
use std::net::Ipv4Addr;

use crate::support::guest::Guest;
use crate::support::proxy::{Client, Dormouse, Ending, Scene};

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

/// Where clients come from that are not like the others.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);

/// A gate that logs when it is asked about silence, and then greets with this text, if it is not
/// empty. Its instances have a mebibyte each. Whoever says something may wake the target.
fn patient(greeting: &str) -> Vec<u8> {
    let mut guest =
        Guest::new().import("dormouse:plugin/log@0.1.0", "write", "log", "(param i32 i32 i32)");
    let silent = guest.text("asked about silence");
    let greeting = guest.text(greeting);
    guest
        .gate(&format!(
            "(if (result i32) (local.get $length)
                (then (call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
                (else
                    (call $log (i32.const 2) {silent})
                    (memory.fill
                        (i32.shl (memory.grow (i32.const 16)) (i32.const 16))
                        (i32.const 1)
                        (i32.const 0x100000))
                    (call $reply {greeting} (i32.const 0) (i32.const 1))))"
        ))
        .build()
}

/// The memory of the program, in mebibytes.
fn resident(dormouse: &Dormouse<'_>) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", dormouse.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    line.trim_end_matches("kB").trim().parse::<u64>().expect("a number") >> 10
}

#[test]
fn clients_that_say_nothing_hold_neither_a_turn_nor_an_instance() {
    let scene = Scene::new()
        .set("gate", "patient")
        .set("gate_timeout", "1h")
        .set("max_gates", 128)
        .plugin("patient", patient(""));
    let dormouse = scene.run();
    dormouse.await_line("the target is down; waiting for a client");
    let before = resident(&dormouse);
    let silent: Vec<Client> = (0..300).map(|_| scene.client()).collect();
    let asked = || dormouse.log().iter().filter(|line| line.contains("about silence")).count();
    scene.until("all of them were asked about", || asked() == silent.len());
    // What an instance had is freed a moment after its answer.
    scene.until("no instance is left of them", || resident(&dormouse) < before + 64);
    scene.client().ask("hello");
    // One that was silent for long is judged by what it says then.
    silent[0].ask("hello");
}

#[test]
fn turns_go_round_by_address_and_one_address_leaves_some_to_others() {
    let scene = Scene::new()
        .set("max_gates", 4)
        .hook("should_wake", "read -r word; [ \"$word\" = please ] || await_file go");
    let _dormouse = scene.run();
    let crowd: Vec<Client> = (0..12).map(|_| scene.client()).collect();
    crowd.iter().for_each(|client| client.send("let me in\n"));
    scene.until("the crowd has its turns", || scene.hooks().len() == 3);
    let other = scene.client_from(ELSEWHERE);
    other.ask("please\n");
    assert_eq!(scene.hooks().len(), 5, "{:?}", scene.hooks());
    scene.touch("go");
}

#[test]
fn the_address_with_the_most_conversations_that_wait_loses_the_oldest() {
    let scene = Scene::new()
        .set("gate", "patient")
        .set("gate_timeout", "1h")
        .set("max_gates", 2)
        .plugin("patient", patient("who is there?"));
    let dormouse = scene.run();
    let greeted = |client: Client| {
        client.expect("who is there?");
        client
    };
    let oldest = greeted(scene.client());
    let crowd = greeted(scene.client());
    let other = greeted(scene.client_from(ELSEWHERE));
    assert_eq!(oldest.expect_end(), Ending::Closed);
    let line = dormouse.await_line("client closed at the gate");
    assert!(line.contains("`max_gates`") && line.contains("recent=1 all=1"), "{line}");
    let newest = greeted(scene.client());
    assert_eq!(crowd.expect_end(), Ending::Closed);
    assert!(other.is_waiting());
    other.ask("hello");
    newest.ask("hello");
}
