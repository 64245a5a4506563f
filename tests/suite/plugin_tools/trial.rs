//! `dormouse plugin try`: one decision.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// The longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_conversation_is_shown_message_by_message() {
    let folder = folder_with(&greeter());
    let arguments = ["try", "p.wasm", "should-wake", "--send", "hi", "--send", r"\r\n\x00!"];
    insta::assert_snapshot!(plugin(&folder, &arguments), @r#"
exit status: 0
----- stdout -----
should-wake (asleep; 192.0.2.1:50000 sends "hi")
  answer    more
  consumes  0 bytes
  log       debug    too short
  time      [TIME]
  cpu       [TIME] of 1s
  memory    [SIZE] of 64.0 MiB

should-wake (asleep; 192.0.2.1:50000 sends "\r\n\x00!")
  answer    wake
  sends     "hello\r\n" (7 bytes)
  consumes  5 bytes
  log       warning  that will do
  time      [TIME]
  cpu       [TIME] of 1s
  memory    [SIZE] of 64.0 MiB
----- stderr -----
"#);
}

#[test]
fn a_client_may_stay_silent() {
    let folder = folder_with(&greeter());
    let told = plugin(&folder, &["try", "p.wasm", "should-wake", "--client", "[::1]:9"]);
    assert!(told.contains("should-wake (asleep; [::1]:9 is silent)\n  answer    more\n"), "{told}");
}

#[test]
fn bytes_behind_the_verdict_are_not_sent_and_that_is_told() {
    let folder = folder_with(&greeter());
    let arguments = ["try", "p.wasm", "should-wake", "--send", "hello", "--send", "again"];
    let told = plugin(&folder, &arguments);
    assert!(told.contains("the conversation is over: 1 more `--send` were not sent"), "{told}");
}

