//! Plugins at work, well-behaved and not: what they are given, what they are denied, what happens
//! to them when they misbehave, and what is said about it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

mod answers;
mod budgets;
mod cancelling;
mod children;
mod commands;
mod counts;
mod folders;
mod http;
mod http_wire;
mod imports;
mod instances;
mod network;
mod state;
mod traps;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dormouse::config::{ExecGrant, Plugin, PluginId};
use dormouse::decide::{
    CallContext, Cause, Deciders, Failure, FailureKind, Phase, Readiness, Reply, SleepVerdict,
    Verdict,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;
use tracing::Level;

use crate::support::guest::{Guest, RETURNED};
use crate::support::stage::{Stage, client};
use crate::support::told::Told;

/// More than any call here takes on a machine that is not on fire.
const LONG: Duration = Duration::from_secs(60);

async fn start(deciders: &Deciders) -> Result<(), Failure> {
    deciders.lifecycle.start(Cause::Client(client()), LONG, CallContext::detached()).await
}

async fn stop(deciders: &Deciders) -> Result<(), Failure> {
    deciders.lifecycle.stop(Cause::Cooldown, LONG, CallContext::detached()).await
}

async fn ready(deciders: &Deciders) -> Result<Readiness, Failure> {
    deciders
        .readiness
        .as_ref()
        .expect("it judges readiness")
        .ready(1, CallContext::detached())
        .await
}

async fn should_wake(deciders: &Deciders, data: &[u8]) -> Result<Reply, Failure> {
    let gate = deciders.gate.as_ref().expect("it has a gate");
    gate.converse(client()).should_wake(Phase::Asleep, data).await
}

async fn should_sleep(deciders: &Deciders) -> Result<SleepVerdict, Failure> {
    let idleness = deciders.idleness.as_ref().expect("it has a say in sleep");
    idleness.should_sleep(LONG, CallContext::detached()).await
}

/// The failure of `start` of this guest.
async fn failed_start(guest: &Guest) -> Failure {
    let deciders = Stage::new(&guest.build()).deciders().await;
    start(&deciders).await.expect_err("the start should fail")
}

/// A guest whose `start` has this body.
fn starting(body: &str) -> Guest {
    Guest::bare().lifecycle(body, "(call $done)")
}

fn broken(failure: &Failure) -> &str {
    assert_eq!(failure.kind, FailureKind::Broken);
    &failure.message
}

fn grant(plugin: &mut Plugin, program: &str, arguments: Option<&[&str]>) {
    let arguments = arguments.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
    plugin.allow.exec.push(ExecGrant { program: program.to_owned(), arguments });
}
