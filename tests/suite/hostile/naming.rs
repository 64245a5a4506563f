//! Names and texts with `../`, NUL and control characters, wherever a plugin can put one.
//!
//! That no line of the log has a control character, and that the folder of the state has only what
//! belongs there, each ordeal asserts.

use std::fs;

use crate::support::guest::{Guest, RETURNED};

use super::ordeal::Ordeal;

/// Leads out of a folder, ends a string in C, clears a terminal, forges a line, turns the writing.
const EVIL: &str = "../../evil\0\u{1b}[2J\u{9b}2J\r\n2026-01-01T00:00:00Z ERROR forged\u{202e}";

/// How the log shows it.
const TAMED: &str =
    r"../../evil\u{0}\u{1b}[2J\u{9b}2J\r\n2026-01-01T00:00:00Z ERROR forged\u{202e}";

#[test]
fn an_evil_line_of_a_log_is_shown_tame() {
    let mut guest = Guest::bare();
    let evil = guest.text(EVIL);
    let guest = guest
        .lifecycle(&format!("(call $log (i32.const 1) {evil}) (call $done)"), "(call $done)")
        .import("dormouse:plugin/log@0.1.0", "write", "log", "(param i32 i32 i32)");
    Ordeal::new("lifecycle", &guest).endure(|trial| {
        trial.scene.launch();
        trial.client_is_served();
        trial.told_once(&[TAMED]);
    });
}

#[test]
fn an_evil_message_of_a_failure_is_shown_tame() {
    let mut guest = Guest::bare();
    let evil = guest.text(EVIL);
    let guest = guest.lifecycle(&format!("(call $fail (i32.const 0) {evil})"), "(call $done)");
    Ordeal::new("lifecycle", &guest).endure(|trial| {
        trial.scene.launch();
        trial.client_is_closed();
        trial.told_once(&["the start failed", "../../evil", "forged"]);
    });
}

#[test]
fn an_evil_word_on_progress_is_shown_tame() {
    let mut guest = Guest::bare();
    let evil = guest.text(EVIL);
    let guest = guest.readiness(&format!("(call $not_yet {evil})"));
    Ordeal::new("readiness", &guest).set("start_timeout", "500ms").endure(|trial| {
        trial.client_is_closed();
        trial.told_once(&["the target was not ready after 500ms", "../../evil", "forged"]);
    });
}

#[test]
fn an_evil_label_of_a_command_is_shown_tame() {
    let guest = Guest::bare()
        .runs_as(EVIL, "/bin/echo", &["hello"], None)
        .lifecycle("(call $run) (call $done)", "(call $done)");
    let grant = toml::Value::from(vec!["/bin/echo"]);
    Ordeal::new("lifecycle", &guest).allow("exec", grant).endure(|trial| {
        trial.scene.launch();
        trial.client_is_served();
        trial.told_once(&["hello", "../../evil", "hook="]);
    });
}

#[test]
fn an_evil_command_that_is_denied_is_shown_tame() {
    let guest = Guest::bare()
        .runs(EVIL, &[EVIL], None)
        .lifecycle("(call $run) (call $done)", "(call $done)");
    Ordeal::new("lifecycle", &guest).endure(|trial| {
        trial.scene.launch();
        trial.client_is_served();
        trial.told_once(&["the plugin wanted to run", "../../evil", "was denied"]);
    });
}

#[test]
fn an_evil_key_of_the_state_is_no_name_of_a_file() {
    let mut guest = Guest::bare();
    let evil = guest.text(EVIL);
    let set = format!(
        "(call $state_set {evil} {evil} (i32.const {RETURNED}))
         (if (i32.load8_u (i32.const {RETURNED})) (then (unreachable)))
         (call $done)"
    );
    let guest = guest.lifecycle(&set, "(call $done)").import(
        "dormouse:plugin/state@0.1.0",
        "set",
        "state_set",
        "(param i32 i32 i32 i32 i32)",
    );
    Ordeal::new("lifecycle", &guest).endure(|trial| {
        trial.scene.launch();
        trial.client_is_served();
        let folder = fs::read_dir(trial.scene.path("state")).expect("a folder");
        let names = folder.map(|file| file.expect("a file").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        // A file of a service has its name, and one that is being written has none yet.
        let is_of_dormouse = |name: &String| {
            name.ends_with(".phase") || name.starts_with(".tmp") || name == "cache.key"
        };
        let of_plugins: Vec<String> = names.filter(|name| !is_of_dormouse(name)).collect();
        assert_eq!(of_plugins, ["plugin+hostile+web.state"]);
    });
}
