//! The interface `process`, and its grant.

use super::*;

/// Runs a command in `start`, and tells its output or the error.
fn running(program: &str, arguments: &[&str]) -> Guest {
    Guest::bare()
        .runs(program, arguments, None)
        .lifecycle("(call $run) (call $tell)", "(call $done)")
}

#[tokio::test]
async fn a_command_that_is_granted_runs() {
    let mut stage = Stage::new(&running("/bin/echo", &["hello", "world"]).build());
    grant(stage.plugin(), "/bin/echo", None);
    let failure = start(&stage.deciders().await).await.unwrap_err();
    assert_eq!(failure.message, "the plugin `p`: hello world");
}

#[tokio::test]
async fn a_command_that_is_not_granted_is_denied_and_told_once() {
    let stage = Stage::new(&running("docker", &["start", "m\"c"]).build());
    let deciders = stage.deciders().await;
    let told = Told::listen();
    let failure = start(&deciders).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied);
    insta::assert_snapshot!(failure.message, @r#"
the plugin `p`: the config does not let this plugin run ["docker", "start", "m\"c"]. To allow it, write this under `[plugins.p.allow]`: exec = [["docker", "start", "m\"c"]]
"#);
    start(&deciders).await.unwrap_err();
    let warnings = told.at(Level::WARN);
    assert_eq!(warnings.len(), 1);
    insta::assert_snapshot!(warnings[0], @r#"
the plugin wanted to run ["docker", "start", "m\"c"] and was denied. To allow it, write this under `[plugins.p.allow]`: exec = [["docker", "start", "m\"c"]] plugin="p" service="s"
"#);
}

#[tokio::test]
async fn a_granted_program_with_other_arguments_is_denied() {
    let mut stage = Stage::new(&running("/bin/echo", &["hello", "world"]).build());
    grant(stage.plugin(), "/bin/echo", Some(&["hello"]));
    let failure = start(&stage.deciders().await).await.unwrap_err();
    insta::assert_snapshot!(failure.message, @r#"
the plugin `p`: the config does not let this plugin run ["/bin/echo", "hello", "world"]. To allow it, write this under `[plugins.p.allow]`: exec = [["/bin/echo", "hello"], ["/bin/echo", "hello", "world"]]
"#);
    grant(stage.plugin(), "/bin/echo", Some(&["hello", "world"]));
    let failure = start(&stage.deciders().await).await.unwrap_err();
    assert_eq!(failure.message, "the plugin `p`: hello world");
}

#[tokio::test]
async fn a_plugin_may_set_variables_of_its_own_for_a_command_and_no_others() {
    let run = |variable| {
        let guest =
            Guest::bare().runs("/bin/sh", &["-c", "echo $DORMOUSE_X$LD_X"], Some((variable, "1")));
        let mut stage =
            Stage::new(&guest.lifecycle("(call $run) (call $tell)", "(call $done)").build());
        grant(stage.plugin(), "/bin/sh", None);
        stage
    };
    let failure = start(&run("DORMOUSE_X").deciders().await).await.unwrap_err();
    assert_eq!(failure.message, "the plugin `p`: 1");
    let told = Told::listen();
    let failure = start(&run("LD_X").deciders().await).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied);
    insta::assert_snapshot!(failure.message, @"the plugin `p`: the config does not let this plugin set the variable `LD_X` for a command. Names must begin with `DORMOUSE_` and go on with letters, digits and `_`: other variables could change what a granted command does.");
    assert_eq!(told.at(Level::WARN).len(), 1);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error_for_the_plugin() {
    let mut stage = Stage::new(&running("/nonesuch", &[]).build());
    grant(stage.plugin(), "/nonesuch", None);
    let failure = start(&stage.deciders().await).await.unwrap_err();
    assert!(failure.message.contains("/nonesuch"), "{failure}");
}

#[tokio::test]
async fn a_command_is_ended_before_its_call_so_that_the_plugin_can_say_so() {
    // The exit is the third case: `timed-out`.
    let guest = Guest::bare().runs("/bin/sleep", &["1000"], None).lifecycle(
        &format!(
            "(call $run) (call $fail (i32.const 2)
                (call $digit (i32.load8_u (i32.const {}))) (i32.const 1))",
            RETURNED + 4
        ),
        "(call $done)",
    );
    let mut stage = Stage::new(&guest.build());
    grant(stage.plugin(), "/bin/sleep", None);
    let deciders = stage.deciders().await;
    let answer = deciders
        .lifecycle
        .start(Cause::Operator, Duration::from_millis(300), CallContext::detached())
        .await;
    assert_eq!(answer.unwrap_err().message, "the plugin `p`: 2");
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_no_command_behind() {
    let script = "echo $$ > \"$DORMOUSE_FILE.new\"; mv \"$DORMOUSE_FILE.new\" \"$DORMOUSE_FILE\"; \
                  exec sleep 1000";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let variable = ("DORMOUSE_FILE", file.to_str().unwrap());
    let guest = Guest::bare()
        .runs("/bin/sh", &["-c", script], Some(variable))
        .lifecycle("(call $run) (call $tell)", "(call $done)");
    let mut stage = Stage::new(&guest.build());
    grant(stage.plugin(), "/bin/sh", None);
    let host = stage.host();
    let deciders = host.deciders(&stage.config, &stage.config.services[0]).await.unwrap();
    let process = {
        let mut given_up = deciders.lifecycle.start(Cause::Operator, LONG, CallContext::detached());
        tokio::select! {
            answer = &mut given_up => panic!("the start ended: {answer:?}"),
            pid = content(&file) => Path::new("/proc").join(pid.trim()),
        }
    };
    assert!(process.exists());
    host.shutdown().await;
    assert!(!process.exists(), "the command still runs");
}

/// What stands in a file, once it is there.
pub(super) async fn content(file: &Path) -> String {
    let deadline = Instant::now() + LONG;
    loop {
        if let Ok(text) = fs::read_to_string(file) {
            return text;
        }
        assert!(Instant::now() < deadline, "{} never came", file.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
