//! The gate: a client has to knock twice.

use std::time::{Duration, Instant};

use dormouse::decide::{Reply, Verdict};
use tracing::Level;

use super::{knock, reply, stage, told::Told};

/// A friend.
const FRIEND: &str = "192.0.2.1";

#[tokio::test]
async fn the_first_knock_is_refused_without_a_word_and_without_taking_a_byte() {
    let deciders = stage(3600).await.deciders().await;
    let answer = reply(&deciders, FRIEND, b"let me in").await.unwrap();
    assert_eq!(answer, Reply { send: vec![], consumed: 0, verdict: Verdict::Refuse });
}

#[tokio::test]
async fn the_second_knock_of_a_client_wakes_the_target() {
    let deciders = stage(3600).await.deciders().await;
    assert_eq!(knock(&deciders, FRIEND).await, Verdict::Refuse);
    let answer = reply(&deciders, FRIEND, b"let me in").await.unwrap();
    assert_eq!(answer, Reply { send: vec![], consumed: 0, verdict: Verdict::Wake });
}

#[tokio::test]
async fn a_client_that_stays_silent_or_sends_any_bytes_knocks_like_any_other() {
    let deciders = stage(3600).await.deciders().await;
    let all: Vec<u8> = (0..=u8::MAX).cycle().take(64 << 10).collect();
    for sent in [&b""[..], b"\0", b"\xff\xfe", &all] {
        let answer = reply(&deciders, FRIEND, sent).await.unwrap();
        assert_eq!(answer.verdict, Verdict::Refuse, "{} bytes", sent.len());
        let answer = reply(&deciders, FRIEND, sent).await.unwrap();
        assert_eq!(answer.verdict, Verdict::Wake, "{} bytes", sent.len());
    }
}

#[tokio::test]
async fn after_it_has_woken_the_target_a_client_begins_anew() {
    let deciders = stage(3600).await.deciders().await;
    for expected in [Verdict::Refuse, Verdict::Wake, Verdict::Refuse, Verdict::Wake] {
        assert_eq!(knock(&deciders, FRIEND).await, expected);
    }
}

#[tokio::test]
async fn a_second_knock_that_is_too_late_is_a_first_one() {
    let stage = stage(1).await;
    let deciders = stage.deciders().await;
    assert_eq!(knock(&deciders, FRIEND).await, Verdict::Refuse);
    // The plugin reads the clock of the machine: there is nothing to wait for but the time itself.
    let first = Instant::now();
    while first.elapsed() <= Duration::from_millis(1050) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(knock(&deciders, FRIEND).await, Verdict::Refuse);
    // The same knocks in time: it is the seconds that count.
    let mut patient = stage;
    patient.plugin().settings = serde_json::json!({ "seconds": 3600 });
    assert_eq!(knock(&patient.deciders().await, FRIEND).await, Verdict::Wake);
}

#[tokio::test]
async fn two_clients_do_not_help_each_other() {
    let deciders = stage(3600).await.deciders().await;
    for address in [FRIEND, "192.0.2.11", "2001:db8::1", "2001:db8::2"] {
        assert_eq!(knock(&deciders, address).await, Verdict::Refuse, "{address}");
    }
    // The port of an IPv6 address is told from the address, too.
    for address in ["2001:db8::1", FRIEND] {
        assert_eq!(knock(&deciders, address).await, Verdict::Wake, "{address}");
    }
}

#[tokio::test]
async fn of_more_strangers_than_are_remembered_none_gets_in() {
    let deciders = stage(3600).await.deciders().await;
    for stranger in 0..300 {
        let address = format!("198.51.{}.{}", stranger / 250, stranger % 250);
        assert_eq!(knock(&deciders, &address).await, Verdict::Refuse, "{address}");
    }
}

#[tokio::test]
async fn a_knock_outlasts_a_restart() {
    let stage = stage(3600).await;
    assert_eq!(knock(&stage.deciders().await, FRIEND).await, Verdict::Refuse);
    assert_eq!(knock(&stage.deciders().await, FRIEND).await, Verdict::Wake);
}

#[tokio::test]
async fn each_knock_is_a_line_in_the_log() {
    let deciders = stage(3600).await.deciders().await;
    let told = Told::listen();
    for address in ["2001:db8::1", FRIEND, FRIEND] {
        knock(&deciders, address).await;
    }
    assert_eq!(
        told.at(Level::INFO),
        [
            "[2001:db8::1] knocked: once more within 3600 s wakes the target",
            "192.0.2.1 knocked: once more within 3600 s wakes the target",
            "192.0.2.1 knocked twice: the target is woken",
        ]
        .map(|line| format!("{line} plugin=\"p\" service=\"s\""))
    );
}
