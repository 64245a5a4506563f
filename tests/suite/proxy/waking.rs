//! Clients of a target that sleeps.

use std::net::Ipv4Addr;
use std::thread;

use crate::support::proxy::{Client, Ending, Scene};
use crate::support::relay::Noise;

#[test]
fn rule_1_ten_clients_at_once_cause_one_start_and_all_are_served() {
    let scene = Scene::new().set("cooldown", "200ms").hook("start", "launch echo go");
    let dormouse = scene.run();
    let clients: Vec<Client> = (0..10).map(|_| scene.client()).collect();
    for (number, client) in clients.iter().enumerate() {
        client.send(format!("I am {number}"));
    }
    dormouse.await_line("start is done");
    scene.touch("go");
    for (number, client) in clients.iter().enumerate() {
        client.expect(&format!("I am {number}"));
    }
    drop(clients);
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.hooks(), ["start client", "stop cooldown"]);
    assert_eq!(scene.connections(), 10, "the look whether it is ready is one of the clients'");
}

#[test]
fn rule_1_a_start_hook_is_told_for_whom_and_for_what_it_starts() {
    let scene = Scene::new().hook("start", "env > environment; launch");
    let dormouse = scene.run();
    dormouse.await_line("the target is down; waiting for a client");
    let client = scene.client();
    client.ask("hello");
    let environment = scene.read("environment");
    let target = scene.target();
    for expected in [
        "DORMOUSE_SERVICE=web".to_owned(),
        format!("DORMOUSE_TARGET_HOST={}", target.ip()),
        format!("DORMOUSE_TARGET_PORT={}", target.port()),
        "DORMOUSE_CAUSE=client".to_owned(),
        format!("DORMOUSE_CLIENT={}", client.address()),
        format!("HOME={}", scene.path("").display()),
    ] {
        assert!(environment.lines().any(|line| line == expected), "{expected}\n{environment}");
    }
}

#[test]
fn rule_2_without_a_ready_hook_a_target_is_ready_when_it_accepts() {
    let scene = Scene::new().hook("start", "launch echo go");
    let dormouse = scene.run();
    let client = scene.client();
    client.send("hello");
    dormouse.await_line("start is done; waiting until the target is ready");
    assert!(client.is_waiting());
    scene.touch("go");
    client.expect("hello");
    dormouse.await_line("the target is ready");
}

#[test]
fn rule_2_a_ready_hook_is_asked_until_it_says_yes() {
    let scene = Scene::new().hook("ready", "echo loading; [ -e loaded ]");
    let dormouse = scene.run();
    let client = scene.client();
    client.send("hello");
    scene.until("it was asked three times", || scene.hooks().len() > 4);
    assert_eq!(scene.connections(), 0, "nobody is connected to a target that is not ready");
    scene.touch("loaded");
    client.expect("hello");
    dormouse.await_line("the target is ready");
    let hooks = scene.hooks();
    let asked = (1..hooks.len() - 1).map(|attempt| format!("ready attempt {attempt}"));
    // It is asked at the boot as well.
    assert_eq!(hooks[..2], ["ready attempt 1", "start client"]);
    assert_eq!(hooks[2..], asked.collect::<Vec<_>>());
    assert_eq!(scene.connections(), 1);
}

#[test]
fn rule_3_what_a_client_sends_while_it_is_held_arrives_first_and_unchanged() {
    let scene = Scene::new().hook("start", "await_file go; launch");
    let dormouse = scene.run();
    let client = scene.client();
    // More than the kernel takes, so that the client is still sending when it is let in.
    let bytes = Noise::new(1).bytes(8 << 20);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            client.send(&bytes);
            client.finish();
        });
        scene.until("the start hook waits", || scene.hooks() == ["start client"]);
        assert!(!sending.is_finished(), "what is held must be bounded");
        scene.touch("go");
        let (echoed, ending) = client.rest();
        assert!(echoed == bytes, "{} bytes came back, or others", echoed.len());
        assert_eq!(ending, Ending::Closed);
        sending.join().expect("all was sent");
    });
    scene.until("the target sees the end", || {
        scene.journal().contains(&format!("ended 1 {}", bytes.len()))
    });
    drop(dormouse);
}

