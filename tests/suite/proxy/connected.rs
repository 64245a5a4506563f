//! Clients of a target that is awake.

use crate::support::proxy::{Client, Ending, Scene, sockets};

#[test]
fn rule_4_each_client_of_an_awake_target_is_one_connection_and_runs_no_hook() {
    let scene = Scene::new()
        .set("cooldown", "200ms")
        .hook("start", "launch; touch up")
        .hook("ready", "[ -e up ] && [ -s web.journal ]")
        .hook("stop", "rm up; halt")
        .hook("should_wake", "true")
        .hook("should_sleep", "true");
    let dormouse = scene.run();
    let first = scene.client();
    first.ask("hello");
    let hooks = scene.hooks();
    // It is asked at the boot as well.
    let asked = ["ready attempt 1", "should_wake client", "start client", "ready attempt 1"];
    assert_eq!(hooks[..4], asked);
    for number in 0..20 {
        scene.client().ask(&format!("I am {number}"));
    }
    assert_eq!(scene.hooks(), hooks);
    drop(first);
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.connections(), 21);
}

#[test]
fn a_service_may_listen_in_several_places() {
    let mut scene = Scene::new();
    let places = [scene.free_port(), scene.free_port()];
    let scene = scene.set("listen", places.map(|place| place.to_string()).to_vec());
    let dormouse = scene.run();
    dormouse.await_line("listening");
    for place in places {
        Client::connect(place).ask("hello");
    }
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn a_client_that_ends_first_still_gets_its_answer() {
    let scene = Scene::new().hook("start", "launch count");
    let _dormouse = scene.run();
    for _held_and_awake in 0..2 {
        let client = scene.client();
        client.send("request");
        client.finish();
        assert_eq!(client.rest(), (b"7 bytes".to_vec(), Ending::Closed));
    }
}

#[test]
fn a_client_may_go_on_sending_after_the_target_has_ended() {
    let scene = Scene::new().hook("start", "launch hang-up");
    let _dormouse = scene.run();
    for number in 1..=2 {
        let client = scene.client();
        assert_eq!(client.rest(), (b"goodbye\n".to_vec(), Ending::Closed));
        client.send("wait, there is more");
        client.finish();
        scene
            .until("all of it arrives", || scene.journal().contains(&format!("ended {number} 19")));
    }
}

#[test]
fn a_reset_by_the_target_is_passed_on_as_a_reset() {
    let scene = Scene::new().hook("start", "launch reset");
    let _dormouse = scene.run();
    for _held_and_awake in 0..2 {
        let client = scene.client();
        client.send("hello");
        assert_eq!(client.expect_end(), Ending::Reset);
    }
}

#[test]
fn a_reset_by_the_client_is_passed_on_as_a_reset() {
    let scene = Scene::new();
    let _dormouse = scene.run();
    for number in 1..=2 {
        let client = scene.client();
        client.ask("hello");
        client.reset();
        scene.until("the target sees it", || scene.journal().contains(&format!("lost {number} 5")));
    }
}

#[test]
fn a_target_that_closes_at_once_closes_its_clients() {
    // Without a judge of its own it would never count as ready.
    let scene = Scene::new()
        .hook("start", "launch close; touch up")
        .hook("ready", "[ -e up ] && [ -s web.journal ]");
    let _dormouse = scene.run();
    for _held_and_awake in 0..2 {
        assert_eq!(scene.client().expect_end(), Ending::Closed);
    }
    let starts = scene.hooks().into_iter().filter(|hook| hook == "start client");
    assert_eq!(starts.count(), 1);
}

#[test]
fn rule_7_a_target_that_dies_closes_its_clients_and_the_next_one_has_it_started_again() {
    let scene = Scene::new();
    let dormouse = scene.run();
    let clients: Vec<Client> = (0..3).map(|_| scene.client()).collect();
    clients.iter().for_each(|client| client.ask("hello"));
    scene.kill_target();
    for client in &clients {
        client.expect_end();
    }
    let next = scene.client();
    next.ask("hello again");
    dormouse.await_line("the target refused a connection so soon after its start");
    assert_eq!(scene.hooks(), ["start client", "start client"]);
}

#[test]
fn rule_13_both_ends_of_a_connection_are_asked_for_a_sign_of_life() {
    let scene = Scene::new();
    let _dormouse = scene.run();
    let client = scene.client();
    client.ask("hello");
    scene.until("both sockets have keepalive", || keepalives(&scene) == (1, 1));
}

#[test]
fn rule_13_keepalive_can_be_off() {
    let scene = Scene::new().set("keepalive", "off");
    let _dormouse = scene.run();
    let client = scene.client();
    client.ask("hello");
    // The kernel's timer for what it has sent is off once that is acknowledged.
    scene.until("no socket has a timer", || {
        let sockets = sockets();
        let of_dormouse = || sockets.iter().filter(|socket| is_of_dormouse(&scene, socket));
        of_dormouse().count() == 2 && of_dormouse().all(|socket| !socket.has_timer())
    });
}

/// Whether it is Dormouse's end of a connection to a client or to the target.
fn is_of_dormouse(scene: &Scene, socket: &crate::support::proxy::Socket) -> bool {
    socket.is_open() && (socket.local == scene.listen() || socket.remote == scene.target())
}

/// How many of Dormouse's sockets to clients, and to the target, have keepalive.
fn keepalives(scene: &Scene) -> (usize, usize) {
    let sockets = sockets();
    let with_keepalive = || sockets.iter().filter(|socket| socket.has_keepalive());
    (
        with_keepalive().filter(|socket| socket.local == scene.listen()).count(),
        with_keepalive().filter(|socket| socket.remote == scene.target()).count(),
    )
}
