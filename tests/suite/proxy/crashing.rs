//! Dormouse ends in the middle of something, and the next one goes on with it.

use std::fs;

use crate::support::proxy::Scene;

/// A part of a script: fails if the process whose number is in `hook.pid` still runs.
const IS_OVER: &str = "case \"$(cut -d' ' -f3 /proc/$(cat hook.pid)/stat 2>/dev/null)\" in \
                       ''|Z|X) ;; *) touch overlap ;; esac";

#[test]
fn rule_10_a_start_hook_that_outlives_dormouse_is_awaited_and_none_runs_beside_it() {
    let scene = Scene::new().hook("start", "echo x >> starts; await_file go; launch");
    let mut killed = scene.run();
    let client = scene.client();
    scene.until("the start hook waits", || scene.path("starts").exists());
    killed.kill();
    drop((killed, client));

    let dormouse = scene.run();
    dormouse.await_line("a start was under way when Dormouse last ended");
    let client = scene.client();
    client.send("hello");
    scene.touch("go");
    client.expect("hello");
    assert_eq!(fs::read_to_string(scene.path("starts")).expect("a file"), "x\n");
}

#[test]
fn rule_10_a_start_that_a_crash_cut_off_is_undone_if_it_comes_to_nothing() {
    let scene = Scene::new().set("start_timeout", "1s").hook("start", "launch echo never");
    let mut killed = scene.run();
    let client = scene.client();
    killed.await_line("start is done; waiting until the target is ready");
    killed.kill();
    drop((killed, client));

    let dormouse = scene.run();
    dormouse.await_line("the target was not ready after 1.0s");
    dormouse.await_line("the target is stopped");
    scene.until("only Dormouse is left", || scene.processes().len() == 1);
}

/// The leader of the group ends by SIGTERM, and what it has started ignores that.
#[test]
fn rule_17_what_is_left_of_a_cancelled_hook_is_ended_by_the_next_dormouse() {
    let stop = "trap 'exit 1' TERM
                [ -e hook.pid ] || {
                    sh -c 'trap \"\" TERM; echo $$ > hook.pid; while :; do sleep 0.1; done' & wait
                }
                halt";
    let scene = Scene::new()
        .set("cooldown", "100ms")
        .set("stop_timeout", "300ms")
        .hook("start", &format!("[ -e hook.pid ] && {IS_OVER}; launch"))
        .hook("stop", stop);
    let mut killed = scene.run();
    scene.client().ask("hello");
    killed.await_line("the stop took longer than 300ms");
    killed.kill();
    drop(killed);
    scene.kill_target();

    let dormouse = scene.run();
    dormouse.await_line("a stop was under way when Dormouse last ended");
    scene.client().ask("hello again");
    assert!(!scene.path("overlap").exists(), "a start hook ran beside what was left of a stop");
}

#[test]
fn rule_10_a_start_that_an_exit_cut_off_is_undone_and_begun_again_for_the_next_client() {
    let scene = Scene::new().hook("start", "[ -e go ] || { touch waits; sleep 1000; }; launch");
    let mut first = scene.run();
    let client = scene.client();
    scene.until("the start hook waits", || scene.path("waits").exists());
    first.terminate();
    drop((first, client));

    scene.touch("go");
    let dormouse = scene.run();
    dormouse.await_line("a start was cancelled when Dormouse last ended: undoing it");
    scene.client().ask("hello");
    assert_eq!(scene.hooks(), ["start client", "stop failed-start", "start client"]);
}
