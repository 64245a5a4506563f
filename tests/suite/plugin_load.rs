//! What happens to a plugin's file before anything of it runs: each way in which it can be wrong,
//! the cache.
#![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use dormouse::config::{Decider, PluginId, PluginSource};
use dormouse::plugin::{Compilations, Decision, LoadFault};

use crate::support::guest::{Guest, package};
use crate::support::stage::Stage;

/// The error for a plugin whose file has these bytes.
async fn error_for(bytes: &[u8]) -> (LoadFault, String) {
    let (error, message) = Stage::new(bytes).load_error().await;
    (error.fault, message)
}

/// A gate of another shape: a parameter less, and a plain answer.
fn gate_of_another_shape() -> Guest {
    Guest::bare()
        .against(
            "package dormouse:plugin@0.1.0;
             interface gate { should-wake: func(data: list<u8>) -> bool; }",
        )
        .export("dormouse:plugin/gate@0.1.0")
        .function(
            r#"(func (export "dormouse:plugin/gate@0.1.0#should-wake") (param i32 i32) (result i32)
                (i32.const 1))"#,
        )
}

#[tokio::test]
async fn a_file_that_is_not_there() {
    let stage = Stage::new(b"");
    fs::remove_file(stage.file()).unwrap();
    let (error, message) = stage.load_error().await;
    assert!(matches!(error.fault, LoadFault::Missing));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: there is no such file. Check the path; in a config, a relative one begins at the config's folder");
}

#[tokio::test]
async fn a_path_through_a_file() {
    let mut stage = Stage::new(b"");
    let source = PluginSource::File(stage.file().join("x.wasm"));
    stage.plugin().source = source;
    let (error, _) = stage.load_error().await;
    assert!(matches!(error.fault, LoadFault::Missing));
}

#[tokio::test]
async fn a_file_that_may_not_be_read() {
    let stage = Stage::new(b"");
    // A link that leads to itself: nobody can read it, not even root.
    fs::remove_file(stage.file()).unwrap();
    symlink("p.wasm", stage.file()).unwrap();
    let (error, message) = stage.load_error().await;
    assert!(matches!(error.fault, LoadFault::Unreadable(_)));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it can't be read: Too many levels of symbolic links (os error 40). Dormouse needs permission to read it and to enter its folders");
}

#[tokio::test]
async fn a_folder() {
    let stage = Stage::new(b"");
    fs::remove_file(stage.file()).unwrap();
    fs::create_dir(stage.file()).unwrap();
    let (error, message) = stage.load_error().await;
    assert!(matches!(error.fault, LoadFault::NoFile("a folder")));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it is a folder and no file. Name the component itself, a file that ends in `.wasm`");
}

#[tokio::test]
async fn a_socket_and_a_device() {
    let mut stage = Stage::new(b"");
    fs::remove_file(stage.file()).unwrap();
    let _socket = UnixListener::bind(stage.file()).unwrap();
    let (error, _) = stage.load_error().await;
    assert!(matches!(error.fault, LoadFault::NoFile("a pipe or a socket")));

    // Which would never end.
    stage.plugin().source = PluginSource::File(PathBuf::from("/dev/zero"));
    let (error, _) = stage.load_error().await;
    assert!(matches!(error.fault, LoadFault::NoFile("a device")));
}

#[tokio::test]
async fn a_built_in_plugin_that_this_build_does_not_have() {
    let mut stage = Stage::new(b"");
    stage.plugin().source = PluginSource::Builtin("nonesuch");
    let (error, message) = stage.load_error().await;
    assert!(matches!(error.fault, LoadFault::NoBuiltin(_)));
    let expected = "the plugin `p` can't be loaded from `builtin:nonesuch`: this Dormouse has no \
                    built-in plugin of this name. It has: ";
    assert!(message.starts_with(expected), "{message}");
}

#[tokio::test]
async fn an_empty_file() {
    let (fault, message) = error_for(b"").await;
    assert!(matches!(fault, LoadFault::NotWasm(_)));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it is no WebAssembly (the file is empty). Name the component that your build wrote");
}

#[tokio::test]
async fn a_text_that_is_no_wasm() {
    let (fault, message) = error_for(b"#!/bin/sh\necho start\n").await;
    assert!(matches!(fault, LoadFault::NotWasm(_)));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it is no WebAssembly (it is a text). Name the component that your build wrote");
}

#[tokio::test]
async fn a_native_program() {
    let (fault, message) = error_for(b"\x7fELF\x02\x01\x01\xff\xfe").await;
    assert!(matches!(fault, LoadFault::NotWasm(_)));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it is no WebAssembly (it is a program or library for this machine). Name the component that your build wrote");
}

