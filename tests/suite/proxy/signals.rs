//! Signals: those that end Dormouse, those that don't, and what hooks inherit of them and of limits.

use rustix::process::Signal;

use crate::support::proxy::Scene;

#[test]
fn rule_14_a_hangup_or_a_quit_is_an_end_in_good_order() {
    for (signal, name) in [(Signal::HUP, "SIGHUP"), (Signal::QUIT, "SIGQUIT")] {
        let scene = Scene::new().set("stop_on_exit", true);
        let mut dormouse = scene.run();
        scene.client().ask("hello");
        dormouse.signal(signal);
        dormouse.await_line(&format!("{name}: exiting"));
        assert_eq!(dormouse.await_end().code(), Some(0), "{name}");
        assert_eq!(scene.hooks(), ["start client", "stop exit"], "{name}");
        assert!(!scene.is_up(), "{name}");
    }
}

#[test]
fn a_hangup_says_that_the_config_is_not_read_again() {
    let scene = Scene::new();
    let mut dormouse = scene.run();
    dormouse.signal(Signal::HUP);
    dormouse.await_line("SIGHUP ends Dormouse: a change of the config needs a restart");
    assert_eq!(dormouse.await_end().code(), Some(0));
}

#[test]
fn rule_14_a_hangup_is_no_second_signal() {
    let scene = Scene::new();
    let mut dormouse = scene.run();
    let client = scene.client();
    client.ask("hello");
    for signal in [Signal::HUP, Signal::TERM] {
        dormouse.signal(signal);
        if signal == Signal::HUP {
            dormouse.await_line("SIGHUP: exiting");
            dormouse.signal(Signal::HUP);
            // Its connection would have been cut.
            client.ask("let me go on");
        }
    }
    dormouse.await_line("SIGTERM again: exiting at once");
    dormouse.await_end();
}

#[test]
fn a_hangup_that_was_ignored_at_the_start_stays_ignored() {
    let scene = Scene::new();
    let mut dormouse = scene.run_ignoring(&["HUP"]);
    dormouse.signal(Signal::HUP);
    dormouse.await_line("SIGHUP is ignored, as it was when Dormouse was started");
    scene.client().ask("hello");
    dormouse.terminate();
}

#[test]
fn signals_without_a_meaning_are_logged_and_end_nothing() {
    let scene = Scene::new();
    let mut dormouse = scene.run();
    for (signal, name) in
        [(Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2"), (Signal::ALARM, "SIGALRM")]
    {
        dormouse.signal(signal);
        dormouse.await_line(&format!("{name} has no meaning for Dormouse, and is ignored"));
    }
    scene.client().ask("hello");
    dormouse.terminate();
    assert_eq!(scene.hooks(), ["start client"]);
}

#[test]
fn hooks_begin_with_default_signals_and_are_waited_for_whoever_started_dormouse() {
    let numbers = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("USR1", 10),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        ("CHLD", 17),
    ];
    let scene = Scene::new().hook("start", "grep SigIgn: /proc/self/status > ignored; launch");
    let mut dormouse = scene.run_ignoring(&numbers.map(|(name, _)| name));
    scene.client().ask("hello");
    let ignored = scene.read("ignored");
    let mask = ignored.trim().strip_prefix("SigIgn:").expect("a mask").trim();
    let mask = u64::from_str_radix(mask, 16).expect("a mask");
    for (name, number) in numbers {
        assert_eq!(mask & (1 << (number - 1)), 0, "{name} is ignored");
    }
    dormouse.terminate();
}

#[test]
fn hooks_have_the_limit_of_open_files_that_dormouse_was_started_with() {
    let scene = Scene::new()
        .hook("start", "echo \"$(ulimit -Sn) $(ulimit -Hn)\" > limits; launch")
        .hook("stop", "echo \"$(ulimit -Sn) $(ulimit -Hn)\" > limits; halt")
        .set("cooldown", "0s");
    let dormouse = scene.run_with_few_open_files_at_first(200);
    scene.client().ask("hello");
    assert_eq!(scene.read("limits"), "200 1000\n");
    dormouse.await_line("the target is stopped");
    assert_eq!(scene.read("limits"), "200 1000\n");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", dormouse.pid()));
    let limits = limits.expect("a process");
    let own = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let own: Vec<&str> = own.split_whitespace().skip(3).take(2).collect();
    assert_eq!(own, ["1000", "1000"]);
}
