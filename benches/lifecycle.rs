//! What one event costs in the lifecycle: a whole night of a target, and a crowd that is held.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that fails here should fail loudly"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dormouse::lifecycle::{
    Call, ClientId, Effect, Event, Lifecycle, MaySleep, Moment, Origin, Outcome, Phase, Policy,
    Ready, UnderWay, WakeLimits,
};

fn policy() -> Policy {
    Policy {
        cooldown: Duration::from_secs(1800),
        start_timeout: Duration::from_secs(300),
        stop_timeout: Duration::from_secs(120),
        hold_timeout: Duration::from_secs(300),
        answer_timeout: Duration::from_secs(60),
        max_held: 4096,
        gated: false,
        asks_idleness: false,
        without_answer: MaySleep::Yes,
        wakes: WakeLimits { all: Some(12), each: Some(4), ..WakeLimits::NONE },
        stop_on_exit: false,
        backoff_first: Policy::BACKOFF_FIRST,
        backoff_most: Policy::BACKOFF_MOST,
        ready_pause_first: Policy::READY_PAUSE_FIRST,
        ready_pause_most: Policy::READY_PAUSE_MOST,
        stable_after: Policy::STABLE_AFTER,
        verifies_stop: true,
        settle_most: Policy::SETTLE_MOST,
        look_pause_first: Policy::LOOK_PAUSE_FIRST,
        look_pause_most: None,
    }
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

/// Where all clients come from.
const HOME: Origin = Origin::V4([192, 0, 2, 1]);

/// A start, a client, a cool-down and a stop.
const NIGHT: [(u64, Event); 8] = [
    (0, Event::Arrived(ClientId(1), HOME)),
    (9, Event::StartEnded(Call(1), Outcome::Done)),
    (10, Event::ReadyEnded(Call(2), Ready::Yes)),
    (3600, Event::Vacant { since: Moment(Duration::from_secs(3600)) }),
    (5400, Event::Tick),
    (5400, Event::DoorLocked),
    (5410, Event::StopEnded(Call(3), Outcome::Done)),
    (5410, Event::LookEnded { call: Call(4), up: false }),
];

fn asleep(policy: &Policy) -> Lifecycle {
    let booted = Lifecycle::new(0).step(policy, at(0), Event::Booted(UnderWay::Nothing)).0;
    booted.step(policy, at(0), Event::LookEnded { call: Call(0), up: false }).0
}

fn step(criterion: &mut Criterion) {
    let policy = policy();
    let mut group = criterion.benchmark_group("lifecycle");

    let last = NIGHT.iter().fold(asleep(&policy), |lifecycle, (seconds, event)| {
        lifecycle.step(&policy, at(*seconds), *event).0
    });
    assert_eq!(last.phase(), Phase::Asleep, "the night has to end asleep");
    group.throughput(Throughput::Elements(NIGHT.len() as u64));
    group.bench_function("a night, per event", |bencher| {
        bencher.iter_batched(
            || asleep(&policy),
            |mut lifecycle| {
                for (seconds, event) in NIGHT {
                    let effects: Vec<Effect>;
                    (lifecycle, effects) = lifecycle.step(&policy, at(seconds), event);
                    black_box(effects);
                }
                lifecycle
            },
            BatchSize::SmallInput,
        );
    });

    let crowd = (1..4096).fold(asleep(&policy), |lifecycle, id| {
        lifecycle.step(&policy, at(0), Event::Arrived(ClientId(id), HOME)).0
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("one more client beside 4,095 held ones", |bencher| {
        bencher.iter_batched(
            || crowd.clone(),
            |lifecycle| lifecycle.step(&policy, at(1), Event::Arrived(ClientId(5000), HOME)),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