#[tokio::test]
async fn bytes_that_are_nothing() {
    let (fault, message) = error_for(b"\xff\xfe\x00").await;
    assert!(matches!(fault, LoadFault::NotWasm(_)));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it is no WebAssembly (it begins with other bytes). Name the component that your build wrote");
}

#[tokio::test]
async fn wasm_as_text() {
    for text in ["(module)", ";; a comment\n\n  (component $x)"] {
        let (fault, message) = error_for(text.as_bytes()).await;
        assert!(matches!(fault, LoadFault::Text));
        insta::allow_duplicates! { insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it is WebAssembly in its text form, and Dormouse loads the binary form only. Convert it: `wasm-tools parse INPUT.wat -o OUTPUT.wasm`"); }
    }
}

#[tokio::test]
async fn a_core_module() {
    let (fault, message) = error_for(&Guest::new().core_module()).await;
    assert!(matches!(fault, LoadFault::CoreModule));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it is a core module, and a plugin is a component. Build it for `wasm32-wasip2`, or make a component of it: `wasm-tools component new MODULE.wasm -o PLUGIN.wasm`");
}

#[tokio::test]
async fn a_component_that_was_cut_off() {
    let whole = Guest::new().build();
    let (fault, message) = error_for(&whole[..whole.len() / 2]).await;
    assert!(matches!(fault, LoadFault::Invalid(_)));
    let (before, reason) = message.split_once("does not support: ").unwrap();
    assert!(!reason.starts_with('.'));
    insta::assert_snapshot!(before, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it is damaged, or uses a feature of WebAssembly that Dormouse");
    assert!(
        message.ends_with(". Build it again, with tools that are not newer than this Dormouse")
    );
}

#[tokio::test]
async fn a_component_that_exports_nothing() {
    let (fault, message) = error_for(&Guest::bare().build()).await;
    assert!(matches!(fault, LoadFault::NoDecision(exports) if exports.is_empty()));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it makes no decision: it exports nothing, and none of `dormouse:plugin/lifecycle@0.1.0`, `dormouse:plugin/readiness@0.1.0`, `dormouse:plugin/gate@0.1.0`, `dormouse:plugin/idleness@0.1.0`. Export one of these; `wit/` says what they are");
}

#[tokio::test]
async fn a_component_that_exports_something_else() {
    let other = Guest::bare()
        .export("run: func()")
        .export("other: interface { f: func(); }")
        .function(r#"(func (export "run"))(func (export "other#f"))"#);
    let (fault, message) = error_for(&other.build()).await;
    assert!(matches!(fault, LoadFault::NoDecision(exports) if exports.len() == 2));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it makes no decision: it exports `run`, `other`, and none of `dormouse:plugin/lifecycle@0.1.0`, `dormouse:plugin/readiness@0.1.0`, `dormouse:plugin/gate@0.1.0`, `dormouse:plugin/idleness@0.1.0`. Export one of these; `wit/` says what they are");
}

#[tokio::test]
async fn a_component_for_another_version() {
    let other =
        Guest::bare().against(&package("0.2.0")).export("dormouse:plugin/idleness@0.2.0").function(
            r#"(func (export "dormouse:plugin/idleness@0.2.0#should-sleep")
                (param i32 i32 i32 i32 i32 i64) (result i32) (call $sleep))"#,
        );
    let (fault, message) = error_for(&other.build()).await;
    assert!(matches!(fault, LoadFault::OtherVersion(version) if version == "0.2.0"));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it is built for dormouse:plugin 0.2.0, and this Dormouse speaks 0.1.0. Build it against `wit/dormouse-plugin-0.1.0`, or use a Dormouse that speaks 0.2.0");
}

#[tokio::test]
async fn a_component_for_a_later_0_1() {
    let later = Guest::bare()
        .against(&package("0.1.7"))
        .export("dormouse:plugin/lifecycle@0.1.7")
        .function(
            r#"(func (export "dormouse:plugin/lifecycle@0.1.7#start")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (call $done))
               (func (export "dormouse:plugin/lifecycle@0.1.7#stop")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (call $done))"#,
        )
        .import("dormouse:plugin/target@0.1.7", "probe", "probe", "(param i32)");
    let stage = Stage::new(&later.build());
    let loaded = stage.host().load(&stage.config.plugins[0]).await.unwrap();
    assert_eq!(loaded.decisions(), [Decision::Lifecycle]);
}

#[tokio::test]
async fn a_component_whose_interface_has_another_shape() {
    let (fault, message) = error_for(&gate_of_another_shape().build()).await;
    assert!(matches!(fault, LoadFault::OtherShape { .. }));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: its interface `dormouse:plugin/gate@0.1.0` is not the one that this Dormouse knows: its function `should-wake` differs: expected 4-tuple, found 1-tuple. Build it against `wit/dormouse-plugin-0.1.0`, unchanged");
}

#[tokio::test]
async fn a_component_whose_interface_lacks_a_function() {
    let half = Guest::bare()
        .against("package dormouse:plugin@0.1.0; interface lifecycle { f: func(); }")
        .export("dormouse:plugin/lifecycle@0.1.0")
        .function(r#"(func (export "dormouse:plugin/lifecycle@0.1.0#f"))"#);
    let (fault, message) = error_for(&half.build()).await;
    assert!(matches!(fault, LoadFault::OtherShape { .. }));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: its interface `dormouse:plugin/lifecycle@0.1.0` is not the one that this Dormouse knows: it has no function `start`. Build it against `wit/dormouse-plugin-0.1.0`, unchanged");
}

#[tokio::test]
async fn a_component_that_imports_what_is_not_offered() {
    let greedy = Guest::new().import("other: interface { f: func(); }", "f", "f", "").import(
        "g: func()",
        "g",
        "g",
        "",
    );
    let (fault, message) = error_for(&greedy.build()).await;
    assert!(matches!(fault, LoadFault::UnknownImports(names) if names == ["other", "g"]));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it imports what this Dormouse does not offer: `other`, `g`. It offers `dormouse:plugin`, WASI 0.2 and 0.3, and of HTTP the sending of requests in 0.2; build the plugin without the rest");
}

#[tokio::test]
async fn a_component_that_imports_a_function_that_is_not_offered() {
    let newer = format!("{} interface log2 {{}}", package("0.1.0"))
        .replace("interface settings {", "interface settings { put: func();");
    let guest =
        Guest::new().against(&newer).import("dormouse:plugin/settings@0.1.0", "put", "put", "");
    let (fault, message) = error_for(&guest.build()).await;
    assert!(matches!(fault, LoadFault::OtherImport(_)));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it imports functions that this Dormouse does not offer: component imports instance `dormouse:plugin/settings@0.1.0`, but a matching implementation was not found in the linker: instance export `put` has the wrong type: function implementation is missing. Build it against `wit/dormouse-plugin-0.1.0`, or use a newer Dormouse");
}

#[tokio::test]
async fn a_service_that_wants_a_decision_that_its_plugin_does_not_make() {
    let mut stage =
        Stage::new(&Guest::new().readiness("(call $not_yet (i32.const 0) (i32.const 0))").build());
    stage.service().gate = Decider::Plugin(PluginId(0));
    let (error, message) = stage.load_error().await;
    assert!(matches!(error.fault, LoadFault::LacksDecision { decision: Decision::Gate, .. }));
    insta::assert_snapshot!(message, @r#"the service `s` has `gate = "p"`, but this plugin does not export `dormouse:plugin/gate@0.1.0`. It exports `lifecycle`, `readiness`. Name a plugin that does, or remove `gate`"#);
}

#[tokio::test]
async fn a_service_whose_lifecycle_plugin_starts_nothing() {
    let gate =
        Guest::bare().gate("(call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))");
    let (error, message) = Stage::new(&gate.build()).load_error().await;
    assert!(matches!(error.fault, LoadFault::LacksDecision { decision: Decision::Lifecycle, .. }));
    insta::assert_snapshot!(message, @r#"the service `s` has `lifecycle = "p"`, but this plugin does not export `dormouse:plugin/lifecycle@0.1.0`. It exports `gate`. Name a plugin that does, or write `hooks` in place of `lifecycle`"#);
}

#[tokio::test]
async fn a_service_takes_of_its_plugin_what_it_exports() {
    let stage = Stage::new(&Guest::new().idleness("(call $sleep)").build());
    let deciders = stage.deciders().await;
    assert!(deciders.readiness.is_none() && deciders.gate.is_none());
    assert!(deciders.idleness.is_some());
}

#[tokio::test]
async fn a_service_that_wants_nobody_gets_nobody() {
    let mut stage = Stage::new(&Guest::new().idleness("(call $sleep)").build());
    stage.service().idleness = Decider::Nobody;
    assert!(stage.deciders().await.idleness.is_none());
}

#[tokio::test]
async fn a_component_is_compiled_once_whoever_uses_it() {
    let stage = Stage::new(&Guest::new().build());
    let host = stage.host();
    let service = &stage.config.services[0];
    for _ in 0..3 {
        host.deciders(&stage.config, service).await.unwrap();
    }
    assert_eq!(host.compilations(), Compilations { cached: 0, compiled: 1 });
}
