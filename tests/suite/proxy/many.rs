//! More clients than usual, and more than the machine allows: rule 15.

use std::thread;

use crate::support::proxy::{Client, Scene};

#[test]
fn two_hundred_clients_at_once_are_served_by_one_start() {
    let scene = Scene::new().set("cooldown", "200ms");
    let dormouse = scene.run();
    thread::scope(|scope| {
        for number in 0..200 {
            let scene = &scene;
            scope.spawn(move || scene.client().ask(&format!("I am {number}")));
        }
    });
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.hooks(), ["start client", "stop cooldown"]);
    assert_eq!(scene.connections(), 200);
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
    drop(flood);
    scene.touch("go");
    first.ask("I was the first");
    scene.client().ask("I come late");
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn rule_15_clients_of_an_awake_target_who_find_no_descriptor_are_closed_and_the_others_served() {
    let scene = Scene::new();
    let dormouse = scene.run_with_open_files(64);
    let first = scene.client();
    first.ask("I was the first");
    let flood: Vec<Client> = (0..100).map(|_| scene.client()).collect();
    let line = dormouse.await_line("client closed: Dormouse can't connect it");
    assert!(line.contains("the limit of open files is too low"), "{line}");
    first.ask("I am still here");
    drop(flood);
    // Its turn comes after the flood's, part of which may still be in its place.
    scene.until("there is room again", || scene.client().try_ask("I come late"));
    assert_eq!(scene.hooks(), ["start client"], "a lack of our own is not the target's fault");
}
