//! `dormouse plugin inspect`.

use dormouse::config;

use super::*;
use crate::support::http::sending;

#[test]
fn inspect_tells_decisions_imports_and_grants() {
    let guest = Guest::new()
        .gate("(call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))")
        .runs("true", &[], None)
        .import("wasi:cli/environment@0.2.0", "get-environment", "environment", "(param i32)")
        .import("other: interface { f: func(); }", "f", "f", "")
        .export("run: func()")
        .function(r#"(func (export "run"))"#);
    let folder = Folder::new();
    let component = guest.build();
    folder.write("p.wasm", &component);
    let size = format!("({})", bytesize::ByteSize(component.len() as u64));
    let told = plugin(&folder, &["inspect", "p.wasm"]).replace(&size, "([SIZE])");
    insta::assert_snapshot!(told, @r#"
exit status: 0
----- stdout -----
p.wasm ([SIZE])

Decisions:
  lifecycle  starts and stops the target
  gate       judges whether a client may wake the target
  run is exported too, and not used by Dormouse

Imports:
  wasi:cli/environment@0.2.0
  other  (not offered: it can't be loaded)
  dormouse:plugin/types@0.1.0
  dormouse:plugin/process@0.1.0

Costs:
  to compile, once       [TIME]
  there is no instance: it imports what this Dormouse does not offer: `other`. It offers `dormouse:plugin`, WASI 0.2 and 0.3, and of HTTP the sending of requests in 0.2; build the plugin without the rest

For the config:

[plugins.p]
wasm = "p.wasm"
[plugins.p.allow]
exec = [["PROGRAM", "ARGUMENT"]]  # it runs commands: say which
# env = ["NAME"]  # if it reads variables of the environment
----- stderr -----
"#);
}

#[test]
fn inspect_of_what_is_no_component_says_so() {
    let folder = Folder::new();
    folder.write("p.wasm", Guest::new().core_module());
    insta::assert_snapshot!(plugin(&folder, &["inspect", "p.wasm"]), @r#"
exit status: 1
----- stdout -----
----- stderr -----
error: `p.wasm` can't be loaded: it is a core module, and a plugin is a component. Build it for `wasm32-wasip2`, or make a component of it: `wasm-tools component new MODULE.wasm -o PLUGIN.wasm`
"#);
}

#[test]
fn inspect_of_a_component_that_does_not_load_says_why_there_is_no_instance() {
    let guest = Guest::new().import("other: interface { f: func(); }", "f", "f", "");
    let told = plugin(&folder_with(&guest), &["inspect", "p.wasm"]);
    assert!(
        told.contains("there is no instance: it imports what this Dormouse does not"),
        "{told}"
    );
}

#[test]
fn what_inspect_says_for_the_config_is_a_config() {
    let guest = Guest::new().runs("true", &[], None).import(
        "wasi:cli/environment@0.2.0",
        "get-environment",
        "environment",
        "(param i32)",
    );
    let folder = folder_with(&guest);
    let told = plugin(&folder, &["inspect", "p.wasm"]);
    let (_, toml) = told.split_once("For the config:\n").unwrap();
    let (toml, _) = toml.split_once("-----").unwrap();
    let service = "[services.web]\nlisten = \"127.0.0.1:8080\"\ntarget = \"127.0.0.1:80\"\n\
                   lifecycle = \"p\"\n";
    folder.write("dormouse.toml", format!("{service}{toml}"));
    let (config, _) = config::read(&folder.path().join("dormouse.toml")).unwrap();
    assert_eq!(config.plugins[0].allow.exec.len(), 1);
}

#[test]
fn inspect_has_a_form_for_programs() {
    let guest = Guest::new().runs("true", &[], None).import(
        "wasi:cli/environment@0.2.0",
        "get-environment",
        "environment",
        "(param i32)",
    );
    let folder = folder_with(&guest);
    let outcome = folder.outcome(&["plugin", "inspect", "p.wasm", "--json"], &[]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let mut told: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    for figure in ["size_bytes", "compile_ms", "instance_bytes"] {
        assert!(told[figure].as_f64().unwrap() > 0.0, "{figure}: {told}");
        told[figure] = "[FIGURE]".into();
    }
    let expected = serde_json::json!({
        "file": "p.wasm",
        "size_bytes": "[FIGURE]",
        "decisions": ["lifecycle"],
        "other_exports": [],
        "imports": [
            { "name": "wasi:cli/environment@0.2.0", "offered": true },
            { "name": "dormouse:plugin/types@0.1.0", "offered": true },
            { "name": "dormouse:plugin/process@0.1.0", "offered": true },
        ],
        "grants": [
            { "key": "exec", "meant": true },
            { "key": "env", "meant": false },
        ],
        "toml": told["toml"],
        "compile_ms": "[FIGURE]",
        "instance_bytes": "[FIGURE]",
        "fault": null,
    });
    assert_eq!(told, expected);
}

#[test]
fn inspect_tells_the_grant_of_a_plugin_that_sends_requests() {
    let folder = Folder::new();
    folder.write("p.wasm", sending(&[]).build());
    let told = plugin(&folder, &["inspect", "p.wasm"]);
    assert!(told.contains("[plugins.p.allow]\nhttp = [\"https://HOST\"]"), "{told}");
    assert!(!told.contains("not offered"), "{told}");
}
