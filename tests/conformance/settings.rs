//! The settings, right and wrong.

use dormouse::decide::{FailureKind, Verdict};
use serde_json::{Value, json};
use tracing::Level;

use super::{knock, reply, stage, told::Told};

#[tokio::test]
async fn without_a_setting_ten_seconds_are_given() {
    for settings in [json!({}), json!({ "other": "\"seconds\":7", "another": [{}] })] {
        let mut stage = stage(3600).await;
        stage.plugin().settings = settings;
        let told = Told::listen();
        assert_eq!(knock(&stage.deciders().await, "192.0.2.1").await, Verdict::Refuse);
        let lines = told.at(Level::INFO);
        assert!(lines[0].contains("once more within 10 s wakes the target"), "{lines:?}");
    }
}

#[tokio::test]
async fn a_setting_at_the_border_is_taken_whatever_stands_beside_it() {
    for settings in [
        json!({ "seconds": 1 }),
        json!({ "seconds": 3600 }),
        json!({ "a": "ü\n\"", "seconds": 60, "z": null }),
    ] {
        let mut stage = stage(10).await;
        stage.plugin().settings = settings.clone();
        assert_eq!(
            knock(&stage.deciders().await, "192.0.2.1").await,
            Verdict::Refuse,
            "{settings}"
        );
    }
}

#[tokio::test]
async fn wrong_settings_are_a_failure_that_says_what_is_right() {
    let wrong: [Value; 9] = [
        json!(0),
        json!(-1),
        json!(3601),
        json!(1.5),
        json!(u64::MAX),
        json!("10"),
        json!(""),
        json!(true),
        json!([10]),
    ];
    for seconds in wrong {
        let mut stage = stage(10).await;
        stage.plugin().settings = json!({ "seconds": seconds });
        let failure = reply(&stage.deciders().await, "192.0.2.1", b"").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::WrongSettings, "{seconds}: {failure}");
        assert_eq!(
            failure.message,
            "the plugin `p`: `seconds` in the settings has to be a whole number from 1 to 3600",
            "{seconds}"
        );
    }
}
