//! Plugin files that change while they are in use: what is taken up, when, and what is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use dormouse::decide::{CallContext, Cause, Deciders, Phase, Readiness};
use dormouse::plugin::{Host, LoadFault};
use sha2::{Digest as _, Sha256};
use tracing::Level;

use crate::support::guest::Guest;
use crate::support::proxy::Scene;
use crate::support::stage::{Stage, client};
use crate::support::told::Told;

/// A version of a plugin that says which it is whenever it is asked.
fn version(number: u32) -> Guest {
    let number = format!("(call $digit (i32.const {number})) (i32.const 1)");
    Guest::new()
        .readiness(&format!("(call $not_yet {number})"))
        .gate(&format!("(call $reply {number} (i32.const 0) (i32.const 1))"))
}

/// A plugin in its first version, at work.
struct Scenery {
    stage: Stage,
    host: Host,
    deciders: Deciders,
}

impl Scenery {
    async fn new() -> Scenery {
        Scenery::of(Stage::new(&version(1).build())).await
    }

    async fn of(stage: Stage) -> Scenery {
        let host = stage.host();
        let deciders = host.deciders(&stage.config, &stage.config.services[0]).await.unwrap();
        let scenery = Scenery { stage, host, deciders };
        assert_eq!(scenery.ready().await, "1");
        scenery
    }

    /// The version that answers by now.
    async fn ready(&self) -> String {
        match self.deciders.readiness.as_ref().unwrap().ready(1, CallContext::detached()).await {
            Ok(Readiness::NotYet(version)) => version,
            other => panic!("{other:?}"),
        }
    }

    fn write(&self, content: impl AsRef<[u8]>) {
        fs::write(self.stage.file(), content).unwrap();
    }

    /// Two looks at a file: it has changed, and it stands still.
    async fn settle(&self) {
        self.host.take_up_changes().await;
        self.host.take_up_changes().await;
    }

    /// The error with which what stands in the file is not taken up.
    async fn refused(&self, content: impl AsRef<[u8]>) -> String {
        let told = Told::listen();
        self.write(content);
        self.settle().await;
        assert_eq!(self.ready().await, "1", "the version from before decides on");
        let errors = told.at(Level::ERROR);
        assert_eq!(errors.len(), 1, "{errors:?}");
        self.settle().await;
        assert_eq!(told.at(Level::ERROR).len(), 1, "it is told once");
        self.stage.without_paths(&errors[0])
    }
}

#[tokio::test]
async fn a_file_that_has_changed_takes_over_at_the_next_call() {
    let plugin = Scenery::new().await;
    let told = Told::listen();
    plugin.write(version(2).build());
    assert_eq!(plugin.ready().await, "1");
    plugin.host.take_up_changes().await;
    assert_eq!(plugin.ready().await, "1", "somebody may be writing it still");
    plugin.host.take_up_changes().await;
    assert_eq!(plugin.ready().await, "2");
    let told = told.at(Level::INFO);
    let expected = format!(
        "the plugin file `[FOLDER]/p.wasm` has changed: what stands in it decides from the next call \
         on plugin=\"p\" sha256={}",
        sum(&version(2).build())
    );
    assert_eq!(
        told.iter().map(|line| plugin.stage.without_paths(line)).collect::<Vec<_>>(),
        [expected]
    );
}

