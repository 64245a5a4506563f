//! How often clients may have the target started.

use crate::support::proxy::{Ending, Scene};

fn budget(key: &str, most: i64) -> toml::Table {
    [(key.to_owned(), most.into())].into_iter().collect()
}

#[test]
fn a_client_that_would_wake_the_target_once_too_often_is_closed() {
    for key in ["per_hour", "per_client_per_hour"] {
        let scene = Scene::new().set("cooldown", "0s").set("wakes", budget(key, 2));
        let dormouse = scene.run();
        for _ in 0..2 {
            scene.client().ask("hello");
            dormouse.await_line("the target is stopped");
        }
        let refused = scene.client();
        assert_eq!(refused.expect_end(), Ending::Closed);
        let line = dormouse.await_line("client closed: ");
        assert!(
            line.contains(&format!("may wake the target 2 times within an hour (`wakes.{key}`)")),
            "{line}"
        );
        assert!(line.contains(&format!("client={}", refused.address())), "{line}");
        assert!(line.ends_with("recent=1 all=1"), "{line}");
        assert_eq!(scene.hooks(), ["start client", "stop cooldown"].repeat(2));
    }
}

#[test]
fn clients_that_join_a_start_or_come_to_an_awake_target_are_never_refused() {
    let scene = Scene::new()
        .set("wakes", budget("per_client_per_hour", 1))
        .hook("start", "await_file go; launch");
    let dormouse = scene.run();
    let first = scene.client();
    first.send("first");
    dormouse.await_line("starting the target for a client");
    let joining: Vec<_> = (0..5).map(|_| scene.client()).collect();
    joining.iter().for_each(|client| client.send("me too"));
    scene.touch("go");
    first.expect("first");
    joining.iter().for_each(|client| client.expect("me too"));
    scene.client().ask("hello");
    assert_eq!(scene.hooks(), ["start client"]);
    assert!(!dormouse.has_logged("client closed"));
}

#[test]
fn clients_that_the_gate_refuses_cost_nothing() {
    let scene =
        Scene::new().set("wakes", budget("per_hour", 1)).hook("should_wake", "grep -q please");
    let _dormouse = scene.run();
    for _ in 0..3 {
        let refused = scene.client();
        refused.send("status?");
        assert_eq!(refused.expect_end(), Ending::Closed);
    }
    scene.client().ask("open up, please");
}
