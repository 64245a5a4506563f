//! Rule 16 with components that nobody wrote: random modules behind the interfaces of a plugin.
//!
//! Each is loaded beside a good plugin and asked for every decision, with small limits. After each,
//! the good plugin works, no call has taken longer than it may, and the process has no more address
//! space, maps, threads and descriptors than before.

mod footprint;
mod smith;

use std::collections::BTreeMap;
use std::future::Future;
use std::process::Command;
use std::time::{Duration, Instant};

use dormouse::config::{Decider, PluginId};
use dormouse::decide::{CallContext, Cause, Deciders, Failure, Phase};
use dormouse::text;

use crate::support::guest::Guest;
use crate::support::stage::{self, Stage, client};
use footprint::Footprint;

/// How many components a test makes; `DORMOUSE_COMPONENTS` has another number.
const COMPONENTS: u64 = 200;

/// The components before the first measurement: pools and arenas have their size after them.
const WARM_UP: u64 = 10;

/// The CPU time of a call.
const CPU: Duration = Duration::from_millis(30);

/// The time of a call.
const CALL: Duration = Duration::from_millis(500);

/// What a call may take beyond its time, on a machine that has other things to do.
const SLACK: Duration = Duration::from_secs(5);

/// In a process of its own, so that no other test changes what is measured.
#[test]
fn rule_16_random_components_cost_their_own_calls_alone() {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "components::random_components", "--ignored", "--nocapture"]);
    let output = process.output().unwrap();
    let (stdout, stderr) = (text::bytes(&output.stdout), text::bytes(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures its process: `rule_16_random_components_cost_their_own_calls_alone` runs it"]
#[allow(clippy::print_stdout, reason = "the figures are for whoever runs it with more components")]
async fn random_components() {
    let number = std::env::var("DORMOUSE_COMPONENTS").ok().and_then(|number| number.parse().ok());
    let number = number.unwrap_or(COMPONENTS);
    let (mut loaded, mut answered, mut failed, mut slowest) = (0, 0, 0, Duration::ZERO);
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let mut before: Option<Footprint> = None;
    for seed in 0..number {
        let tried = tried(seed).await;
        loaded += u64::from(tried.loaded);
        answered += tried.answered;
        failed += tried.failures.len() as u64;
        for failure in &tried.failures {
            *kinds.entry(kind(failure)).or_default() += 1;
        }
        slowest = slowest.max(tried.slowest);
        match &before {
            None if seed < WARM_UP => {}
            None => before = Some(Footprint::now()),
            Some(before) => before.is_reached_again(seed),
        }
    }
    println!(
        "{number} components: {loaded} loaded, {answered} calls answered, {failed} calls failed, \
         the slowest took {slowest:?}; {:?}, at first {before:?}; failures: {kinds:#?}",
        Footprint::now()
    );
    assert!(loaded * 3 >= number, "only {loaded} of {number} components loaded");
    assert!(answered + failed >= loaded, "nothing was called");
}

/// What came of one component.
#[derive(Default)]
struct Tried {
    loaded: bool,
    answered: u64,
    failures: Vec<String>,
    slowest: Duration,
}

async fn tried(seed: u64) -> Tried {
    let mut tried = Tried::default();
    let mut stage = Stage::new(&smith::component(seed));
    let limits = &mut stage.plugin().limits;
    (limits.cpu, limits.call) = (CPU, CALL);
    (limits.memory, limits.memories, limits.tables, limits.state) = (2 << 20, 4, 8, 16 << 10);
    add_good_plugin(&mut stage);
    let host = stage.host();
    let good = host.deciders(&stage.config, &stage.config.services[1]).await;
    let good = good.unwrap_or_else(|error| panic!("the good plugin: {error}"));
    match host.deciders(&stage.config, &stage.config.services[0]).await {
        Ok(deciders) => {
            tried.loaded = true;
            tried.ask_all(seed, &deciders).await;
        }
        Err(error) => assert_harmless(seed, &error.to_string()),
    }
    let started = good.lifecycle.start(Cause::Cooldown, SLACK, CallContext::detached()).await;
    assert_eq!(started, Ok(()), "component {seed} has cost the good plugin its call");
    tried
}

/// Adds the plugin `good`, which decides for the service `other`.
fn add_good_plugin(stage: &mut Stage) {
    let file = stage.folder.path().join("good.wasm");
    std::fs::write(&file, Guest::new().build()).unwrap();
    stage.config.plugins.push(stage::plugin("good", &file));
    let mut other = stage.config.services[0].clone();
    other.name = "other".to_owned();
    other.lifecycle = PluginId(1);
    (other.readiness, other.gate, other.idleness) =
        (Decider::Nobody, Decider::Nobody, Decider::Nobody);
    stage.config.services.push(other);
}

impl Tried {
    /// Every decision, and a conversation of three messages.
    async fn ask_all(&mut self, seed: u64, deciders: &Deciders) {
        let call = CallContext::detached;
        let lifecycle = &deciders.lifecycle;
        self.ask(seed, lifecycle.start(Cause::Client(client()), CALL, call())).await;
        self.ask(seed, lifecycle.stop(Cause::Cooldown, CALL, call())).await;
        if let Some(readiness) = &deciders.readiness {
            self.ask(seed, readiness.ready(1, call())).await;
        }
        if let Some(gate) = &deciders.gate {
            let mut conversation = gate.converse(client());
            for data in [&b""[..], b"GET / HTTP/1.1\r\n", &[0xff; 4096]] {
                self.ask(seed, conversation.should_wake(Phase::Asleep, data)).await;
            }
        }
        if let Some(idleness) = &deciders.idleness {
            self.ask(seed, idleness.should_sleep(CALL, call())).await;
        }
    }

    async fn ask<T>(&mut self, seed: u64, call: impl Future<Output = Result<T, Failure>>) {
        let began = Instant::now();
        let answer = call.await;
        let took = began.elapsed();
        assert!(took < CALL + SLACK, "a call of component {seed} took {took:?}");
        self.slowest = self.slowest.max(took);
        match answer {
            Ok(_) => self.answered += 1,
            Err(failure) => {
                assert_harmless(seed, &failure.message);
                self.failures.push(failure.message);
            }
        }
    }
}

/// A failure without numbers and names, so that failures of one kind can be counted.
fn kind(failure: &str) -> String {
    let words = failure.split('`').step_by(2).collect::<Vec<_>>().join("_");
    words.chars().filter(|letter| !letter.is_ascii_digit()).take(100).collect()
}

fn assert_harmless(seed: u64, message: &str) {
    let hostile = |letter: char| letter != '\n' && text::is_hostile(letter);
    assert!(!message.contains(hostile), "component {seed}: {message:?}");
    assert!(message.len() < 16 << 10, "component {seed}: {} bytes", message.len());
}
