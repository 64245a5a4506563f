//! More clients than usual, and more than the machine allows: rule 15.

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

#[test]
fn rule_15_a_flood_that_uses_up_all_descriptors_does_not_end_the_listener() {
    let scene = Scene::new().hook("start", "await_file go; launch");
    let dormouse = scene.run_with_open_files(64);
    let first = scene.client();
    scene.until("the start hook waits", || scene.hooks() == ["start client"]);
    let flood: Vec<Client> = (0..100).map(|_| scene.client()).collect();
    let line = dormouse.await_line("clients have to wait: out of descriptors or memory");
    assert!(line.contains("LimitNOFILE="), "{line}");
    assert!(line.contains("recent=1 all=1"), "{line}");
    flood.into_iter().for_each(Client::reset);
    scene.touch("go");
    first.ask("I was the first");
    scene.client().ask("I come late");
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn rule_15_clients_of_an_awake_target_who_find_no_descriptor_are_closed_and_the_others_served() {
    // A client takes two. With one of these limits, the last client gets its first one only.
    let told = [64, 65].map(|limit| {
        let scene = Scene::new();
        let dormouse = scene.run_with_open_files(limit);
        let first = scene.client();
        first.ask("I was the first");
        let flood: Vec<Client> = (0..100).map(|_| scene.client()).collect();
        dormouse.await_line("clients have to wait");
        first.ask("I am still here");
        drop(flood);
        // Its turn comes after the flood's, part of which may still be in its place.
        scene.until("there is room again", || scene.client().try_ask("I come late"));
        assert_eq!(scene.hooks(), ["start client"], "a lack of our own is not the target's fault");
        dormouse.log()
    });
    let closed = told.iter().flatten().find(|line| line.contains("Dormouse can't connect it"));
    let closed = closed.expect("a line about clients that are closed");
    assert!(closed.contains("the limit of open files is too low"), "{closed}");
}
