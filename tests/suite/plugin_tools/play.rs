//! `dormouse plugin try --script`: what is played, and how it is compared.

use super::*;

/// Plays `script` on the plugin in `p.wasm`.
fn play(folder: &Folder, script: &str) -> String {
    folder.write("s.toml", script);
    plugin(folder, &["try", "p.wasm", "--script", "s.toml"])
}

fn is_good(told: &str) -> bool {
    told.starts_with("exit status: 0\n") && told.contains(", all as expected\n")
}

#[test]
fn a_script_that_fits_is_told_step_by_step() {
    let folder = folder_with(&greeter());
    let told = play(
        &folder,
        r#"
        [[step]]
        call = "should-wake"
        client = "192.0.2.7:1"
        send = "hi"
        expect = { answer = "more", send = "", consumed = 0, log = ["short"] }

        [[step]]
        call = "should-wake"
        client = "192.0.2.8:1"
        send_hex = "00 ff"
        expect = { answer = "more" }

        [[step]]
        call = "should-wake"
        client = "192.0.2.7:1"
        send = " there"
        expect = { answer = "wake", send = "hello\r\n", consumed = 5, log = ["will do"] }
        "#,
    );
    insta::assert_snapshot!(told, @r#"
exit status: 0
----- stdout -----
ok        1  should-wake (asleep; 192.0.2.7:1 sends "hi")  [TIME]
ok        2  should-wake (asleep; 192.0.2.8:1 sends "\x00\xff")  [TIME]
ok        3  should-wake (asleep; 192.0.2.7:1 sends " there")  [TIME]

3 steps, all as expected
----- stderr -----
"#);
}

#[test]
fn everything_that_differs_is_told() {
    let folder = folder_with(&greeter());
    let told = play(
        &folder,
        r#"
        [[step]]
        call = "should-wake"
        send = "hello"
        expect = { answer = "refuse", send_hex = "fe 01", consumed = 0, log = ["closed"] }

        [[step]]
        call = "should-wake"
        send = "hello"
        expect = { failure = "no" }

        [[step]]
        call = "should-wake"
        "#,
    );
    insta::assert_snapshot!(told, @r#"
exit status: 1
----- stdout -----
differs   1  should-wake (asleep; 192.0.2.1:50000 sends "hello")  [TIME]
      answer    expected  refuse
                found     wake
      send      expected  "\xfe\x01" (2 bytes)
                found     "hello\r\n" (7 bytes)
      consumed  expected  0 bytes
                found     5 bytes
      log       expected  something with "closed"
                found     that will do
differs   2  should-wake (asleep; 192.0.2.1:50000 sends "hello")  [TIME]
      answer    expected  a failure
                found     wake
ok        3  should-wake (asleep; 192.0.2.1:50000 is silent)  [TIME]

3 steps, 2 not as expected
----- stderr -----
"#);
}

#[test]
fn a_failure_that_was_not_expected_differs() {
    let folder = folder_with(&starter());
    let told = play(&folder, "[[step]]\ncall = \"stop\"\n");
    insta::assert_snapshot!(told, @"
exit status: 1
----- stdout -----
differs   1  stop (cause: cooldown)  [TIME]
      answer    expected  an answer
                found     a failure (broken): the plugin `p` crashed in `stop`: it gave up with a panic or an abort. This is a fault of the plugin: report it to its author

1 step, 1 not as expected
----- stderr -----
");
}

#[test]
fn a_failure_that_was_expected_is_as_it_should_be() {
    let folder = folder_with(&starter());
    let step = |expect: &str| format!("[[step]]\ncall = \"stop\"\nexpect = {expect}\n");
    for expect in [r#"{ failure = "gave up" }"#, r#"{ kind = "broken", failure = "`stop`" }"#] {
        assert!(is_good(&play(&folder, &step(expect))), "{expect}");
    }
    for expect in [r#"{ failure = "denied" }"#, r#"{ kind = "permanent" }"#, "{}"] {
        assert!(!is_good(&play(&folder, &step(expect))), "{expect}");
    }
}

#[test]
fn a_denial_has_to_be_expected() {
    let guest = Guest::bare().runs("docker", &["start", "mc"], None);
    let folder = folder_with(&guest.lifecycle("(call $run) (call $done)", "(call $done)"));
    assert!(is_good(&play(
        &folder,
        "[[step]]\ncall = \"start\"\nexpect = { answer = \"done\", denied = [\"docker\"] }\n"
    )));
    let told = play(&folder, "[[step]]\ncall = \"start\"\nexpect = { answer = \"done\" }\n");
    insta::assert_snapshot!(told, @r#"
exit status: 1
----- stdout -----
differs   1  start (cause: client 192.0.2.1:50000)  [TIME]
      denied    expected  nothing
                found     run ["docker", "start", "mc"]. To allow it, write this under `[plugins.p.allow]`: exec = [["docker", "start", "mc"]]

1 step, 1 not as expected
----- stderr -----
"#);
    let told = play(&folder, "[[step]]\ncall = \"stop\"\nexpect = { denied = [\"docker\"] }\n");
    assert!(!is_good(&told), "{told}");
}

#[test]
fn commands_are_answered_from_the_script_and_not_run() {
    let folder = folder_with(&starter());
    folder.program("docker", "#!/bin/sh\necho > ran\n");
    let told = play(
        &folder,
        r#"
        allow = { exec = ["docker"] }
        [[process]]
        program = "docker"
        arguments = ["start", "mc"]
        stdout = "first"
        [[process]]
        program = "docker"
        stdout_hex = "61 62"
        [[step]]
        call = "start"
        expect = { failure = "first" }
        [[step]]
        call = "start"
        expect = { failure = "ab" }
        "#,
    );
    assert!(is_good(&told), "{told}");
    assert!(!folder.path().join("ran").exists());
}

#[test]
fn a_command_of_a_script_needs_its_grant_all_the_same() {
    let folder = folder_with(&starter());
    let script = "[[process]]\nprogram = \"docker\"\n[[step]]\ncall = \"start\"\n";
    let told =
        play(&folder, &format!("{script}expect = {{ kind = \"denied\", denied = \"docker\" }}"));
    assert!(is_good(&told), "{told}");
}

#[test]
fn a_command_that_the_script_does_not_know_differs() {
    let folder = folder_with(&starter());
    let told = play(
        &folder,
        r#"
        allow = { exec = ["docker"] }
        [[process]]
        program = "podman"
        [[step]]
        call = "start"
        expect = { failure = "`[[process]]`" }
        "#,
    );
    insta::assert_snapshot!(told, @r#"
exit status: 1
----- stdout -----
differs   1  start (cause: client 192.0.2.1:50000)  [TIME]
      process   expected  a `[[process]]` for each command
                found     ["docker", "start", "mc"]

1 step, 1 not as expected
----- stderr -----
"#);
}

#[test]
fn commands_of_a_script_end_in_each_way() {
    // Fails with the bytes of the answer: whether it is an error, and how the command ended.
    let guest = Guest::bare().runs("docker", &[], None).lifecycle(
        "(call $run)
         (if (result i32) (call $ran_well)
            (then (call $fail (i32.const 2) (call $digit (i32.load8_u (i32.const 2052))) (i32.const 1)))
            (else (call $tell)))",
        "(call $done)",
    );
    let folder = folder_with(&guest);
    for (end, failure) in [
        ("status = 3", "`p`: 0"),
        ("signal = 9", "`p`: 1"),
        ("timed_out = true", "`p`: 2"),
        (r#"failed = "no such file""#, "`p`: no such file"),
    ] {
        let told = play(
            &folder,
            &format!(
                "allow = {{ exec = [\"docker\"] }}\n[[process]]\nprogram = \"docker\"\n{end}\n\
                 [[step]]\ncall = \"start\"\nexpect = {{ failure = \"{failure}\" }}\n"
            ),
        );
        assert!(is_good(&told), "{end}: {told}");
    }
}

#[test]
fn state_is_kept_from_step_to_step_and_not_from_play_to_play() {
    let mut guest = Guest::bare()
        .import("dormouse:plugin/state@0.1.0", "get", "get", "(param i32 i32 i32)")
        .import("dormouse:plugin/state@0.1.0", "set", "set", "(param i32 i32 i32 i32 i32)");
    let (key, value) = (guest.text("key"), guest.text("kept"));
    let guest = guest.lifecycle(
        &format!(
            "(call $get {key} (i32.const 2048))
             (if (result i32) (i32.load8_u (i32.const 2052))
                (then (call $fail (i32.const 2)
                    (i32.load (i32.const 2056)) (i32.load (i32.const 2060))))
                (else (call $set {key} {value} (i32.const 2048)) (call $done)))"
        ),
        "(call $done)",
    );
    let folder = folder_with(&guest);
    let script = "[[step]]\ncall = \"start\"\n[[step]]\ncall = \"start\"\nwait = \"10ms\"\n\
                  expect = { failure = \"kept\" }\n";
    for _ in 0..2 {
        let told = play(&folder, script);
        assert!(is_good(&told), "{told}");
    }
}

#[test]
fn readiness_and_idleness_have_words_of_their_own() {
    let mut guest = Guest::bare();
    let (address, progress) = (guest.text("10.0.0.9:80"), guest.text("half way"));
    let guest = guest
        .readiness(&format!(
            "(if (result i32) (i32.eq (local.get $attempt) (i32.const 1))
                (then (call $not_yet {progress})) (else (call $ready_at {address})))"
        ))
        .idleness(
            "(if (result i32) (i64.lt_u (local.get $idle_for) (i64.const 60000))
                (then (call $stay_awake (i64.const 90000))) (else (call $sleep)))",
        );
    let folder = folder_with(&guest);
    let script = r#"
        [[step]]
        call = "ready"
        expect = { answer = "not-yet", progress = "half" }
        [[step]]
        call = "ready"
        attempt = 2
        expect = { answer = "ready", address = "10.0.0.9:80" }
        [[step]]
        call = "should-sleep"
        idle_for = "59s"
        expect = { answer = "stay-awake", stay = "1m30s" }
        [[step]]
        call = "should-sleep"
        expect = { answer = "sleep" }
        "#;
    let told = play(&folder, script);
    assert!(is_good(&told), "{told}");
    for (right, wrong) in [
        ("progress = \"half\"", "progress = \"whole\""),
        ("10.0.0.9:80", "10.0.0.9:81"),
        ("1m30s", "1m31s"),
        ("answer = \"sleep\"", "answer = \"stay-awake\""),
    ] {
        let told = play(&folder, &script.replace(right, wrong));
        assert!(!is_good(&told), "{wrong}: {told}");
    }
}
