//! What a plugin costs: a gate's judgement and a start, each with a fresh instance, through the port
//! that the service uses. The guests are as small as guests can be, so that what is measured is the
//! host.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that fails here should fail loudly"
)]

#[path = "../tests/suite/support/guest.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod guest;
#[path = "../tests/conformance/porter.rs"]
mod porter;
#[path = "../tests/suite/support/stage.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod stage;

use std::fs;
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use dormouse::config::ExecGrant;
use dormouse::decide::{CallContext, Cause, Deciders, Phase};
use dormouse::plugin::Host;
use tokio::runtime::Runtime;

use self::guest::Guest;
use self::stage::{Stage, client};

const MINUTE: Duration = Duration::from_secs(60);

/// A guest that judges clients, starts a target, and asks for the first byte of what it is shown.
fn component() -> Vec<u8> {
    Guest::new()
        .gate("(call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))")
        .build()
}

/// A guest whose `start` runs `true`.
fn running() -> Vec<u8> {
    Guest::bare()
        .runs("true", &[], None)
        .lifecycle("(call $run) (call $done)", "(call $done)")
        .build()
}

fn deciders(runtime: &Runtime, stage: &Stage) -> (Host, Deciders) {
    let host = stage.host();
    let deciders = runtime.block_on(host.deciders(&stage.config, &stage.config.services[0]));
    (host, deciders.unwrap_or_else(|error| panic!("{error}")))
}

fn calls(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("{error}"));
    let stage = Stage::new(&component());
    let (_host, deciders) = deciders(&runtime, &stage);
    let gate = deciders.gate.clone().unwrap_or_else(|| panic!("it has a gate"));

    criterion.bench_function("should-wake, with its instance", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                gate.converse(client()).should_wake(Phase::Asleep, b"hello").await
            })
        });
    });
    criterion.bench_function("start, with its instance", |bench| {
        bench.iter(|| {
            runtime.block_on(deciders.lifecycle.start(
                Cause::Operator,
                MINUTE,
                CallContext::detached(),
            ))
        });
    });
}

fn commands(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("{error}"));
    let mut stage = Stage::new(&running());
    stage.plugin().allow.exec = vec![ExecGrant { program: "true".to_owned(), arguments: None }];
    let (_host, deciders) = deciders(&runtime, &stage);

    criterion.bench_function("start that runs `true`", |bench| {
        bench.iter(|| {
            runtime.block_on(deciders.lifecycle.start(
                Cause::Operator,
                MINUTE,
                CallContext::detached(),
            ))
        });
    });
    criterion.bench_function("fork and exec of `true` alone", |bench| {
        bench.iter(|| std::process::Command::new("true").status());
    });
}

fn starts(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("{error}"));
    let stage = Stage::new(&component());
    drop(deciders(&runtime, &stage));

    criterion.bench_function("a host", |bench| bench.iter(|| stage.host()));
    criterion.bench_function("loading a plugin, from the cache", |bench| {
        bench.iter_batched(
            || stage.host(),
            |host| {
                let loaded = runtime.block_on(host.load(&stage.config.plugins[0])).is_ok();
                (host, loaded)
            },
            BatchSize::PerIteration,
        );
    });
}

/// The example plugin, in each language in which `cargo xtask plugins LANG` has built it. A knock
/// writes the state to the disk; settings that are wrong end the conversation before that.
fn languages(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("{error}"));
    for language in ["rust", "c", "go", "python", "javascript"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plugins").join(language);
        let Ok(component) = fs::read(folder.join("build/porter.wasm")) else { continue };
        for (name, seconds) in [("a knock", 1), ("reads its settings", 0)] {
            let stage = porter::stage(&component, serde_json::json!({ "seconds": seconds }));
            let (_host, deciders) = deciders(&runtime, &stage);
            let gate = deciders.gate.clone().unwrap_or_else(|| panic!("it has a gate"));
            criterion.bench_function(&format!("should-wake in {language}: {name}"), |bench| {
                bench.iter(|| {
                    runtime.block_on(async {
                        gate.converse(client()).should_wake(Phase::Asleep, b"hello").await
                    })
                });
            });
        }
    }
}

criterion_group!(benches, calls, commands, starts, languages);
criterion_main!(benches);
