//! Whatever language a plugin is written in, Dormouse sees the same.
//!
//! `examples/plugins/` has one plugin in several languages. These tests hold conversations with one
//! of its builds, through the port that the service uses. `cargo xtask plugins LANG` builds one and
//! runs them, with its path in `DORMOUSE_PLUGIN`. They are a test of their own, because the suite
//! needs nothing but a Rust toolchain, and are run only when they are asked for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

mod crowd;
mod knocks;
mod porter;
mod readiness;
mod settings;
#[path = "../suite/support/stage.rs"]
#[expect(dead_code, reason = "the suite uses the rest")]
mod stage;
#[path = "../suite/support/told.rs"]
mod told;
mod trouble;

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use dormouse::decide::{Client, Conversation, Deciders, Failure, Phase, Reply, Verdict};
use tokio::sync::OnceCell;

use self::stage::Stage;

/// The component under test.
static COMPONENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let file = std::env::var_os("DORMOUSE_PLUGIN").expect(
        "`DORMOUSE_PLUGIN` names no component: `cargo xtask plugins LANG` builds one and runs this",
    );
    let component = fs::read(&file);
    component.unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()))
});

/// Set once the component is in the cache: compiling it takes seconds in some languages.
static COMPILED: OnceCell<()> = OnceCell::const_new();

/// A config in which the component is the gate and judges readiness, and knocks count for so long.
async fn stage(seconds: u64) -> Stage {
    let stage = porter::stage(&COMPONENT, serde_json::json!({ "seconds": seconds }));
    COMPILED.get_or_init(|| async { drop(stage.deciders().await) }).await;
    stage
}

/// The beginning of a conversation with a client from this address.
fn conversation(deciders: &Deciders, address: &str) -> Box<dyn Conversation> {
    static PORT: AtomicU16 = AtomicU16::new(1024);
    let address: IpAddr = address.parse().unwrap();
    // Each connection of a client comes from another port.
    let port = PORT.fetch_add(1, Ordering::Relaxed);
    let client = Client {
        address: SocketAddr::new(address, port),
        listener: "192.0.2.2:80".parse().unwrap(),
    };
    deciders.gate.as_ref().expect("it is a gate").converse(client)
}

/// The whole reply to a client from this address that has sent this.
async fn reply(deciders: &Deciders, address: &str, sent: &[u8]) -> Result<Reply, Failure> {
    conversation(deciders, address).should_wake(Phase::Asleep, sent).await
}

/// The verdict on a client from this address.
async fn knock(deciders: &Deciders, address: &str) -> Verdict {
    reply(deciders, address, b"hello").await.unwrap().verdict
}
