//! A plugin of Dormouse: a client has to knock twice before the target is woken for it.
//!
//! Port scanners connect once and go away. Whoever means it connects again: the second connection
//! from one address within `seconds` wakes the target. The target is ready when it accepts
//! connections.

// From the files in `wit/`: a module for each interface that the world imports or exports.
wit_bindgen::generate!({ path: "wit", world: "plugin", generate_all });

use std::time::SystemTime;

use dormouse::plugin::log::{self, Level};
use dormouse::plugin::state::{self, StateError};
use dormouse::plugin::types::{Client, Failure, FailureKind, Phase, Service};
use dormouse::plugin::{settings, target};
use exports::dormouse::plugin::gate::{self, Reply, Verdict};
use exports::dormouse::plugin::readiness::{self, ReadinessAnswer};

/// The component. Each call gets a fresh instance, so that there is nothing to keep in it.
struct Porter;

impl gate::Guest for Porter {
    fn should_wake(_: Service, client: Client, _: Phase, _: Vec<u8>) -> Result<Reply, Failure> {
        let seconds = seconds(&settings::get())?;
        let address = without_port(&client.address);
        let slot = slot(address);
        let now = milliseconds_now();

        let last = state::get(&slot).map_err(unkept)?.and_then(|knock| time_of(&knock, address));
        // A clock that was set back makes a knock of the future: that one doesn't count.
        let waited = last.and_then(|last| now.checked_sub(last));
        let verdict = if waited.is_some_and(|waited| waited <= seconds * 1000) {
            state::delete(&slot).map_err(unkept)?;
            tell(&format!("{address} knocked twice: the target is woken"));
            Verdict::Wake
        } else {
            state::set(&slot, format!("{address} {now}").as_bytes()).map_err(unkept)?;
            tell(&format!("{address} knocked: once more within {seconds} s wakes the target"));
            Verdict::Refuse
        };
        // Nothing is said to the client, and all that it sent is for the target.
        Ok(Reply { send: Vec::new(), consumed: 0, verdict })
    }
}

impl readiness::Guest for Porter {
    fn ready(_: Service, _attempt: u32) -> Result<ReadinessAnswer, Failure> {
        Ok(match target::probe() {
            Ok(()) => ReadinessAnswer::Ready(None),
            Err(why) => ReadinessAnswer::NotYet(why),
        })
    }
}

/// `settings = { seconds = 10 }`: the longest time between two knocks, from 1 to 3600.
fn seconds(settings: &str) -> Result<u64, Failure> {
    let settings: serde_json::Value = serde_json::from_str(settings).unwrap_or_default();
    let seconds = match settings.get("seconds") {
        None => Some(10),
        Some(value) => value.as_u64().filter(|seconds| (1..=3600).contains(seconds)),
    };
    seconds.ok_or_else(|| Failure {
        kind: FailureKind::WrongSettings,
        message: "`seconds` in the settings has to be a whole number from 1 to 3600".to_owned(),
    })
}

/// The host of `host:port` or `[host]:port`: each connection of a client has another port.
fn without_port(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// The key for the last knock of an address. There are 256, so that strangers can't fill the state:
/// two addresses that share one only make each other knock again.
fn slot(address: &str) -> String {
    let number = address.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    format!("knock-{number}")
}

/// When `address` knocked, if the stored `ADDRESS MILLISECONDS` is a knock of that address.
fn time_of(knock: &[u8], address: &str) -> Option<u64> {
    let (knocker, time) = str::from_utf8(knock).ok()?.split_once(' ')?;
    if knocker == address { time.parse().ok() } else { None }
}

/// Milliseconds since 1970. Not the monotonic clock: what is stored outlasts restarts.
fn milliseconds_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn tell(message: &str) {
    log::write(Level::Info, message);
}

/// The failure of a gate that can't remember.
fn unkept(error: StateError) -> Failure {
    let why = match error {
        StateError::TooLarge => "the state is full".to_owned(),
        StateError::Storage(why) => why,
    };
    Failure {
        kind: FailureKind::TryAgain(None),
        message: format!("the knocks can't be remembered: {why}"),
    }
}

export!(Porter);
