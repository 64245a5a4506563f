//! Processes that plugins keep, and a Dormouse that crashes or exits.

use crate::support::guest::Guest;
use crate::support::process::is_alive;
use crate::support::proxy::{Dormouse, Scene};

/// A scene whose plugin keeps a child, which prints again and again and notes its number and each
/// of its turns in files.
fn keeping() -> Scene {
    let scene = Scene::new();
    let script = format!(
        "cd {} || exit 1; echo $$ > pid; while :; do echo turn || exit 1; echo >> turns; sleep 0.02; \
         done",
        scene.path("").display()
    );
    let kept = Guest::bare()
        .keeps("c", "/bin/sh", &["-c", &script], 0, "")
        .lifecycle("(drop (call $start_child)) (call $done)", "(call $done)")
        .build();
    let state = scene.path("state").display().to_string();
    scene
        .plugin("kept", kept)
        .allow("kept", "exec", vec!["/bin/sh"])
        .unset_of("web", "hooks")
        .set("lifecycle", "kept")
        .set_global("state_dir", state)
}

/// Has the child started, and gives its number.
fn start(scene: &Scene, dormouse: &Dormouse<'_>) -> u32 {
    let _held = scene.client();
    dormouse.await_line("a child was started");
    dormouse.await_line("turn");
    scene.find("the child's number", || scene.read("pid").trim().parse().ok())
}

fn turns(scene: &Scene) -> usize {
    scene.read("turns").len()
}

#[test]
fn a_child_goes_on_printing_after_a_crash_and_is_found_again_and_ended() {
    let scene = keeping();
    let mut dormouse = scene.run();
    let child = start(&scene, &dormouse);
    dormouse.kill();
    let before = turns(&scene);
    scene.until("the child goes on", || turns(&scene) > before + 20);

    let mut next = scene.run();
    next.await_line("a child of an earlier Dormouse still runs, and is taken over");
    let before = turns(&scene);
    scene.until("the child goes on", || turns(&scene) > before + 20);
    next.terminate();
    assert!(!is_alive(child));
    scene.until("nothing is left", || scene.processes().is_empty());
}

#[test]
fn a_child_ends_with_dormouse_and_leaves_nothing_behind() {
    let scene = keeping();
    let mut dormouse = scene.run();
    let child = start(&scene, &dormouse);
    dormouse.terminate();
    dormouse.await_line("a child was ended by signal 15");
    assert!(!is_alive(child));
    scene.until("nothing is left", || scene.processes().is_empty());
}
