//! More clients than usual, and more than the machine allows: rule 15.

use std::net::Ipv4Addr;
use std::thread;

use crate::support::proxy::{Client, Scene};

#[test]
fn two_hundred_clients_at_once_are_served_by_one_start() {
    let scene = Scene::new().set("cooldown", "200ms");
    let dormouse = scene.run();
    let clients: Vec<Client> = thread::scope(|scope| {
        let come = |number| {
            let client = scene.client();
            client.ask(&format!("I am {number}"));
            client
        };
        let coming: Vec<_> = (0..200).map(|number| scope.spawn(move || come(number))).collect();
        coming.into_iter().map(|client| client.join().expect("it was served")).collect()
    });
    drop(clients);
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.hooks(), ["start client", "stop cooldown"]);
    assert_eq!(scene.connections(), 200);
}

#[test]
fn rule_5_no_client_is_lost_while_starts_and_stops_follow_each_other() {
    let scene = Scene::new().set("cooldown", "0s");
    let dormouse = scene.run();
    for wave in 0..20 {
        thread::scope(|scope| {
            for number in 0..3 {
                let scene = &scene;
                scope.spawn(move || scene.client().ask(&format!("I am {number} of wave {wave}")));
            }
        });
        // Some waves come as the last one leaves, and the others during the stop.
        if wave % 2 == 0 {
            dormouse.await_line("stopping the target");
        }
    }
    scene.until("the last stop is over", || !scene.is_up());
    drop(dormouse);
    let hooks = scene.hooks();
    assert!(hooks.len() >= 20, "{hooks:?}");
    for pair in hooks.chunks(2) {
        assert_eq!(pair, ["start client", "stop cooldown"], "{hooks:?}");
    }
    assert_eq!(scene.connections(), 60);
}

/// What is said of a client that is closed for want of descriptors.
const NO_MORE: &str = "the limit of open files allows no more";

#[test]
fn rule_15_a_flood_that_uses_up_all_descriptors_does_not_end_the_listener() {
    let scene = Scene::new().hook("start", "await_file go; launch");
    let dormouse = scene.run_with_open_files(64);
    let first = scene.client();
    scene.until("the start hook waits", || scene.hooks() == ["start client"]);
    let flood: Vec<Client> = (0..100).map(|_| scene.client()).collect();
    let line = dormouse.await_line("client closed: as many clients wait as may be held");
    assert!(line.contains(NO_MORE) && line.contains("LimitNOFILE="), "{line}");
    assert!(line.contains("recent=1 all=1"), "{line}");
    flood.into_iter().for_each(Client::reset);
    scene.touch("go");
    first.ask("I was the first");
    scene.client().ask("I come late");
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn rule_15_clients_that_are_held_leave_the_descriptors_that_are_needed_to_serve_them() {
    let scene = Scene::new().hook("start", "await_file go; launch");
    let dormouse = scene.run_with_open_files(64);
    let flood: Vec<Client> = (0..100).map(|_| scene.client()).collect();
    dormouse.await_line("client closed: as many clients wait as may be held");
    scene.until("the start hook waits", || scene.hooks() == ["start client"]);
    let waiting = || flood.iter().filter(|client| client.is_waiting()).count();
    let mut last = flood.len();
    scene.until("all of them were judged", || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let before = std::mem::replace(&mut last, waiting());
        before == last && last < 30
    });
    // Where most of them come from counts here as well.
    let other = scene.client_from(Ipv4Addr::new(127, 9, 9, 9));
    scene.until("one of them makes way", || waiting() < last);
    scene.touch("go");
    other.ask("I come from elsewhere");
    let served = flood.iter().filter(|client| client.try_ask("hello")).count();
    assert!((4..30).contains(&served), "{served} were served");
    let log = dormouse.log();
    assert!(!log.iter().any(|line| line.contains("Dormouse can't connect it")), "{log:?}");
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn rule_15_a_service_that_holds_many_makes_room_for_one_that_holds_few() {
    let scene = Scene::new()
        .service("other")
        .hook("start", "[ $service = other ] || await_file go; launch");
    let dormouse = scene.run_with_open_files(112);
    let crowd: Vec<Client> = (0..100).map(|_| scene.client()).collect();
    dormouse.await_line("client closed: as many clients wait as may be held");
    scene.until("the start hook waits", || scene.hooks() == ["start client"]);
    let others: Vec<Client> = (0..4).map(|_| scene.client_of("other")).collect();
    others.iter().for_each(|client| client.ask("hello"));
    let line = dormouse.await_line("client closed: all descriptors are in use");
    assert!(line.contains("service=web"), "{line}");
    scene.touch("go");
    let served = crowd.iter().filter(|client| client.try_ask("hello")).count();
    assert!(served >= 2, "{served} were served");
    others.iter().for_each(|client| client.ask("hello again"));
}

#[test]
fn rule_15_clients_of_an_awake_target_who_find_no_descriptor_wait_and_the_others_are_served() {
    let scene = Scene::new();
    let dormouse = scene.run_with_open_files(64);
    let first = scene.client();
    first.ask("I was the first");
    let mut flood: Vec<Client> = (0..100).map(|_| scene.client()).collect();
    let line = dormouse.await_line("clients have to wait: as many are served as the limit of open");
    assert!(line.contains("LimitNOFILE=") && line.contains("recent=1 all=1"), "{line}");
    first.ask("I am still here");
    let last = flood.pop().expect("a client");
    last.send("I wait");
    drop(flood);
    last.expect("I wait");
    scene.client().ask("I come late");
    assert_eq!(scene.hooks(), ["start client"], "a lack of our own is not the target's fault");
    let log = dormouse.log();
    assert!(!log.iter().any(|line| line.contains("Dormouse can't connect it")), "{log:?}");
}
