//! Targets that are at another address than the config says, because their plugin has found out.

use std::net::SocketAddr;

use std::fs;

use crate::support::guest::Guest;
use crate::support::proxy::Scene;

/// A scene whose server listens at another port than `target`, which only its plugin knows.
fn elsewhere() -> (Scene, SocketAddr) {
    let mut scene = Scene::new();
    let address = scene.free_port();
    let mut finder = Guest::bare();
    let text = finder.text(address.to_string());
    let finder = finder.readiness(&format!("(call $ready_at {text})")).build();
    let launch = format!(
        "rm -f web.journal; DORMOUSE_TARGET_PORT={} launch
         until grep -qs listening web.journal; do sleep 0.01; done",
        address.port()
    );
    let scene = scene.hook("start", &launch).set("readiness", "finder").plugin("finder", finder);
    (scene, address)
}

#[test]
fn clients_are_connected_to_the_address_that_the_plugin_names() {
    let (scene, address) = elsewhere();
    let dormouse = scene.run();
    scene.client().ask("hello");
    let line = dormouse.await_line("the target is at this address until it sleeps again");
    assert!(line.contains(&format!("target={address}")), "{line}");
}

#[test]
fn rule_10_a_target_is_found_at_that_address_after_dormouse_was_killed() {
    let (scene, _) = elsewhere();
    let mut killed = scene.run();
    scene.client().ask("hello");
    scene.until("the address is kept", || scene.path("state/web.address").exists());
    let is_up =
        || fs::read_to_string(scene.path("state/web.phase")).is_ok_and(|it| it.contains("\"up\""));
    scene.until("that it is up is kept", is_up);
    killed.kill();
    drop(killed);

    let scene = scene.set("cooldown", "300ms");
    let dormouse = scene.run();
    dormouse.await_line("the target is up where it was before the restart");
    scene.client().ask("hello again");
    scene.until("the target is stopped", || scene.hooks() == ["start client", "stop cooldown"]);
}

#[test]
fn rule_10_a_target_is_found_at_that_address_after_an_exit_in_good_order() {
    let (scene, address) = elsewhere();
    let mut first = scene.run();
    scene.client().ask("hello");
    first.terminate();
    let kept = format!("dormouse address 1\n{}\n{address}\n", scene.target());
    assert_eq!(scene.read("state/web.address"), kept);
    drop(first);

    let dormouse = scene.run();
    dormouse.await_line("the target is up where it was before the restart");
    scene.client().ask("hello again");
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn a_target_whose_plugin_is_wrong_about_its_address_is_started_again_for_its_client() {
    let (scene, _) = elsewhere();
    let mut killed = scene.run();
    scene.client().ask("hello");
    scene.until("the address is kept", || scene.path("state/web.address").exists());
    let is_up =
        || fs::read_to_string(scene.path("state/web.phase")).is_ok_and(|it| it.contains("\"up\""));
    scene.until("that it is up is kept", is_up);
    killed.kill();
    drop(killed);
    scene.kill_target();

    let dormouse = scene.run();
    // The plugin says that it is ready, whatever has become of it.
    dormouse.await_line("the target is up where it was before the restart");
    scene.client().ask("hello again");
    assert_eq!(scene.hooks(), ["start client", "start client"]);
}

#[test]
fn a_damaged_file_is_ignored_with_a_warning() {
    let (scene, _) = elsewhere();
    fs::create_dir(scene.path("state")).expect("a folder");
    fs::write(scene.path("state/web.address"), "\u{1b}]0;garbage").expect("a file");
    let dormouse = scene.run();
    let line = dormouse.await_line("the address in `");
    assert!(line.contains("is ignored: it is damaged"), "{line}");
    scene.client().ask("hello");
}
