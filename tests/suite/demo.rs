//! `dormouse demo`, from the first request to Ctrl-C.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;

use rustix::process::Signal;

use crate::support::proxy::{Client, Dormouse, Ending, Scene};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A demo that runs, and the address that it says to open.
fn demo(scene: &Scene) -> (Dormouse<'_>, SocketAddr) {
    fs::create_dir(scene.path("tmp")).expect("a folder");
    let folder = scene.path("tmp").display().to_string();
    let dormouse = scene.run_with(&["demo"], &[("TMPDIR", &folder)]);
    let address = scene.find("the URL", || {
        let log = dormouse.log();
        let url = log.iter().find_map(|line| line.trim().strip_prefix("http://"))?;
        url.split('/').next()?.parse().ok()
    });
    dormouse.await_line("listening");
    (dormouse, address)
}

/// Every demo looks whether port 8000 is free before it takes it: one at a time.
fn alone() -> File {
    let file = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo.lock"));
    let file = file.expect("a file");
    file.lock().expect("a lock");
    file
}

fn assert_nothing_is_left(scene: &Scene) {
    let processes = scene.processes();
    assert!(processes.is_empty(), "{processes:?}");
    let files = fs::read_dir(scene.path("tmp")).expect("a folder").count();
    assert_eq!(files, 0, "its folder is left");
}

#[test]
fn the_demo_wakes_for_a_request_answers_it_sleeps_and_leaves_nothing_behind() {
    let _alone = alone();
    let scene = Scene::new();
    let (mut dormouse, address) = demo(&scene);
    // At first, the plugin behind the hooks is compiled by a process of its own.
    scene.until("the web server sleeps", || scene.processes().len() == 1);

    let client = Client::connect(address);
    client.send(REQUEST);
    dormouse.await_line("starting the target for a client");
    dormouse.await_line("the target is ready");
    let (answer, ending) = client.rest();
    let answer = String::from_utf8(answer).expect("UTF-8");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("<h1>Good morning.</h1>"), "{answer}");
    assert_eq!(ending, Ending::Closed);
    drop(client);
    assert_eq!(scene.processes().len(), 2, "the web server is a process of its own");

    dormouse.await_line("the target is stopped");
    assert_eq!(scene.processes().len(), 1, "the web server sleeps again");
    dormouse.signal(Signal::INT);
    assert_eq!(dormouse.await_end().code(), Some(0));
    assert_nothing_is_left(&scene);
}

#[test]
fn ctrl_c_stops_the_web_server_of_the_demo_while_it_boots() {
    let _alone = alone();
    let scene = Scene::new();
    let (mut dormouse, address) = demo(&scene);
    let client = Client::connect(address);
    client.send(REQUEST);
    dormouse.await_line("start is done; waiting until the target is ready");
    assert_eq!(scene.processes().len(), 2);
    dormouse.signal(Signal::INT);
    client.expect_end();
    assert_eq!(dormouse.await_end().code(), Some(0));
    assert_nothing_is_left(&scene);
}
