//! Crowds of clients at a gate that does much: other services are woken as ever.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::guest::Guest;
use crate::support::proxy::{Client, Dormouse, Scene};

use super::LOOP;

/// How many clients are at the hostile gate.
const CROWD: usize = 128;

/// The longest that a wake of another service may take: it takes a tenth of a second where nothing
/// else runs, and a machine with two cores and a dozen tests on them is granted this.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest of a few wakes of `other` while a crowd is at the gate of `web`.
fn wakes_beside(scene: &Scene, run: &Dormouse<'_>) -> Duration {
    let crowd: Vec<Client> = (0..CROWD)
        .map(|_| {
            let client = scene.client();
            client.send("x");
            client
        })
        .collect();
    run.await_line("the gate failed");
    let mut longest = Duration::ZERO;
    for wakes in 1..=4 {
        let begin = Instant::now();
        scene.client_of("other").ask("wake up");
        longest = longest.max(begin.elapsed());
        scene.until("it is stopped again", || scene.hooks_of("other").len() == 2 * wakes);
    }
    drop(crowd);
    longest
}

fn scene(guest: &Guest) -> Scene {
    Scene::new()
        .service("other")
        .set_of("other", "cooldown", "0s")
        .plugin("hostile", guest.build())
        .set("gate", "hostile")
        .set("on_gate_error", "refuse")
}

#[test]
fn a_crowd_at_a_gate_that_computes_delays_no_wake_of_another_service() {
    let limits = toml::toml! { cpu = "900ms" };
    let scene = scene(&Guest::bare().gate(LOOP)).set_of_plugin("hostile", "limits", limits);
    let longest = wakes_beside(&scene, &scene.run());
    assert!(longest < PATIENCE, "a wake took {longest:?}");
}

#[test]
fn a_crowd_at_a_gate_that_opens_a_pipe_delays_no_wake_of_another_service() {
    // 4 MiB each, which must be free again though the pipe is never opened.
    let open = "(drop (memory.grow (i32.const 64)))
        (memory.fill (i32.const 524288) (i32.const 1) (i32.const 3670016))
        (drop (call $open)) (call $done)";
    let guest = Guest::bare().opens("console", 0, 1).gate(open);
    let limits = toml::toml! { call = "200ms" };
    let scene = scene(&guest).set_of_plugin("hostile", "limits", limits);
    let folder = scene.path("data");
    fs::create_dir(&folder).unwrap();
    let (at, mode) = (rustix::fs::CWD, rustix::fs::Mode::RWXU);
    let pipe = folder.join("console");
    rustix::fs::mknodat(at, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let scene = scene.allow("hostile", "read", vec![folder.to_str().unwrap()]).set("max_gates", 16);
    let run = scene.run();
    let longest = wakes_beside(&scene, &run);
    assert!(longest < PATIENCE, "a wake took {longest:?}");
    scene.until("further clients are refused at once", || {
        scene.client().send("x");
        run.log().iter().any(|line| line.contains("limits.threads"))
    });
    let status = fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory: usize = memory.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(memory < 200 << 10, "{memory} KiB are in use, of 512 MiB that all calls had");
    let tasks = fs::read_dir(format!("/proc/{}/task", run.pid())).unwrap().count();
    assert!(tasks < 40, "{tasks} threads");
}
