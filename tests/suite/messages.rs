//! What Dormouse says about hooks that can't be run: one message each, by `dormouse check`.

#![allow(clippy::expect_used, reason = "a test that fails here should fail loudly")]

use std::fs;
use std::os::unix::net::UnixListener;

use crate::support::command::Folder;

macro_rules! snapshot {
    ($text:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($text) })
    };
}

/// A folder with a service whose start hook is this.
fn with_hook(hook: &str) -> Folder {
    Folder::with_config(&format!(
        "[services.web]\n\
         listen = \"0.0.0.0:8080\"\n\
         target = \"192.168.1.5:80\"\n\
         hooks = {{ start = \"{hook}\", stop = \"true\" }}\n"
    ))
}

/// What `check` writes to stderr, which is all that is about the hook.
fn complaint(folder: &Folder) -> String {
    let said = folder.dormouse(&["check"]);
    assert!(said.starts_with("exit status: 1\n"), "{said}");
    said.split_once("----- stderr -----\n").expect("a stderr").1.to_owned()
}

#[test]
fn a_hook_that_is_missing() {
    snapshot!(complaint(&with_hook("./start.sh")));
}

#[test]
fn a_hook_with_arguments_in_its_path() {
    let folder = with_hook("./start.sh --fast");
    folder.program("start.sh", "#!/bin/sh\n");
    snapshot!(complaint(&folder));
}

#[test]
fn a_hook_that_is_not_in_path() {
    snapshot!(complaint(&with_hook("start-the-server")));
}

#[test]
fn a_hook_without_a_slash_that_is_beside_the_config() {
    let folder = with_hook("start.sh");
    folder.program("start.sh", "#!/bin/sh\n");
    snapshot!(complaint(&folder));
}

#[test]
fn a_hook_that_is_not_executable() {
    let folder = with_hook("./start.sh");
    folder.write("start.sh", "#!/bin/sh\n");
    snapshot!(complaint(&folder));
}

#[test]
fn a_hook_without_a_shebang() {
    let folder = with_hook("./start.sh");
    folder.program("start.sh", "echo hello\n");
    snapshot!(complaint(&folder));
}

#[test]
fn a_hook_that_is_empty() {
    let folder = with_hook("./start.sh");
    folder.program("start.sh", "");
    snapshot!(complaint(&folder));
}

#[test]
fn a_hook_from_windows() {
    let folder = with_hook("./start.sh");
    folder.program("start.sh", "#!/bin/sh\r\nexit 0\r\n");
    snapshot!(complaint(&folder));
}

#[test]
fn a_hook_whose_interpreter_is_missing() {
    let folder = with_hook("./start.sh");
    folder.program("start.sh", "#!/opt/python/bin/python3\n");
    snapshot!(complaint(&folder));
}

#[test]
fn a_hook_that_is_a_folder() {
    let folder = with_hook("./start.sh");
    fs::create_dir(folder.path().join("start.sh")).expect("a folder");
    snapshot!(complaint(&folder));
}

#[test]
fn a_hook_that_is_a_socket() {
    let folder = with_hook("./start.sh");
    let _socket = UnixListener::bind(folder.path().join("start.sh")).expect("a socket");
    snapshot!(complaint(&folder));
}

#[test]
fn a_program_that_is_granted_and_missing() {
    let folder = with_hook("true");
    let config = fs::read_to_string(folder.path().join("dormouse.toml")).expect("a config");
    let config = config
        + "gate = \"door\"\n\
           [plugins.door]\n\
           wasm = \"builtin:shell\"\n\
           settings = { should_wake = \"true\" }\n\
           allow = { exec = [\"true\", \"./missing\"] }\n";
    folder.write("dormouse.toml", config);
    let outcome = folder.outcome(&["check"], &[]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    snapshot!(outcome.stderr.replace(&folder.path().display().to_string(), "[FOLDER]"));
}

#[test]
fn several_hooks_at_once() {
    let folder = with_hook("./start.sh");
    let config = fs::read_to_string(folder.path().join("dormouse.toml")).expect("a config");
    folder.write("dormouse.toml", config.replace("\"true\"", "\"./stop.sh\""));
    snapshot!(complaint(&folder));
}
