//! The seven flags of the tool that Dormouse grew from.

use std::fs;

use crate::support::proxy::Scene;

/// Flags for the service `default`, with these hooks.
fn flags(scene: &Scene, cooldown: &str, start: &str, stop: &str) -> Vec<String> {
    let listen = scene.address_of("default", "listen");
    let target = scene.address_of("default", "target");
    vec![
        "--proxy-ip".to_owned(),
        listen.ip().to_string(),
        "--proxy-port".to_owned(),
        listen.port().to_string(),
        format!("--target-ip={}", target.ip()),
        format!("--target-port={}", target.port()),
        format!("--cooldown-period={cooldown}"),
        format!("--hook-start-svc={start}"),
        format!("--hook-stop-svc={stop}"),
    ]
}

#[test]
fn flags_alone_make_a_service_with_hooks_in_the_working_folder() {
    let scene = Scene::new().service("default");
    let flags = flags(&scene, "200ms", "./start.sh", "./stop.sh");
    let mut dormouse = scene.run_with(&flags, &[]);
    dormouse.await_line("listening");
    scene.client_of("default").ask("hello");
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.hooks_of("default"), ["start client", "stop cooldown"]);
    dormouse.terminate();
}

#[test]
fn a_hook_without_a_slash_is_found_in_path() {
    let scene = Scene::new().service("default");
    fs::create_dir(scene.path("bin")).expect("a folder");
    for (from, to) in [("start.sh", "bin/wake-it"), ("stop.sh", "bin/still-it")] {
        fs::rename(scene.path(from), scene.path(to)).expect("a file");
    }
    let path = std::env::var("PATH").expect("a PATH");
    let path = format!("{}:{path}", scene.path("bin").display());
    let flags = flags(&scene, "0", "wake-it", "still-it");
    let dormouse = scene.run_with(&flags, &[("PATH", &path)]);
    dormouse.await_line("listening");
    scene.client_of("default").ask("hello");
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.hooks_of("default"), ["start client", "stop cooldown"]);
}
