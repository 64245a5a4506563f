//! What else guests are given: settings, variables, the log, a probe, WASI.

use super::*;

#[tokio::test]
async fn settings_are_the_plugins_table_as_json() {
    let guest = starting(&format!(
        "(call $settings (i32.const {RETURNED}))
         (call $fail (i32.const 2) (i32.load (i32.const {RETURNED})) (i32.load (i32.const {})))",
        RETURNED + 4
    ))
    .import("dormouse:plugin/settings@0.1.0", "get", "settings", "(param i32)");
    let mut stage = Stage::new(&guest.build());
    stage.plugin().settings = serde_json::json!({ "container": "mc" });
    let failure = start(&stage.deciders().await).await.unwrap_err();
    assert_eq!(failure.message, r#"the plugin `p`: {"container":"mc"}"#);
}

/// Tells the value of the first variable that it sees, or `none`.
fn environment() -> Guest {
    let mut guest = Guest::bare();
    let none = guest.text("none");
    guest
        .lifecycle(
            &format!(
                "(local $first i32)
                 (call $environment (i32.const {RETURNED}))
                 (if (i32.eqz (i32.load (i32.const {length})))
                    (then (return (call $fail (i32.const 2) {none}))))
                 (local.set $first (i32.load (i32.const {RETURNED})))
                 (call $fail (i32.const 2)
                    (i32.load offset=8 (local.get $first)) (i32.load offset=12 (local.get $first)))",
                length = RETURNED + 4
            ),
            "(call $done)",
        )
        .import("wasi:cli/environment@0.2.0", "get-environment", "environment", "(param i32)")
}

#[tokio::test]
async fn variables_are_invisible_unless_they_are_granted() {
    let mut stage = Stage::new(&environment().build());
    let failure = start(&stage.deciders().await).await.unwrap_err();
    assert_eq!(failure.message, "the plugin `p`: none");
    // Cargo sets it for tests.
    stage.plugin().allow.env = vec!["NONESUCH".to_owned(), "CARGO_PKG_NAME".to_owned()];
    let failure = start(&stage.deciders().await).await.unwrap_err();
    assert_eq!(failure.message, "the plugin `p`: dormouse");
}

#[tokio::test]
async fn a_guest_of_wasi_0_3_is_loaded_and_runs() {
    let guest = starting(
        "(if (result i32) (i64.eq (call $random) (call $random))
            (then (unreachable)) (else (call $done)))",
    )
    .import("wasi:random/random@0.3.0", "get-random-u64", "random", "(result i64)");
    assert_eq!(start(&Stage::new(&guest.build()).deciders().await).await, Ok(()));
}

#[tokio::test]
async fn a_probe_says_whether_the_target_answers() {
    let guest = starting(&format!(
        "(call $probe (i32.const {RETURNED}))
         (if (result i32) (i32.load8_u (i32.const {RETURNED}))
            (then (call $fail (i32.const 2) (i32.load (i32.const {})) (i32.load (i32.const {}))))
            (else (call $done)))",
        RETURNED + 4,
        RETURNED + 8
    ))
    .import("dormouse:plugin/target@0.1.0", "probe", "probe", "(param i32)");
    let mut stage = Stage::new(&guest.build());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    stage.service().target.host = address.ip().to_string();
    stage.service().target.port = address.port();
    let deciders = stage.deciders().await;
    assert_eq!(start(&deciders).await, Ok(()));
    drop(listener);
    let failure = start(&deciders).await.unwrap_err();
    let expected = format!("the plugin `p`: connecting to {address} failed: Connection refused");
    assert!(failure.message.starts_with(&expected), "{failure}");
}

