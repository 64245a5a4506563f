//! Services with several listeners, one of which has a target of its own: another port of the same
//! server.

use std::net::SocketAddr;

use crate::support::guest::Guest;
use crate::support::proxy::{Client, Ending, Scene, sockets};

/// A scene whose server has a second port, with the journal `side.journal`.
struct TwoPorts {
    scene: Scene,
    /// Where Dormouse listens for clients of the second port.
    listen: SocketAddr,
    /// Where the second port is.
    target: SocketAddr,
}

impl TwoPorts {
    /// The server of the second port is launched with these arguments.
    fn new(arguments: &str) -> TwoPorts {
        let mut scene = Scene::new();
        let (listen, target) = (scene.free_port(), scene.free_port());
        let mut second = toml::Table::new();
        second.insert("at".into(), listen.to_string().into());
        second.insert("target".into(), target.to_string().into());
        let first: toml::Value = scene.listen().to_string().into();
        let start = format!(
            "launch; service=side; DORMOUSE_TARGET_PORT={}; launch {arguments}",
            target.port()
        );
        let scene = scene
            .set("listen", vec![first, second.into()])
            .hook("start", &start)
            .hook("stop", "halt; service=side; halt");
        TwoPorts { scene, listen, target }
    }

    fn second_client(&self) -> Client {
        Client::connect(self.listen)
    }
}

#[test]
fn a_client_of_the_second_port_wakes_the_target_and_is_connected_to_that_port() {
    let ports = TwoPorts::new("");
    let scene = &ports.scene;
    let dormouse = scene.run();
    ports.second_client().ask("hello");
    dormouse.await_line("the target is ready");
    assert!(scene.read("side.journal").contains("first 1 \"hello\""));
    // The look whether the target is ready is not handed to a client of another port.
    assert!(!scene.read("web.journal").contains("first"));
    scene.client().ask("hello");
    assert!(scene.read("web.journal").contains("\"hello\""));
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn rule_5_a_client_of_one_port_keeps_the_target_up_while_the_other_is_idle() {
    let mut ports = TwoPorts::new("");
    ports.scene =
        ports.scene.set("cooldown", "100ms").service("clock").set_of("clock", "cooldown", "300ms");
    let scene = &ports.scene;
    let dormouse = scene.run();
    for idle in [0, 1] {
        let client = if idle == 0 { ports.second_client() } else { scene.client() };
        client.ask("hello");
        let other = if idle == 0 { scene.client() } else { ports.second_client() };
        other.ask("hello");
        drop(other);
        // Three cool-downs later, by the clock of another service.
        scene.client_of("clock").ask("hello");
        scene.until("the clock has stopped", || {
            scene.hooks_of("clock").iter().filter(|hook| *hook == "stop cooldown").count() > idle
        });
        client.ask("hello again");
    }
    scene.until("the target is stopped", || scene.hooks().contains(&"stop cooldown".to_owned()));
    assert_eq!(scene.hooks(), ["start client", "stop cooldown"]);
    drop(dormouse);
}

#[test]
fn a_port_that_opens_later_than_the_target_is_tried_again() {
    let mut ports = TwoPorts::new("echo go");
    ports.scene = ports.scene.set("connect_timeout", "1m");
    let scene = &ports.scene;
    let dormouse = scene.run();
    let client = ports.second_client();
    client.send("hello");
    dormouse.await_line("the target is ready");
    scene.client().ask("hello");
    assert!(client.is_waiting());
    scene.touch("go");
    client.expect("hello");
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn a_port_that_stays_shut_costs_its_clients_and_not_the_target() {
    let mut ports = TwoPorts::new("echo never");
    ports.scene = ports.scene.set("connect_timeout", "300ms");
    let scene = &ports.scene;
    let dormouse = scene.run();
    // The first is held; the second comes while the target is awake.
    assert_eq!(ports.second_client().expect_end(), Ending::Closed);
    let line = dormouse.await_line("client closed: the target is up, but the port");
    assert!(line.contains(&format!("listener={}", ports.listen)), "{line}");
    let client = scene.client();
    client.ask("hello");
    assert_eq!(ports.second_client().expect_end(), Ending::Closed);
    client.ask("hello again");
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn rule_7_a_server_that_has_died_is_started_again_for_a_client_of_its_second_port() {
    let ports = TwoPorts::new("");
    let scene = &ports.scene;
    let dormouse = scene.run();
    let client = ports.second_client();
    client.ask("hello");
    scene.kill_target();
    crate::support::process::kill(scene.read("side.pid").trim().parse().expect("a process"));
    client.expect_end();
    let is_open = || sockets().iter().any(|socket| socket.is_listener(ports.target));
    scene.until("the second port is gone", || !is_open());
    ports.second_client().ask("hello again");
    assert_eq!(scene.hooks(), ["start client", "start client"]);
    drop(dormouse);
}

#[test]
fn the_second_port_moves_with_the_target_to_an_address_that_a_plugin_names() {
    let mut ports = TwoPorts::new("");
    let port = ports.scene.target().port();
    let mut finder = Guest::bare();
    // Every address of 127.0.0.0/8 is there, and nobody else listens on this one.
    let text = finder.text(format!("127.254.253.252:{port}"));
    let finder = finder.readiness(&format!("(call $ready_at {text})")).build();
    let moved = ports.scene.read("start.sh");
    let moved = moved.replace("launch;", "DORMOUSE_TARGET_HOST=127.254.253.252; launch;");
    ports.scene = ports.scene.set("readiness", "finder").plugin("finder", finder);
    ports.scene.program("start.sh", &moved);
    let scene = &ports.scene;
    let dormouse = scene.run();
    let client = ports.second_client();
    client.ask("hello");
    assert!(scene.read("side.journal").contains("first 1 \"hello\""));
    drop(dormouse);
}
