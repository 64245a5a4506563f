//! What plugins do wrong is counted, and told where it happens again and again.

use dormouse::plugin::{Counts, Host};

use super::*;

/// A guest that does one thing in `start`, and what is counted of it after `times` starts.
async fn counted(guest: &Guest, times: u64) -> Counts {
    let mut stage = Stage::new(&guest.build());
    stage.plugin().limits.cpu = Duration::from_millis(50);
    stage.plugin().limits.log_lines = 2;
    let (host, deciders) = at_work(&stage).await;
    for _ in 0..times {
        let _ = start(&deciders).await;
    }
    counts(&host)
}

async fn at_work(stage: &Stage) -> (Host, Deciders) {
    let host = stage.host();
    let deciders = host.deciders(&stage.config, &stage.config.services[0]).await;
    (host, deciders.unwrap())
}

fn counts(host: &Host) -> Counts {
    let all = host.counts();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].plugin, "p");
    all[0].counts
}

#[tokio::test]
async fn each_call_is_counted_by_how_it_ended() {
    let calls = |calls| Counts { calls, ..Counts::default() };
    assert_eq!(counted(&Guest::new(), 3).await, calls(3));
    let failing = starting("(call $fail (i32.const 1) (i32.const 0) (i32.const 0))");
    assert_eq!(counted(&failing, 2).await, Counts { failures: 2, ..calls(2) });
    assert_eq!(counted(&starting("(unreachable)"), 2).await, Counts { crashes: 2, ..calls(2) });
    let looping = starting("(loop $again (br $again)) (unreachable)");
    assert_eq!(counted(&looping, 1).await, Counts { cpu: 1, ..calls(1) });
    let hungry =
        starting("(loop $again (drop (memory.grow (i32.const 16))) (br $again)) (unreachable)");
    assert_eq!(counted(&hungry, 1).await, Counts { memory: 1, ..calls(1) });
}

#[tokio::test]
async fn denials_and_lines_that_are_left_out_are_counted() {
    let denied = starting("(call $run) (call $tell)").runs("true", &[], None);
    let denials = counted(&denied, 2).await.denials;
    assert_eq!(denials, 2, "each of them, though it is told once");
    let line = "(call $log (i32.const 1) (i32.const 4096) (i32.const 1))";
    let talking = starting(&format!("{} (call $done)", line.repeat(5)));
    let talking =
        talking.import("dormouse:plugin/log@0.1.0", "write", "log", "(param i32 i32 i32)");
    assert_eq!(counted(&talking, 2).await.lines_left_out, 6);
}

#[tokio::test]
async fn an_answer_that_can_not_be_is_counted() {
    let guest =
        Guest::new().gate("(call $reply (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 0))");
    let stage = Stage::new(&guest.build());
    let (host, deciders) = at_work(&stage).await;
    assert!(should_wake(&deciders, b"x").await.is_err());
    assert_eq!(counts(&host), Counts { calls: 1, nonsense: 1, ..Counts::default() });
}

#[tokio::test]
async fn a_deadline_is_counted_whether_the_plugin_or_the_service_notices_it_first() {
    const DEADLINE: Duration = Duration::from_secs(2);
    /// Within the tenth of the deadline in which the service may be the first to notice it.
    const JUST_BEFORE: Duration = Duration::from_millis(1950);
    /// The thread of the plugin may begin to count later than this one, on a busy machine.
    const TRIES: usize = 10;
    let guest = starting("(loop $again (br $again)) (unreachable)");
    let mut stage = Stage::new(&guest.build());
    stage.plugin().limits.cpu = LONG;
    let (host, deciders) = at_work(&stage).await;
    let begin = |context| deciders.lifecycle.start(Cause::Client(client()), DEADLINE, context);
    drop(begin(CallContext::detached()));
    assert_eq!(counts(&host), Counts::default(), "never begun");

    let mut early = begin(CallContext::detached());
    assert!(tokio::time::timeout(DEADLINE / 4, &mut early).await.is_err());
    drop(early);
    let dropped_late = async || {
        let mut call = begin(CallContext::detached());
        let _ = tokio::time::timeout(JUST_BEFORE, &mut call).await;
        drop(call);
        tokio::time::sleep(DEADLINE / 4).await;
        counts(&host).late
    };
    let mut late = 0;
    for _ in 0..TRIES {
        late = dropped_late().await;
        if late > 0 {
            break;
        }
    }
    assert_eq!(late, 1, "the one that was dropped late is counted, and not the other");

    let cancelled_after = async |after: Duration| {
        let context = CallContext::detached();
        let cancelled = context.cancelled.clone();
        let mut call = begin(context);
        if tokio::time::timeout(after, &mut call).await.is_err() {
            cancelled.cancel();
            assert!(call.await.is_err());
        }
        counts(&host).late
    };
    assert_eq!(cancelled_after(DEADLINE / 4).await, 1, "cancelled early");
    for _ in 0..TRIES {
        late = cancelled_after(JUST_BEFORE).await;
        if late > 1 {
            break;
        }
    }
    assert_eq!(late, 2, "cancelled late");
}

#[tokio::test]
async fn a_plugin_that_crashes_again_and_again_is_told_from_a_target_that_fails() {
    let stage = Stage::new(&starting("(unreachable)").build());
    let (host, deciders) = at_work(&stage).await;
    let told = Told::listen();
    for _ in 0..4 {
        let _ = start(&deciders).await;
    }
    assert_eq!(told.at(Level::ERROR), Vec::<String>::new());
    for _ in 0..6 {
        let _ = start(&deciders).await;
    }
    let errors = told.at(Level::ERROR);
    assert_eq!(errors.len(), 2, "the fifth and the tenth: {errors:?}");
    insta::assert_snapshot!(errors[0], @r#"the plugin `p` has failed 5 times in a row in `start` (5 crashes): this is the plugin's fault, not the target's. The messages of its failures say what would help. Otherwise tell its author, and put another version in the place of its file, which is taken up at once plugin="p""#);
    std::fs::write(stage.file(), Guest::new().build()).unwrap();
    host.take_up_changes().await;
    host.take_up_changes().await;
    start(&deciders).await.unwrap();
    let last = told.at(Level::INFO).pop().unwrap();
    insta::assert_snapshot!(last, @r#"the plugin `p` answers again in `start`, after 10 faults in a row plugin="p""#);
}

#[tokio::test]
async fn a_target_that_fails_again_and_again_is_not_the_plugins_fault() {
    let failing = starting("(call $fail (i32.const 1) (i32.const 0) (i32.const 0))");
    let stage = Stage::new(&failing.build());
    let (host, deciders) = at_work(&stage).await;
    let told = Told::listen();
    for _ in 0..50 {
        let _ = start(&deciders).await;
    }
    assert_eq!(told.at(Level::ERROR), Vec::<String>::new());
    host.shutdown().await;
    assert_eq!(told.at(Level::INFO), Vec::<String>::new(), "nothing is wrong with it");
}

#[tokio::test]
async fn what_a_plugin_did_wrong_is_told_at_the_exit() {
    let stage = Stage::new(&starting("(unreachable)").build());
    let (host, deciders) = at_work(&stage).await;
    for _ in 0..3 {
        let _ = start(&deciders).await;
    }
    let told = Told::listen();
    host.shutdown().await;
    let expected = "what this plugin has done so far: 3 calls, 3 crashes plugin=\"p\"";
    assert_eq!(told.at(Level::INFO), [expected]);
}
