//! How long an instance lives, and who shares it.

use super::*;

/// Answers with how often this instance was asked.
const COUNTING: &str = "(call $reply (call $digit (call $count_up)) (i32.const 1) (i32.const 0) \
                        (i32.const 1))";

#[tokio::test]
async fn each_call_has_a_fresh_instance() {
    let counting = "(call $fail (i32.const 2) (call $digit (call $count_up)) (i32.const 1))";
    let guest = Guest::bare()
        .lifecycle(counting, counting)
        .readiness("(call $not_yet (call $digit (call $count_up)) (i32.const 1))")
        .idleness(
            "(call $stay_awake (i64.mul (i64.const 1000) (i64.extend_i32_u (call $count_up))))",
        );
    let deciders = Stage::new(&guest.build()).deciders().await;
    for _ in 0..3 {
        assert_eq!(start(&deciders).await.unwrap_err().message, "the plugin `p`: 1");
        assert_eq!(stop(&deciders).await.unwrap_err().message, "the plugin `p`: 1");
        assert_eq!(ready(&deciders).await, Ok(Readiness::NotYet("1".to_owned())));
        let second = SleepVerdict::StayAwake(Duration::from_secs(1));
        assert_eq!(should_sleep(&deciders).await, Ok(second));
    }
}

#[tokio::test]
async fn a_conversation_keeps_its_instance_to_itself() {
    let deciders = Stage::new(&Guest::new().gate(COUNTING).build()).deciders().await;
    let gate = deciders.gate.unwrap();
    let (mut one, mut other) = (gate.converse(client()), gate.converse(client()));
    for asked in [b"1", b"2", b"3"] {
        assert_eq!(one.should_wake(Phase::Asleep, b"").await.unwrap().send, asked);
    }
    assert_eq!(other.should_wake(Phase::Asleep, b"").await.unwrap().send, b"1");
}

#[tokio::test]
async fn a_conversation_ends_with_its_verdict() {
    let guest = Guest::new().gate(
        "(call $reply (call $digit (call $count_up)) (i32.const 1) (i32.const 0)
            (select (i32.const 2) (i32.const 1) (local.get $length)))",
    );
    let deciders = Stage::new(&guest.build()).deciders().await;
    let mut conversation = deciders.gate.unwrap().converse(client());
    conversation.should_wake(Phase::Asleep, b"").await.unwrap();
    let verdict = conversation.should_wake(Phase::Asleep, b"x").await.unwrap();
    assert_eq!((verdict.send, verdict.verdict), (b"2".to_vec(), Verdict::Refuse));
    assert_eq!(conversation.should_wake(Phase::Asleep, b"").await.unwrap().send, b"1");
}

#[tokio::test]
async fn a_question_that_is_taken_back_takes_its_instance_with_it() {
    let guest = Guest::new().gate(
        "(if (local.get $length) (then (loop $again (br $again))))
         (call $reply (call $digit (call $count_up)) (i32.const 1) (i32.const 0) (i32.const 1))",
    );
    let deciders = Stage::new(&guest.build()).deciders().await;
    let mut conversation = deciders.gate.unwrap().converse(client());
    conversation.should_wake(Phase::Asleep, b"").await.unwrap();
    let endless = conversation.should_wake(Phase::Asleep, b"x");
    assert!(tokio::time::timeout(Duration::from_millis(50), endless).await.is_err());
    assert_eq!(conversation.should_wake(Phase::Asleep, b"").await.unwrap().send, b"1");
}
