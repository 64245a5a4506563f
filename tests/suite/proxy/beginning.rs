//! The beginning: what is there when Dormouse has just been started.

use crate::support::proxy::{Scene, sockets};

#[test]
fn clients_are_held_before_the_shell_plugin_is_compiled() {
    let scene = Scene::new().set_global("cache_dir", "nothing-yet");
    scene.write_config();
    let dormouse = scene.run_with(&["run"], &[]);
    // The first moment at which a connection succeeds.
    scene.until("it listens", || sockets().iter().any(|socket| socket.is_listener(scene.listen())));
    scene.client().ask("hello");
    dormouse.await_line("listening");
    dormouse.await_line("the target is ready");
    let compiled = std::fs::read_dir(scene.path("nothing-yet")).expect("a folder").count();
    assert!(compiled > 0, "what was compiled is kept");
}

#[test]
fn the_log_tells_the_story_of_a_service() {
    let scene = Scene::new()
        .set("cooldown", "200ms")
        .hook("start", "echo 'the server boots'; launch")
        .hook("stop", "echo 'the server ends' >&2; halt");
    let mut dormouse = scene.run();
    dormouse.await_line("the target is down; waiting for a client");
    let client = scene.client();
    client.ask("hello");
    let address = client.address().to_string();
    drop(client);
    dormouse.await_line("the target is stopped");
    dormouse.terminate();
    let log = scene.stable(&dormouse.log().join("\n")).replace(&address, "[CLIENT]");
    insta::with_settings!({
        omit_expression => true,
        filters => vec![(r"(took|idle)=\S+", "$1=[TIME]"), (r"stopped in \S+", "stopped in [TIME]")],
    }, { insta::assert_snapshot!(log) });
}
