//! The flags of the tool that this one grew from, and everything else that can be wrong with a
//! command line.

#![allow(clippy::expect_used, reason = "a test that fails here should fail loudly")]

use std::time::Duration;

use dormouse::config::{self, Decider, Faults, Flags};

use crate::support::command::Folder;

/// What `dormouse` says to these arguments.
fn dormouse(arguments: &[&str]) -> String {
    Folder::new().dormouse(arguments)
}

/// Flags that are right.
fn flags() -> Flags {
    Flags {
        proxy_ip: "0.0.0.0".into(),
        proxy_port: "8000".into(),
        target_ip: "10.0.0.1".into(),
        target_port: "80".into(),
        cooldown_period: "30".into(),
        hook_start_svc: "start".into(),
        hook_stop_svc: "stop".into(),
    }
}

/// The cool-down that this value of the flag means.
fn cooldown(text: &str) -> Result<Duration, Faults> {
    let flags = Flags { cooldown_period: text.into(), ..flags() };
    config::from_flags(&flags).map(|config| config.services[0].cooldown)
}

macro_rules! snapshot {
    ($text:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($text) })
    };
}

#[test]
fn no_arguments_get_the_short_help() {
    snapshot!(dormouse(&[]));
}

#[test]
fn flags_about_logs_alone_do_nothing() {
    snapshot!(dormouse(&["-v"]));
}

#[test]
fn missing_flags_are_named() {
    snapshot!(dormouse(&["--target-ip", "10.0.0.1", "--hook-stop-svc", "./stop.sh"]));
}

#[test]
fn an_unknown_flag_is_told() {
    snapshot!(dormouse(&["--traget-ip", "10.0.0.1"]));
}

#[test]
fn an_unknown_command_is_told() {
    snapshot!(dormouse(&["chekc"]));
}

#[test]
fn flags_before_run_are_told_what_to_choose() {
    snapshot!(dormouse(&["--target-ip", "10.0.0.1", "--target-port", "80", "run"]));
}

#[test]
fn flags_behind_run_are_told_what_to_choose() {
    snapshot!(dormouse(&["run", "--target-i", "10.0.0.1"]));
}

#[test]
fn a_config_without_a_command_is_told() {
    snapshot!(dormouse(&["--config", "dormouse.toml"]));
}

#[test]
fn an_ambiguous_prefix_is_told_with_what_it_could_be() {
    snapshot!(dormouse(&["--proxy", "8000"]));
}

#[test]
fn a_flag_without_its_value_is_told() {
    snapshot!(dormouse(&["--target-ip"]));
}

#[test]
fn a_flag_that_is_given_twice_is_told() {
    snapshot!(dormouse(&["--target-port", "80", "--target-port", "81"]));
}

#[test]
fn wrong_values_are_told_at_once_and_are_wrong_usage() {
    snapshot!(dormouse(&[
        "--proxy-ip",
        "localhost",
        "--proxy-port",
        "70000",
        "--target-ip=two words",
        "--target-port",
        "0",
        "--cooldown-period",
        "-5",
        "--hook-start-svc=",
        "--hook-stop-svc",
        "~/stop.sh",
    ]));
}

#[test]
fn prefixes_and_equals_signs_are_understood() {
    // Each value is wrong, so that each shows up under the name of its flag.
    snapshot!(dormouse(&[
        "--proxy-i=x y",
        "--proxy-p",
        "0",
        "--target-i",
        "x y",
        "--target-po=0",
        "--cooldown",
        "x",
        "--hook-sta",
        "",
        "--hook-sto=",
    ]));
}

#[test]
fn a_target_that_is_the_proxy_itself_is_told() {
    let flags = Flags { target_ip: "127.0.0.1".into(), target_port: "8000".into(), ..flags() };
    let faults = config::from_flags(&flags).expect_err("a loop");
    snapshot!(faults.to_string());
}

#[test]
fn a_bare_cool_down_is_minutes() {
    assert_eq!(cooldown("30"), Ok(Duration::from_secs(30 * 60)));
    assert_eq!(cooldown("0"), Ok(Duration::ZERO));
    assert_eq!(cooldown("007"), Ok(Duration::from_secs(7 * 60)));
}

#[test]
fn a_cool_down_may_have_a_unit() {
    assert_eq!(cooldown("90s"), Ok(Duration::from_secs(90)));
    assert_eq!(cooldown("1h"), Ok(Duration::from_secs(3600)));
}

#[test]
fn a_cool_down_that_is_none_is_refused() {
    for text in ["-5", "-5m", "", "soon", "1.5", "5M", "99999999999999999999999999"] {
        assert!(cooldown(text).is_err(), "{text:?}");
    }
}

#[test]
fn flags_are_one_service_named_default() {
    let config = config::from_flags(&flags()).expect("flags that are right");
    assert_eq!(config.services.len(), 1);
    let service = &config.services[0];
    assert_eq!(service.name, "default");
    assert_eq!(service.listen[0].to_string(), "0.0.0.0:8000");
    assert_eq!(service.target.to_string(), "10.0.0.1:80");
    assert_eq!(service.readiness, Decider::Nobody);
    assert_eq!(service.gate, Decider::Nobody);
    assert_eq!(service.idleness, Decider::Nobody);
}

#[test]
fn ipv6_may_stand_without_brackets() {
    let flags = Flags { proxy_ip: "::1".into(), target_ip: "[fe80::1]".into(), ..flags() };
    let config = config::from_flags(&flags).expect("flags that are right");
    assert_eq!(config.services[0].listen[0].to_string(), "[::1]:8000");
    assert_eq!(config.services[0].target.to_string(), "[fe80::1]:80");
}

#[test]
fn a_hook_with_a_slash_belongs_to_the_working_directory_and_one_without_to_path() {
    let flags = Flags {
        hook_start_svc: "./start script.sh".into(),
        hook_stop_svc: "stop".into(),
        ..flags()
    };
    let config = config::from_flags(&flags).expect("flags that are right");
    let here = std::env::current_dir().expect("a working directory");
    let start = here.join("start script.sh").to_str().expect("UTF-8").to_owned();
    assert_eq!(
        config.plugins[0].settings,
        serde_json::json!({ "start": [start], "stop": ["stop"] })
    );
}