#[tokio::test]
async fn log_lines_carry_plugin_and_service_and_are_bounded() {
    let mut guest = Guest::bare();
    let line = guest.text("a\nb\u{1b}");
    let guest = guest
        .lifecycle(
            &format!(
                "(local $lines i32)
                 (loop $again
                    (call $log (i32.const 2) {line})
                    (local.set $lines (i32.add (local.get $lines) (i32.const 1)))
                    (br_if $again (i32.lt_u (local.get $lines) (i32.const 1000))))
                 (call $done)"
            ),
            "(call $log (i32.const 0) (i32.const 4096) (i32.const 1))
             (call $log (i32.const 1) (i32.const 4096) (i32.const 1))
             (call $log (i32.const 3) (i32.const 4096) (i32.const 1))
             (call $done)",
        )
        .import("dormouse:plugin/log@0.1.0", "write", "log", "(param i32 i32 i32)");
    let mut stage = Stage::new(&guest.build());
    stage.plugin().limits.log_lines = 3;
    let deciders = stage.deciders().await;
    let told = Told::listen();
    start(&deciders).await.unwrap();
    let line = r#"a\nb\u{1b} plugin="p" service="s""#;
    let rest = "997 more lines of this plugin were left out: a call may log 3 \
                (`limits.log_lines`) plugin=\"p\" service=\"s\"";
    assert_eq!(told.at(Level::WARN), [line, line, line, rest]);
    stop(&deciders).await.unwrap();
    for level in [Level::DEBUG, Level::INFO, Level::ERROR] {
        assert_eq!(told.at(level), [r#"a plugin="p" service="s""#]);
    }
    assert_eq!(told.at(Level::WARN).len(), 4);
}

/// Calls a function of WASI that returns a result, and tells the digit of its error's case.
fn refused_by_wasi(call: &str) -> Guest {
    starting(&format!(
        "{call}
         (if (i32.eqz (i32.load8_u (i32.const {RETURNED}))) (then (return (call $done))))
         (call $fail (i32.const 2) (call $digit (i32.load8_u (i32.const {}))) (i32.const 1))",
        RETURNED + 4
    ))
}

/// The case `access-denied` of the errors of `wasi:sockets`.
const ACCESS_DENIED: &str = "the plugin `p`: 1";

#[tokio::test]
async fn a_guest_cannot_make_a_tcp_socket() {
    let call = format!("(call $make (i32.const 0) (i32.const {RETURNED}))");
    let interface = "wasi:sockets/tcp-create-socket@0.2.0";
    let guest =
        refused_by_wasi(&call).import(interface, "create-tcp-socket", "make", "(param i32 i32)");
    assert_eq!(failed_start(&guest).await.message, ACCESS_DENIED);
}

#[tokio::test]
async fn a_guest_cannot_make_a_udp_socket() {
    let call = format!("(call $make (i32.const 0) (i32.const {RETURNED}))");
    let interface = "wasi:sockets/udp-create-socket@0.2.0";
    let guest =
        refused_by_wasi(&call).import(interface, "create-udp-socket", "make", "(param i32 i32)");
    assert_eq!(failed_start(&guest).await.message, ACCESS_DENIED);
}

#[tokio::test]
async fn a_guest_cannot_look_up_a_name() {
    // The name of the service's own target, which stands in its parameters.
    let call = format!(
        "(call $look_up (call $network) (local.get $host) (local.get $host_len) \
         (i32.const {RETURNED}))"
    );
    let guest = refused_by_wasi(&call)
        .import(
            "wasi:sockets/instance-network@0.2.0",
            "instance-network",
            "network",
            "(result i32)",
        )
        .import(
            "wasi:sockets/ip-name-lookup@0.2.0",
            "resolve-addresses",
            "look_up",
            "(param i32 i32 i32 i32)",
        );
    let mut stage = Stage::new(&guest.build());
    stage.service().target.host = "localhost".to_owned();
    let failure = start(&stage.deciders().await).await.unwrap_err();
    // The case `permanent-resolver-failure`.
    assert_eq!(failure.message, "the plugin `p`: D");
}

#[tokio::test]
async fn a_guest_has_no_folder() {
    let guest = starting(&format!(
        "(call $folders (i32.const {RETURNED}))
         (call $fail (i32.const 2)
            (call $digit (i32.load (i32.const {}))) (i32.const 1))",
        RETURNED + 4
    ))
    .import("wasi:filesystem/preopens@0.2.0", "get-directories", "folders", "(param i32)");
    assert_eq!(failed_start(&guest).await.message, "the plugin `p`: 0");
}
