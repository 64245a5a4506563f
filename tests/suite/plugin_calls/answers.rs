//! What guests are asked, and what becomes of their answers.

use super::*;

#[tokio::test]
async fn every_decision_reaches_its_function() {
    let mut guest = Guest::new()
        .readiness("(call $ready_at (i32.const 4096) (i32.const 8))")
        .idleness("(call $stay_awake (local.get $idle_for))")
        .gate("(call $reply (local.get $data) (local.get $length) (i32.const 2) (i32.const 3))");
    guest.text("host:123");
    let deciders = Stage::new(&guest.build()).deciders().await;
    assert_eq!(start(&deciders).await, Ok(()));
    assert_eq!(stop(&deciders).await, Ok(()));
    assert_eq!(ready(&deciders).await, Ok(Readiness::Ready(Some("host:123".to_owned()))));
    assert_eq!(should_sleep(&deciders).await, Ok(SleepVerdict::StayAwake(LONG)));
    let reply = Reply { send: b"ping".to_vec(), consumed: 2, verdict: Verdict::WakeAndClose };
    assert_eq!(should_wake(&deciders, b"ping").await, Ok(reply));
}

#[tokio::test]
async fn a_guest_is_told_about_service_client_cause_and_phase() {
    let told = |what: &str| format!("(call $fail (i32.const 2) {what})");
    let phase = "(call $reply (call $digit (local.get $phase)) (i32.const 1) (i32.const 0) \
                 (i32.const 0))";
    let guest = Guest::bare()
        .lifecycle(
            &told("(local.get $name) (local.get $name_len)"),
            &told("(call $digit (local.get $cause)) (i32.const 1)"),
        )
        .readiness("(call $not_yet (local.get $host) (local.get $host_len))")
        .gate(phase);
    let deciders = Stage::new(&guest.build()).deciders().await;
    assert_eq!(start(&deciders).await.unwrap_err().message, "the plugin `p`: s");
    assert_eq!(stop(&deciders).await.unwrap_err().message, "the plugin `p`: 2");
    let host = Readiness::NotYet("target.example".to_owned());
    assert_eq!(ready(&deciders).await, Ok(host));
    let mut conversation = deciders.gate.unwrap().converse(client());
    let reply = conversation.should_wake(Phase::Stopping, b"").await.unwrap();
    assert_eq!(reply.send, b"3");
}

#[tokio::test]
async fn a_client_is_told_with_its_address_and_its_listener() {
    let guest = Guest::new().gate(
        "(if (result i32) (i32.eqz (local.get $length))
            (then (call $reply (local.get $client) (local.get $client_len) (i32.const 0) (i32.const 1)))
            (else (call $reply (local.get $listener) (local.get $listener_len) (i32.const 0) (i32.const 0))))",
    );
    let deciders = Stage::new(&guest.build()).deciders().await;
    let mut conversation = deciders.gate.unwrap().converse(client());
    let first = conversation.should_wake(Phase::Asleep, b"").await.unwrap();
    assert_eq!(first.send, b"192.0.2.1:50000");
    let second = conversation.should_wake(Phase::Asleep, b"x").await.unwrap();
    assert_eq!(second.send, b"192.0.2.2:80");
}

#[tokio::test]
async fn kinds_of_failures_are_passed_on() {
    let kinds = [
        FailureKind::WrongSettings,
        FailureKind::TryAgain(None),
        FailureKind::Permanent,
        FailureKind::Denied,
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let mut guest = Guest::bare();
        let why = guest.text("no such machine");
        let guest =
            guest.lifecycle(&format!("(call $fail (i32.const {number}) {why})"), "(call $done)");
        let failure = failed_start(&guest).await;
        assert_eq!(
            failure,
            Failure { kind, message: "the plugin `p`: no such machine".to_owned() }
        );
    }
}

