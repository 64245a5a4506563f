//! What Dormouse says about what goes wrong while it runs: one message each.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::proxy::Scene;

macro_rules! snapshot {
    ($text:expr) => {
        insta::with_settings!({
            omit_expression => true,
            filters => vec![
                (r"in \S+ at the earliest", "in [TIME] at the earliest"),
                (r"can't be resolved: [^;]+;", "can't be resolved: [REASON];"),
            ],
        }, { insta::assert_snapshot!($text) })
    };
}

/// What a run says that ends by itself, which it has to with status 1.
fn last_words(scene: &Scene) -> String {
    scene.write_config();
    let mut dormouse = scene.run_with(&["run"], &[]);
    let status = dormouse.await_end();
    assert_eq!(status.code(), Some(1), "{status}");
    scene.stable(&dormouse.log().join("\n"))
}

/// What is said when a client comes and the start fails.
fn failed_start(scene: &Scene) -> String {
    let dormouse = scene.run();
    dormouse.await_line("the target is down; waiting for a client");
    scene.client().expect_end();
    scene.stable(&dormouse.await_line("the start failed"))
}

#[test]
fn a_port_that_is_in_use() {
    let scene = Scene::new();
    let _taken = TcpListener::bind(scene.listen()).expect("a free port");
    let said = last_words(&scene);
    snapshot!(said.replace(&format!(":{}'", scene.listen().port()), ":[PORT]'"));
}

#[test]
fn an_address_of_another_machine() {
    // 192.0.2.0/24 is for documentation, and nobody's.
    let scene = Scene::new().set("listen", "192.0.2.1:8080");
    snapshot!(last_words(&scene));
}

#[test]
fn two_services_whose_ports_are_in_use_are_told_at_once() {
    let scene = Scene::new().service("other");
    let addresses = [scene.listen(), scene.address_of("other", "listen")];
    let _taken = addresses.map(|address| TcpListener::bind(address).expect("a free port"));
    let said = last_words(&scene);
    for address in addresses {
        assert!(said.contains(&scene.stable(&format!("can't listen on `{address}`"))), "{said}");
    }
}

#[test]
fn no_service_that_can_work() {
    let scene = Scene::new()
        .unset_of("web", "hooks")
        .set("lifecycle", "broken")
        .plugin("broken", "this is no WebAssembly");
    // It may end before this is said as well.
    let said = last_words(&scene);
    let is_of_interest = |line: &&str| !line.contains("no client can be served");
    snapshot!(said.lines().filter(is_of_interest).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_start_hook_that_is_missing() {
    let scene = Scene::new();
    fs::remove_file(scene.path("start.sh")).expect("a file");
    snapshot!(failed_start(&scene));
}

#[test]
fn a_start_hook_that_is_not_executable() {
    let scene = Scene::new();
    let mode = fs::Permissions::from_mode(0o644);
    fs::set_permissions(scene.path("start.sh"), mode).expect("a file");
    snapshot!(failed_start(&scene));
}

#[test]
fn a_start_hook_without_a_shebang() {
    let scene = Scene::new();
    scene.program("start.sh", "echo hello\n");
    snapshot!(failed_start(&scene));
}

#[test]
fn a_start_hook_whose_interpreter_is_missing() {
    let scene = Scene::new();
    scene.program("start.sh", "#!/opt/python/bin/python3\n");
    snapshot!(failed_start(&scene));
}

#[test]
fn a_start_hook_that_is_a_folder() {
    let scene = Scene::new();
    fs::remove_file(scene.path("start.sh")).expect("a file");
    fs::create_dir(scene.path("start.sh")).expect("a folder");
    snapshot!(failed_start(&scene));
}

#[test]
fn a_start_hook_that_fails() {
    let scene = Scene::new().hook("start", "echo 'quota exceeded' >&2; exit 7");
    snapshot!(failed_start(&scene));
}

#[test]
fn a_target_whose_name_does_not_resolve() {
    // A part of a name has 63 letters at most, so that no name server need be asked.
    let name = "x".repeat(64);
    let scene = Scene::new()
        .hook("start", "true")
        .set("start_timeout", "1s")
        .set("target", format!("{name}:80"));
    let dormouse = scene.run();
    dormouse.await_line("the target is down; waiting for a client");
    scene.client().expect_end();
    snapshot!(dormouse.await_line("the target was not ready after 1.0s").replace(&name, "[NAME]"));
}

#[test]
fn a_target_that_never_listens() {
    let scene = Scene::new().hook("start", "true").set("start_timeout", "300ms");
    let dormouse = scene.run();
    dormouse.await_line("the target is down; waiting for a client");
    scene.client().expect_end();
    snapshot!(scene.stable(&dormouse.await_line("the target was not ready after 300ms")));
}