#[test]
fn rule_3_a_half_close_of_a_held_client_reaches_the_target() {
    let scene = Scene::new().hook("start", "await_file go; launch count");
    let _dormouse = scene.run();
    let client = scene.client();
    client.send("request");
    client.finish();
    scene.until("the start hook waits", || scene.hooks() == ["start client"]);
    scene.touch("go");
    assert_eq!(client.rest(), (b"7 bytes".to_vec(), Ending::Closed));
    assert_eq!(scene.journal(), ["listening", "connected 1", "first 1 \"request\"", "ended 1 7"]);
}

#[test]
fn a_held_client_of_a_server_that_speaks_first_need_not_say_anything() {
    let scene = Scene::new().hook("start", "launch greet");
    let _dormouse = scene.run();
    let client = scene.client();
    client.expect("welcome\n");
    client.ask("hello");
}

#[test]
fn rule_11_a_held_client_that_hangs_up_is_forgotten_and_the_start_goes_on() {
    let scene = Scene::new().set("cooldown", "200ms").hook("start", "await_file go; launch");
    let dormouse = scene.run();
    let silent = scene.client();
    scene.until("the start hook waits", || scene.hooks() == ["start client"]);
    let rude = scene.client();
    rude.send("hello");
    silent.reset();
    rude.reset();
    scene.until("Dormouse has closed its ends", || !scene.has_clients());
    scene.touch("go");
    let line = dormouse.await_line("the target is ready");
    assert!(line.contains("held=0"), "{line}");
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.hooks(), ["start client", "stop cooldown"]);
    assert!(!scene.journal().iter().any(|line| line.starts_with("first")), "nobody's bytes");
}

#[test]
fn rule_12_one_more_than_max_held_is_closed_at_once() {
    let scene = Scene::new().set("max_held", 2).hook("start", "await_file go; launch");
    let dormouse = scene.run();
    let clients: Vec<Client> = (0..3).map(|_| scene.client()).collect();
    scene.until("one is closed", || clients.iter().any(|client| !client.is_waiting()));
    dormouse.await_line("client closed: ");
    let (held, closed): (Vec<_>, Vec<_>) = clients.iter().partition(|client| client.is_waiting());
    assert_eq!((held.len(), closed.len()), (2, 1));
    assert_eq!(closed[0].expect_end(), Ending::Closed);
    scene.touch("go");
    held.iter().for_each(|client| client.ask("hello"));
    assert_eq!(scene.connections(), 2);
}

#[test]
fn rule_12_the_last_client_of_a_crowd_makes_way_for_one_from_another_address() {
    let scene = Scene::new()
        .set("max_held", 2)
        .hook("should_wake", "true")
        .hook("start", "await_file go; launch");
    let dormouse = scene.run();
    let first = scene.client();
    first.send("hello");
    scene.until("the start hook waits", || scene.hooks().len() == 2);
    let last = scene.client();
    last.send("hello");
    scene.until("it is at the gate", || scene.hooks().len() == 3);
    let other = scene.client_from(Ipv4Addr::new(127, 9, 9, 9));
    assert_eq!(last.expect_end(), Ending::Closed);
    let line = dormouse.await_line("client closed: ");
    assert!(line.contains("one from another address has come"), "{line}");
    assert!(line.contains("recent=1 all=1"), "{line}");
    scene.touch("go");
    first.expect("hello");
    other.ask("hello");
    assert_eq!(scene.connections(), 2);
}

#[test]
fn rule_12_no_client_is_held_longer_than_hold_timeout() {
    let scene = Scene::new().set("hold_timeout", "200ms").hook("start", "await_file go; launch");
    let dormouse = scene.run();
    let impatient = scene.client();
    assert_eq!(impatient.expect_end(), Ending::Closed);
    dormouse.await_line("client closed: ");
    assert!(!dormouse.has_logged("the start failed"), "the start goes on");
    scene.touch("go");
    dormouse.await_line("the target is ready");
    scene.client().ask("hello");
    assert_eq!(scene.hooks(), ["start client"]);
}