#[tokio::test]
async fn a_failure_says_when_to_try_again() {
    let guest = starting(
        "(drop (call $fail (i32.const 1) (i32.const 0) (i32.const 0)))
         (i32.store8 (i32.const 1040) (i32.const 1))
         (i64.store (i32.const 1048) (i64.const 90000))
         (i32.const 1024)",
    );
    let failure = failed_start(&guest).await;
    assert_eq!(failure.kind, FailureKind::TryAgain(Some(Duration::from_secs(90))));
    assert_eq!(failure.message, "the plugin `p` failed in `start` and did not say why");
}

#[tokio::test]
async fn a_message_is_escaped_and_cut() {
    let mut guest = Guest::bare();
    let why = guest.text(format!("\u{1b}[2J line\nbreak {}", "ä".repeat(5000)));
    let guest = guest.lifecycle(&format!("(call $fail (i32.const 2) {why})"), "(call $done)");
    let message = failed_start(&guest).await.message;
    assert!(message.starts_with("the plugin `p`: \\u{1b}[2J line\nbreak ää"), "{message}");
    assert!(message.len() <= 4096 + 20 && message.ends_with('…'));
}

#[tokio::test]
async fn a_reply_of_64_kib_is_passed_on_and_a_larger_one_is_not() {
    let sending = |bytes: usize| {
        let body = format!(
            "(call $reply (i32.const 4096) (i32.const {bytes}) (i32.const 0) (i32.const 0))"
        );
        Guest::new().gate(&body).build()
    };
    let deciders = Stage::new(&sending(65536)).deciders().await;
    assert_eq!(should_wake(&deciders, b"").await.unwrap().send.len(), 65536);
    let deciders = Stage::new(&sending(65537)).deciders().await;
    let failure = should_wake(&deciders, b"").await.unwrap_err();
    insta::assert_snapshot!(broken(&failure), @"the plugin `p` answered in `should-wake` with 65537 bytes for the client, and 65536 is the most that a reply may have. This is a fault of the plugin: report it to its author");
}

#[tokio::test]
async fn a_gate_cannot_consume_more_than_it_was_shown() {
    let guest =
        Guest::new().gate("(call $reply (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 0))");
    let deciders = Stage::new(&guest.build()).deciders().await;
    assert_eq!(should_wake(&deciders, b"12345").await.unwrap().consumed, 5);
    let failure = should_wake(&deciders, b"1234").await.unwrap_err();
    insta::assert_snapshot!(broken(&failure), @"the plugin `p` said in `should-wake` that it had consumed 5 bytes when it was shown 4. This is a fault of the plugin: report it to its author");
}

#[tokio::test]
async fn an_address_that_is_none_is_not_used() {
    let mut guest = Guest::new();
    let address = guest.text("somewhere\u{7}");
    let guest = guest.readiness(&format!("(call $ready_at {address})"));
    let deciders = Stage::new(&guest.build()).deciders().await;
    let failure = ready(&deciders).await.unwrap_err();
    insta::assert_snapshot!(broken(&failure), @r#"the plugin `p` answered in `ready` with `somewhere\u{7}`, which is no address of the form `host:port`. This is a fault of the plugin: report it to its author"#);
}

#[tokio::test]
async fn a_text_that_is_not_utf_8_is_the_plugins_fault() {
    let mut guest = Guest::bare();
    let why = guest.text(b"\xff\xfe");
    let guest = guest.lifecycle(&format!("(call $fail (i32.const 2) {why})"), "(call $done)");
    insta::assert_snapshot!(broken(&failed_start(&guest).await), @"the plugin `p` answered in `start` with a text that is not UTF-8 (invalid utf-8 sequence of 1 bytes from index 0). This is a fault of the plugin: report it to its author");
}

#[tokio::test]
async fn an_answer_outside_its_memory_is_the_plugins_fault() {
    let guest = starting("(i32.const 0x7ffffff8)");
    insta::assert_snapshot!(broken(&failed_start(&guest).await), @"the plugin `p` crashed in `start`: pointer out of bounds of memory. This is a fault of the plugin: report it to its author");
}