#[tokio::test]
async fn a_file_that_another_takes_the_place_of_has_changed_whatever_its_time_says() {
    let plugin = Scenery::new().await;
    let time = fs::metadata(plugin.stage.file()).unwrap().modified().unwrap();
    let other = plugin.stage.folder.path().join("other.wasm");
    fs::write(&other, version(2).build()).unwrap();
    fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
    fs::rename(&other, plugin.stage.file()).unwrap();
    plugin.settle().await;
    assert_eq!(plugin.ready().await, "2");
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_by_now_has_changed() {
    let stage = Stage::new(&version(1).build());
    let place = |name: &str| stage.folder.path().join(name);
    fs::rename(stage.file(), place("1.wasm")).unwrap();
    fs::write(place("2.wasm"), version(2).build()).unwrap();
    symlink("1.wasm", stage.file()).unwrap();
    let plugin = Scenery::of(stage).await;
    fs::remove_file(plugin.stage.file()).unwrap();
    symlink("2.wasm", plugin.stage.file()).unwrap();
    plugin.settle().await;
    assert_eq!(plugin.ready().await, "2");
}

#[tokio::test]
async fn a_file_that_is_touched_and_says_the_same_is_not_compiled_again() {
    let plugin = Scenery::new().await;
    let told = Told::listen();
    let before = plugin.host.compilations();
    plugin.write(version(1).build());
    plugin.settle().await;
    assert_eq!(plugin.host.compilations(), before);
    assert_eq!(told.at(Level::INFO), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_that_does_not_load_leaves_the_old_one_in_place() {
    let plugin = Scenery::new().await;
    let whole = version(2).build();
    insta::assert_snapshot!(plugin.refused("no component").await, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it is no WebAssembly (it is a text). Name the component that your build wrote. It has changed since it was loaded: the version from before decides on plugin=\"p\"");
    let half = plugin.refused(&whole[..whole.len() / 2]).await;
    assert!(half.contains("it is damaged"), "{half}");
    assert!(half.ends_with("the version from before decides on plugin=\"p\""), "{half}");
    // The other half comes later.
    plugin.write(whole);
    plugin.settle().await;
    assert_eq!(plugin.ready().await, "2");
}

#[tokio::test]
async fn a_version_that_lacks_what_the_service_relies_on_is_not_taken_up() {
    let plugin = Scenery::new().await;
    let without_gate =
        Guest::new().readiness("(call $not_yet (call $digit (i32.const 2)) (i32.const 1))");
    insta::assert_snapshot!(plugin.refused(without_gate.build()).await, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it does not export `dormouse:plugin/gate@0.1.0`, which the service `s` relies on. Build it with that interface, or change the config and restart Dormouse. It has changed since it was loaded: the version from before decides on plugin=\"p\"");
}

#[tokio::test]
async fn a_file_that_is_gone_is_told_of_and_decides_on() {
    let plugin = Scenery::new().await;
    let told = Told::listen();
    fs::remove_file(plugin.stage.file()).unwrap();
    for _ in 0..3 {
        plugin.settle().await;
    }
    assert_eq!(plugin.ready().await, "1");
    let warnings = told.at(Level::WARN);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("is gone. What was loaded from it decides on"), "{warnings:?}");
    plugin.write(version(2).build());
    plugin.settle().await;
    assert_eq!(plugin.ready().await, "2");
}

#[tokio::test]
async fn a_conversation_keeps_the_version_that_it_began_with() {
    let plugin = Scenery::new().await;
    let gate = plugin.deciders.gate.as_ref().unwrap();
    let mut old = gate.converse(client());
    assert_eq!(old.should_wake(Phase::Asleep, b"").await.unwrap().send, b"1");
    plugin.write(version(2).build());
    plugin.settle().await;
    let mut new = gate.converse(client());
    assert_eq!(new.should_wake(Phase::Asleep, b"").await.unwrap().send, b"2");
    assert_eq!(old.should_wake(Phase::Asleep, b"").await.unwrap().send, b"1");
}

#[tokio::test]
async fn a_version_that_nobody_uses_any_more_is_dropped() {
    let plugin = Scenery::new().await;
    let gate = plugin.deciders.gate.as_ref().unwrap();
    let old = Arc::downgrade(&plugin.host.load(&plugin.stage.config.plugins[0]).await.unwrap());
    let mut conversation = gate.converse(client());
    conversation.should_wake(Phase::Asleep, b"").await.unwrap();
    for number in 2..6 {
        plugin.write(version(number).build());
        plugin.settle().await;
        assert_eq!(plugin.ready().await, number.to_string());
    }
    drop(conversation);
    assert!(old.upgrade().is_none());
}

// Pins.

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pinned(to: &[u8]) -> Stage {
    let mut stage = Stage::new(&version(1).build());
    stage.plugin().sha256 = Some(Sha256::digest(to).into());
    stage
}

#[tokio::test]
async fn a_file_with_the_sum_that_is_pinned_is_loaded_and_any_other_is_not() {
    Scenery::of(pinned(&version(1).build())).await;
    let (error, message) = pinned(b"another file").load_error().await;
    assert!(matches!(error.fault, LoadFault::OtherSum { .. }));
    let (found, pinned) = (sum(&version(1).build()), sum(b"another file"));
    let expected = format!("its SHA-256 sum is {found}, and `sha256` pins {pinned}. ");
    assert!(message.contains(&expected), "{message}");
    let remedy = format!("write this under `[plugins.p]`: sha256 = \"{found}\"");
    assert!(message.ends_with(&remedy), "{message}");
}

#[tokio::test]
async fn a_pinned_file_that_changes_leaves_the_old_one_in_place() {
    let plugin = Scenery::of(pinned(&version(1).build())).await;
    let error = plugin.refused(version(2).build()).await;
    assert!(error.contains(&format!("its SHA-256 sum is {}", sum(&version(2).build()))), "{error}");
    assert!(error.contains(&format!("pins {}", sum(&version(1).build()))), "{error}");
}

#[tokio::test]
async fn two_plugins_of_one_file_may_be_pinned_apart() {
    let mut stage = pinned(b"another file");
    let mut other = stage.config.plugins[0].clone();
    other.sha256 = None;
    other.name = "q".to_owned();
    stage.config.plugins.push(other);
    let host = stage.host();
    assert!(host.load(&stage.config.plugins[0]).await.is_err());
    assert!(host.load(&stage.config.plugins[1]).await.is_ok());
}

#[tokio::test]
async fn a_file_that_is_larger_than_any_component_is_not_read() {
    let stage = Stage::new(b"");
    let file = fs::File::options().write(true).open(stage.file()).unwrap();
    // Without a single block on the disk.
    file.set_len(1 << 40).unwrap();
    let (error, message) = stage.load_error().await;
    assert!(matches!(error.fault, LoadFault::TooLarge { .. }));
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: it is larger than 256.0 MiB, and no component is. Name the component that your build wrote");
}

// The whole program.

#[test]
fn dormouse_takes_up_a_plugin_that_changes_while_it_runs() {
    let refusing = "(call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2))";
    let waking = "(call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))";
    let scene =
        Scene::new().set("gate", "keeper").plugin("keeper", Guest::bare().gate(refusing).build());
    let dormouse = scene.run();
    let refused = scene.client();
    refused.send("hello");
    refused.expect_end();
    std::fs::write(scene.path("keeper.wasm"), Guest::bare().gate(waking).build()).unwrap();
    dormouse.await_line("the plugin file `");
    scene.client().ask("hello again");
    assert_eq!(scene.hooks(), ["start client"]);
}

#[tokio::test]
async fn a_start_that_runs_is_finished_by_the_version_that_began_it() {
    let slow = Guest::bare().lifecycle("(loop $again (br $again)) (unreachable)", "(call $done)");
    let mut stage = Stage::new(&slow.build());
    stage.plugin().limits.cpu = std::time::Duration::from_millis(300);
    let host = stage.host();
    let deciders = host.deciders(&stage.config, &stage.config.services[0]).await.unwrap();
    let long = std::time::Duration::from_secs(60);
    let cause = Cause::Client(client());
    let (started, ()) =
        tokio::join!(deciders.lifecycle.start(cause, long, CallContext::detached()), async {
            fs::write(stage.file(), Guest::new().build()).unwrap();
            host.take_up_changes().await;
            host.take_up_changes().await;
        });
    assert!(started.is_err(), "the old one loops to its end");
    assert!(
        deciders.lifecycle.start(cause, long, CallContext::detached()).await.is_ok(),
        "the new one does not"
    );
}
