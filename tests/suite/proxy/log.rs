//! What reads the log stands still, and what is logged is too much.

use rustix::process::Signal;

use crate::support::proxy::Scene;

/// A hook that prints more than a pipe holds, and launches the server.
const NOISY: &str = "for i in $(seq 2000)
    do echo \"line $i of a hook that prints at length everything that it does\"
    done
    launch";

#[test]
fn a_log_that_is_not_read_stops_no_wake_and_no_exit() {
    let scene = Scene::new().service("other").hook("start", NOISY).set("stop_on_exit", true);
    let mut dormouse = scene.run();
    dormouse.stall_log(true);
    scene.client().ask("who waits for the log?");
    scene.client_of("other").ask("and here?");
    dormouse.signal(Signal::TERM);
    assert_eq!(dormouse.await_end().code(), Some(0));
    assert!(!scene.is_up(), "the stop at the exit was carried out");
}

#[test]
fn a_log_that_is_read_again_has_the_lines_that_waited() {
    let scene = Scene::new().hook("start", NOISY);
    let dormouse = scene.run();
    dormouse.stall_log(true);
    scene.client().ask("hello");
    dormouse.stall_log(false);
    for line in ["line 1 of a hook", "line 1000 of a hook"] {
        dormouse.await_line(line);
    }
    dormouse.await_line("1000 lines left out: the hook printed more than 1000 lines or 256.0 KiB");
}

#[test]
fn bytes_of_a_hook_are_throttled_and_not_only_lines() {
    let long = "for i in $(seq 100); do printf '%s %8000s\\n' \"$i\" x; done; launch";
    let scene = Scene::new().hook("start", long);
    let dormouse = scene.run();
    scene.client().ask("hello");
    let is_reported = || dormouse.log().iter().any(|line| line.contains("lines left out"));
    scene.until("what was left out is reported", is_reported);
    let bytes: usize = dormouse.log().iter().map(String::len).sum();
    assert!(bytes < 600 << 10, "{bytes} bytes, where the hook printed 800,000 at once");
}