#[test]
fn a_denial_is_told_with_its_remedy_and_is_no_success() {
    let folder = folder_with(&starter());
    insta::assert_snapshot!(plugin(&folder, &["try", "p.wasm", "start"]), @r#"
exit status: 1
----- stdout -----
start (cause: client 192.0.2.1:50000)
  failure   denied
            the plugin `p`: the config does not let this plugin run ["docker", "start", "mc"]. To allow it, write this under `[plugins.p.allow]`: exec = [["docker", "start", "mc"]]
  denied    it may not run ["docker", "start", "mc"]
            To allow it, write this under `[plugins.p.allow]`: exec = [["docker", "start", "mc"]]
  time      [TIME]
  cpu       [TIME] of 1s
  memory    [SIZE] of 64.0 MiB
----- stderr -----
"#);
}

#[test]
fn an_answer_beside_a_denial_is_no_success_either() {
    let guest = Guest::bare().runs("docker", &[], None);
    let folder = folder_with(&guest.lifecycle("(call $run) (call $done)", "(call $done)"));
    assert_eq!(status(&folder, &["try", "p.wasm", "start"]), Some(1));
    assert_eq!(status(&folder, &["try", "p.wasm", "stop"]), Some(0));
}

#[test]
fn a_grant_of_a_flag_is_a_grant() {
    let guest = Guest::bare().runs("echo", &["hi"], None);
    let folder = folder_with(&guest.lifecycle("(call $run) (call $tell)", "(call $done)"));
    let told =
        plugin(&folder, &["try", "p.wasm", "start", "--allow", r#"exec = [["echo", "hi"]]"#]);
    assert!(told.contains("the plugin `p`: hi\n"), "{told}");
}

#[test]
fn a_trap_is_told_and_fails() {
    let folder = folder_with(&starter());
    insta::assert_snapshot!(plugin(&folder, &["try", "p.wasm", "stop"]), @"
exit status: 1
----- stdout -----
stop (cause: cooldown)
  failure   broken
            the plugin `p` crashed in `stop`: it gave up with a panic or an abort. This is a fault of the plugin: report it to its author
  time      [TIME]
  cpu       [TIME] of 1s
  memory    [SIZE] of 64.0 MiB
----- stderr -----
");
}

#[test]
fn a_limit_of_a_flag_is_a_limit() {
    let folder =
        folder_with(&Guest::bare().lifecycle("(loop (br 0)) (call $done)", "(call $done)"));
    let told = plugin(&folder, &["try", "p.wasm", "start", "--limits", "cpu = \"50ms\""]);
    assert!(told.contains("used up the CPU time of a call (50ms) in `start`"), "{told}");
    assert!(told.contains("  cpu       [TIME] of 50ms\n"), "{told}");
}

#[test]
fn grants_and_limits_come_from_a_config_as_well() {
    let folder = folder_with(&starter());
    folder.program("docker", "#!/bin/sh\necho ran \"$@\"\n");
    let docker = folder.path().join("docker").display().to_string();
    let guest = Guest::bare().runs(&docker, &["start"], None);
    folder.write("p.wasm", guest.lifecycle("(call $run) (call $tell)", "(call $done)").build());
    let config = r#"
[services.web]
listen = "127.0.0.1:8080"
target = "10.0.0.7:80"
lifecycle = "container"
[plugins.container]
wasm = "elsewhere.wasm"
allow = { exec = ["./docker"] }
limits = { cpu = "3s" }
"#;
    folder.write("dormouse.toml", config);
    let from = |name| {
        let arguments = ["try", "p.wasm", "start", "--config", "dormouse.toml", "--plugin", name];
        plugin(&folder, &arguments)
    };
    let told = from("container");
    assert!(told.contains("the plugin `container`: ran start\n"), "{told}");
    assert!(told.contains("  cpu       [TIME] of 3s\n"), "{told}");
    insta::assert_snapshot!(from("box"), @"
exit status: 1
----- stdout -----
----- stderr -----
error: no service of the config has a plugin `box`
  = help: its services have `container`
");
}

#[test]
fn mistakes_in_flags_are_told_with_their_place() {
    let folder = folder_with(&greeter());
    let told: Vec<_> = [
        ["--allow", "exce = [\"true\"]"],
        ["--limits", "cpu = 5"],
        ["--settings", "{ \"a\" = ["],
        ["--target", "localhost"],
    ]
    .iter()
    .map(|[flag, value]| plugin(&folder, &["try", "p.wasm", "should-wake", flag, value]))
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
exit status: 2
----- stdout -----
----- stderr -----
error: unknown key `exce` in `--allow`
 --> --allow:1:1
  |
1 | exce = ["true"]
  | ^^^^ did you mean `exec`?

exit status: 2
----- stdout -----
----- stderr -----
error: `cpu` must be a duration, not a whole number
 --> --limits:1:7
  |
1 | cpu = 5
  |       ^ this is a whole number
  |
  = help: write it as a string with a unit, such as `"15m"`

exit status: 2
----- stdout -----
----- stderr -----
error: this is not TOML: unclosed array, expected `]`
 --> --settings:1:21
  |
1 | settings = { "a" = [
  |                     ^

exit status: 2
----- stdout -----
----- stderr -----
error: `--target` can't be `localhost`: the port is missing
  = help: add the port, for example "localhost:8080"
"#);
}

#[test]
fn wrong_usage_is_told_and_exits_with_2() {
    let folder = folder_with(&greeter());
    let told: Vec<_> = [
        &["try", "p.wasm"][..],
        &["try", "p.wasm", "should-wake", "--idle-for", "5m"],
        &["try", "p.wasm", "should-wake", "--send", r"\q"],
        &["try", "p.wasm", "should-wake", "--client", "192.0.2.1"],
        &["try", "p.wasm", "--script", "s.toml", "--send", "x"],
        &["try", "p.wasm", "start", "--config", "dormouse.toml"],
    ]
    .iter()
    .map(|arguments| plugin(&folder, arguments))
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
exit status: 2
----- stdout -----
----- stderr -----
error: the following required arguments were not provided:
  <CALL>

Usage: dormouse plugin try <FILE> <CALL>

For more information, try '--help'.

exit status: 2
----- stdout -----
----- stderr -----
error: `--idle-for` says nothing about `should-wake`, whose flags are `--send`, `--client`, `--phase`

Usage: dormouse plugin try [OPTIONS] <FILE> [CALL]

For more information, try '--help'.

exit status: 2
----- stdout -----
----- stderr -----
error: invalid value '\q' for '--send <BYTES>': there is no escape `\q`; `\\` is a `\`

For more information, try '--help'.

exit status: 2
----- stdout -----
----- stderr -----
error: invalid value '192.0.2.1' for '--client <ADDRESS>': this must be an IP address with a port, such as 192.0.2.1:50000 or [2001:db8::1]:50000

For more information, try '--help'.

exit status: 2
----- stdout -----
----- stderr -----
error: `--send` can't be used with `--script`: its steps say it

Usage: dormouse plugin try [OPTIONS] <FILE> [CALL]

For more information, try '--help'.

exit status: 2
----- stdout -----
----- stderr -----
error: the following required arguments were not provided:
  --plugin <NAME>

Usage: dormouse plugin try --config <FILE> --plugin <NAME> <FILE> <CALL>

For more information, try '--help'.
"#);
}

#[test]
fn a_decision_that_a_plugin_does_not_make_is_told() {
    let folder = folder_with(&greeter());
    insta::assert_snapshot!(plugin(&folder, &["try", "p.wasm", "start"]), @"
exit status: 1
----- stdout -----
----- stderr -----
error: the plugin can't be asked `start`: it does not export `lifecycle`, but `gate`
  = help: ask what it exports, or export the interface: `dormouse plugin wit` writes it
");
}

#[test]
fn a_file_that_can_not_be_loaded_is_told() {
    let folder = Folder::new();
    insta::assert_snapshot!(plugin(&folder, &["try", "p.wasm", "start"]), @"
exit status: 1
----- stdout -----
----- stderr -----
error: the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: there is no such file. Check the path; in a config, a relative one begins at the config's folder
");
}

#[test]
fn programs_read_the_same_as_json() {
    let folder = folder_with(&greeter());
    let arguments = ["plugin", "try", "p.wasm", "should-wake", "--send", "hello", "--json"];
    let outcome = folder.outcome(&arguments, &[]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let mut told: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    for figure in ["time_ms", "cpu_ms", "memory_bytes"] {
        assert!(told[figure].as_f64().unwrap() > 0.0, "{figure}: {told}");
        told[figure] = "[FIGURE]".into();
    }
    let expected = serde_json::json!({
        "call": "should-wake",
        "answer": { "is": "wake", "send_hex": "68656c6c6f0d0a", "consumed": 5 },
        "failure": null,
        "log": [{ "level": "warning", "text": "that will do" }],
        "denied": [],
        "time_ms": "[FIGURE]",
        "cpu_ms": "[FIGURE]",
        "memory_bytes": "[FIGURE]",
    });
    assert_eq!(told, expected);
}

#[test]
fn settings_are_toml_or_json() {
    let guest = Guest::bare()
        .import("dormouse:plugin/settings@0.1.0", "get", "settings", "(param i32)")
        .lifecycle(
            "(call $settings (i32.const 2048))
             (call $fail (i32.const 2) (i32.load (i32.const 2048)) (i32.load (i32.const 2052)))",
            "(call $done)",
        );
    let folder = folder_with(&guest);
    for settings in ["a = 1\nb = [true]", r#"{"a": 1, "b": [true]}"#, "{ a = 1, b = [true] }"] {
        let told = plugin(&folder, &["try", "p.wasm", "start", "--settings", settings]);
        assert!(told.contains(r#"the plugin `p`: {"a":1,"b":[true]}"#), "{settings}: {told}");
    }
}

/// A lifecycle whose start sets a value, and whose stop fails if it is there.
fn keeper() -> Guest {
    let mut guest = Guest::bare()
        .import("dormouse:plugin/state@0.1.0", "get", "get", "(param i32 i32 i32)")
        .import("dormouse:plugin/state@0.1.0", "set", "set", "(param i32 i32 i32 i32 i32)");
    let (key, value) = (guest.text("key"), guest.text("kept"));
    guest.lifecycle(
        &format!("(call $set {key} {value} (i32.const 2048)) (call $done)"),
        &format!(
            "(call $get {key} (i32.const 2048))
             (if (result i32) (i32.load8_u (i32.const 2052))
                (then (call $fail (i32.const 2)
                    (i32.load (i32.const 2056)) (i32.load (i32.const 2060))))
                (else (call $done)))"
        ),
    )
}

#[test]
fn state_is_gone_afterwards_unless_there_is_a_folder_for_it() {
    let folder = folder_with(&keeper());
    assert_eq!(status(&folder, &["try", "p.wasm", "start"]), Some(0));
    assert_eq!(status(&folder, &["try", "p.wasm", "stop"]), Some(0));
    assert_eq!(status(&folder, &["try", "p.wasm", "start", "--state-dir", "kept"]), Some(0));
    assert_eq!(status(&folder, &["try", "p.wasm", "stop", "--state-dir", "kept"]), Some(1));
}

#[test]
fn nothing_is_left_in_the_temporary_folder() {
    let folder = folder_with(&keeper());
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let variables = [("TMPDIR", temporary.to_str().unwrap())];
    let outcome = folder.outcome(&["plugin", "try", "p.wasm", "start"], &variables);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}

/// `dormouse plugin try …` that runs, with its stdout and stderr in one stream of lines.
struct Running {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Running {
    fn start(folder: &Folder, arguments: &[&str]) -> Running {
        let (reader, writer) = std::io::pipe().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_dormouse"))
            .args(["plugin", "try"])
            .args(arguments)
            .current_dir(folder.path())
            .env("TMPDIR", folder.path().join("tmp"))
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            .stdin(Stdio::null())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Running { child, lines }
    }

    /// Waits for a line with this text.
    fn line(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("no {text:?}"));
            if line.contains(text) {
                return;
            }
        }
    }

    /// Ends it as Ctrl-C does, and gives its exit status.
    fn interrupt(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child.kill().unwrap();
        panic!("it did not end");
    }
}

#[test]
fn a_changed_file_is_tried_again_until_ctrl_c() {
    let folder = folder_with(&Guest::new());
    fs::create_dir(folder.path().join("tmp")).unwrap();
    let running = Running::start(&folder, &["p.wasm", "start", "--watch"]);
    running.line("answer    done");
    running.line("waiting for a change");
    folder.write("p.wasm", "no component");
    running.line("it is no WebAssembly");
    running.line("waiting for a change");
    let mut guest = Guest::bare();
    let text = guest.text("another one");
    let start = format!("(call $fail (i32.const 2) {text})");
    folder.write("p.wasm", guest.lifecycle(&start, "(call $done)").build());
    running.line("another one");
    running.line("waiting for a change");
    assert_eq!(running.interrupt(), Some(0));
}

#[test]
fn ctrl_c_ends_a_call_with_its_command_and_leaves_nothing_behind() {
    let guest = Guest::bare().runs("/bin/sh", &["-c", "echo $$ > pid; exec sleep 1000"], None);
    let folder = folder_with(&guest.lifecycle("(call $run) (call $tell)", "(call $done)"));
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let running = Running::start(&folder, &["p.wasm", "start", "--allow", "exec = [\"/bin/sh\"]"]);
    let deadline = Instant::now() + PATIENCE;
    let pid = loop {
        let found = fs::read_to_string(folder.path().join("pid")).unwrap_or_default();
        if let Ok(pid) = found.trim().parse::<i32>() {
            break pid;
        }
        assert!(Instant::now() < deadline, "the command does not run");
        std::thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(running.interrupt(), Some(1));
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "the command lives on");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}
