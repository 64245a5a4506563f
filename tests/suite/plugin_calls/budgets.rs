//! Guests that use too much: CPU time, time, memory, stack.

use super::*;

/// A loop that never ends, in a function with a result.
const LOOP: &str = "(loop $again (br $again)) (unreachable)";

/// The CPU time of this process, whose other threads have nothing to do.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

/// The failure of a call, during which another task of the same thread must go on.
async fn while_others_go_on<T: std::fmt::Debug>(
    call: impl Future<Output = Result<T, Failure>>,
) -> Failure {
    let turns = Arc::new(AtomicU32::new(0));
    let other = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let failure = call.await.expect_err("the loop should be ended");
    other.abort();
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns >= 3, "another task of the thread had {turns} turns only");
    failure
}

async fn looping(guest: Guest) -> (Stage, Deciders) {
    let mut stage = Stage::new(&guest.build());
    stage.plugin().limits.cpu = Duration::from_millis(100);
    let deciders = stage.deciders().await;
    (stage, deciders)
}

#[tokio::test]
async fn an_endless_loop_ends_when_its_cpu_time_is_used_up() {
    let (_stage, deciders) = looping(starting(LOOP)).await;
    let before = cpu_time();
    let failure = start(&deciders).await.unwrap_err();
    let used = cpu_time() - before;
    assert!(used >= Duration::from_millis(100), "it was ended after {used:?}");
    assert!(used < Duration::from_secs(1), "it was ended after {used:?}");
    insta::assert_snapshot!(broken(&failure), @"the plugin `p` used up the CPU time of a call (100ms) in `start`. If it needs more, raise `limits.cpu` in `[plugins.p]`");
}

#[tokio::test]
async fn an_endless_start_lets_others_go_on() {
    let (_stage, deciders) = looping(starting(LOOP)).await;
    let failure = while_others_go_on(start(&deciders)).await;
    assert!(broken(&failure).contains("CPU time of a call (100ms) in `start`"));
}

#[tokio::test]
async fn an_endless_stop_lets_others_go_on() {
    let (_stage, deciders) = looping(Guest::bare().lifecycle("(call $done)", LOOP)).await;
    let failure = while_others_go_on(stop(&deciders)).await;
    assert!(broken(&failure).contains("CPU time of a call (100ms) in `stop`"));
}

#[tokio::test]
async fn an_endless_ready_lets_others_go_on() {
    let (_stage, deciders) = looping(Guest::new().readiness(LOOP)).await;
    let failure = while_others_go_on(ready(&deciders)).await;
    assert!(broken(&failure).contains("CPU time of a call (100ms) in `ready`"));
}

#[tokio::test]
async fn an_endless_should_wake_lets_others_go_on() {
    let (_stage, deciders) = looping(Guest::new().gate(LOOP)).await;
    let failure = while_others_go_on(should_wake(&deciders, b"")).await;
    assert!(broken(&failure).contains("CPU time of a call (100ms) in `should-wake`"));
}

#[tokio::test]
async fn an_endless_should_sleep_lets_others_go_on() {
    let (_stage, deciders) = looping(Guest::new().idleness(LOOP)).await;
    let failure = while_others_go_on(should_sleep(&deciders)).await;
    assert!(broken(&failure).contains("CPU time of a call (100ms) in `should-sleep`"));
}

#[tokio::test]
async fn a_guest_that_loops_while_it_is_made_is_ended_too() {
    let guest = Guest::new().function("(func $forever (loop $again (br $again))) (start $forever)");
    let (_stage, deciders) = looping(guest).await;
    let failure = while_others_go_on(start(&deciders)).await;
    assert!(broken(&failure).contains("CPU time of a call (100ms) in `start`"));
}

#[tokio::test]
async fn each_question_of_a_conversation_has_its_own_cpu_time() {
    // Some milliseconds a question: far below the limit each, and beyond it together.
    let guest = Guest::new().gate(
        "(local $turns i32)
         (local.set $turns (i32.const 5000000))
         (loop $again
            (local.set $turns (i32.sub (local.get $turns) (i32.const 1)))
            (br_if $again (local.get $turns)))
         (call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1))",
    );
    let (_stage, deciders) = looping(guest).await;
    let mut conversation = deciders.gate.unwrap().converse(client());
    let before = cpu_time();
    while cpu_time() - before < Duration::from_millis(300) {
        conversation.should_wake(Phase::Asleep, b"").await.unwrap();
    }
}

