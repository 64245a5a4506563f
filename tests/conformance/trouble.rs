//! What is not the plugin's fault.

use std::fs;

use dormouse::decide::{FailureKind, Verdict};

use super::{knock, reply, stage};

#[tokio::test]
async fn a_disk_that_refuses_is_a_failure_that_may_go_away() {
    let stage = stage(10).await;
    let deciders = stage.deciders().await;
    // The key of the cache was there.
    fs::remove_dir_all(&stage.config.state_dir).unwrap();
    fs::write(&stage.config.state_dir, "in the way").unwrap();
    let failure = reply(&deciders, "192.0.2.1", b"").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TryAgain(None), "{failure}");
    let message = stage.without_paths(&failure.message);
    let expected = "the plugin `p`: the knocks can't be remembered: the state in \
                    `[FOLDER]/state/plugin+p+s.state` can't be read: Not a directory";
    assert!(message.starts_with(expected), "{message}");

    fs::remove_file(&stage.config.state_dir).unwrap();
    assert_eq!(knock(&deciders, "192.0.2.1").await, Verdict::Refuse);
    assert_eq!(knock(&deciders, "192.0.2.1").await, Verdict::Wake);
}

#[tokio::test]
async fn a_state_that_is_full_is_a_failure_that_may_go_away() {
    let mut stage = stage(10).await;
    stage.plugin().limits.state = 20;
    let failure = reply(&stage.deciders().await, "192.0.2.1", b"").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TryAgain(None), "{failure}");
    let expected = "the plugin `p`: the knocks can't be remembered: the state is full";
    assert_eq!(failure.message, expected);
}