#[tokio::test]
async fn waiting_ends_at_the_deadline_of_the_call() {
    let guest = Guest::bare()
        .lifecycle("(call $done)", "(call $probe (i32.const 2048)) (call $done)")
        .readiness("(call $probe (i32.const 2048)) (call $not_yet (i32.const 0) (i32.const 0))")
        .import("dormouse:plugin/target@0.1.0", "probe", "probe", "(param i32)");
    let mut stage = Stage::new(&guest.build());
    let listener = full_listener().await;
    stage.service().target.host = "127.0.0.1".to_owned();
    stage.service().target.port = listener.port();
    stage.service().connect_timeout = Duration::from_secs(600);
    stage.plugin().limits.call = Duration::from_millis(200);
    let deciders = stage.deciders().await;
    let began = Instant::now();
    let failure = ready(&deciders).await.unwrap_err();
    assert!(began.elapsed() >= Duration::from_millis(200));
    insta::assert_snapshot!(broken(&failure), @"the plugin `p` did not return from `ready` within 200ms. If it needs longer, raise `limits.call` in `[plugins.p]`");
    let failure = deciders
        .lifecycle
        .stop(Cause::Cooldown, Duration::from_millis(200), CallContext::detached())
        .await;
    insta::assert_snapshot!(broken(&failure.unwrap_err()), @"the plugin `p` did not return from `stop` within 200ms. If it needs longer, raise `stop_timeout` in `[services.s]`");
}

/// A listener whose queue is full: a connect to it waits.
async fn full_listener() -> Full {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    loop {
        let connect = tokio::net::TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(300), connect).await {
            Ok(stream) => queued.push(stream.unwrap()),
            Err(_) => {
                return Full { listener, _queued: queued };
            }
        }
        assert!(queued.len() < 1000, "the queue does not fill");
    }
}

struct Full {
    listener: TcpListener,
    _queued: Vec<tokio::net::TcpStream>,
}

impl Full {
    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }
}

#[tokio::test]
async fn a_guest_that_eats_memory_is_ended() {
    let guest =
        starting("(loop $again (drop (memory.grow (i32.const 16))) (br $again)) (unreachable)");
    insta::assert_snapshot!(broken(&failed_start(&guest).await), @"the plugin `p` needs more memory in `start` than the 64.0 MiB that it may have. If it needs more, raise `limits.memory` in `[plugins.p]`");
}

#[tokio::test]
async fn a_guest_that_needs_more_memory_from_the_start_is_ended() {
    let mut stage = Stage::new(&Guest::new().build());
    stage.plugin().limits.memory = 256 << 10;
    let failure = start(&stage.deciders().await).await.unwrap_err();
    insta::assert_snapshot!(broken(&failure), @"the plugin `p` needs more memory in `start` than the 256.0 KiB that it may have. If it needs more, raise `limits.memory` in `[plugins.p]`");
}

#[tokio::test]
async fn a_recursion_without_end_is_ended() {
    let guest = starting("(drop (call $recurse (i32.const 0))) (call $done)");
    insta::assert_snapshot!(broken(&failed_start(&guest).await), @"the plugin `p` crashed in `start`: its recursion went deeper than its stack. This is a fault of the plugin: report it to its author");
}

#[tokio::test]
async fn a_text_that_is_shown_again_and_again_does_not_fill_our_memory() {
    // 16 million arguments of 64 KiB each, out of one.
    let guest = starting(
        "(memory.fill (i32.const 65536) (i32.const 1) (i32.const 131072))
         (call $process_run (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 16384)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
         (call $done)",
    )
    .import(
        "dormouse:plugin/process@0.1.0",
        "run",
        "process_run",
        "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32)",
    )
    .function("(func $unused)");
    let failure = failed_start(&guest).await;
    assert!(broken(&failure).starts_with("the plugin `p` crashed in `start`: "), "{failure}");
}
