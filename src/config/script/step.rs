//! `[[step]]`: a call, and what should come of it.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::addresses;
use super::super::fault::{Fault, Problem};
use super::super::reader::{Table, Value};
use super::super::values::YEAR;
use super::{bytes, choice, text, texts, time};

/// How long a step may wait before its call.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How many bytes a client may send in a step: what a gate is shown at once.
const MOST_SENT: usize = 64 << 10;

const CALLS: &[&str] = &["start", "stop", "ready", "should-wake", "should-sleep"];
const CAUSES: &[&str] = &["client", "operator", "cooldown", "exit", "failed-start"];
const PHASES: &[&str] = &["asleep", "starting", "stopping"];
const KINDS: &[&str] = &["wrong-settings", "try-again", "permanent", "denied", "broken"];
const EXPECT: &str = "a table, such as `{ answer = \"wake\" }`";

/// The answers that there are to each call.
pub const ANSWERS: [(&str, &[&str]); 5] = [
    ("start", &["done"]),
    ("stop", &["done"]),
    ("ready", &["ready", "not-yet"]),
    ("should-wake", &["wake", "more", "refuse", "wake-and-close"]),
    ("should-sleep", &["sleep", "stay-awake"]),
];

/// One call of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How long to wait before.
    pub wait: Duration,
    /// What is asked.
    pub call: Call,
    /// What should come of it.
    pub expect: Expected,
}

/// What is asked of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `start`.
    Start(Cause),
    /// `stop`.
    Stop(Cause),
    /// `ready`, for this attempt.
    Ready(u32),
    /// `should-wake`.
    ShouldWake {
        /// The client that sends.
        client: SocketAddr,
        /// What the service believes of its target.
        phase: Phase,
        /// What it sends.
        send: Vec<u8>,
    },
    /// `should-sleep`, after so long without a client.
    ShouldSleep(Duration),
}

impl Call {
    /// The client of a call that names none: an address for documentation.
    pub fn usual_client() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 50_000))
    }

    /// How long the target has had no client, if the call does not say.
    pub const USUAL_IDLE_TIME: Duration = Duration::from_secs(30 * 60);
}

/// Who asks for a start or a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A client.
    Client(SocketAddr),
    /// A person.
    Operator,
    /// The cool-down.
    Cooldown,
    /// The exit of Dormouse.
    Exit,
    /// A start that timed out.
    FailedStart,
}

/// What the service believes of its target while a client is at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is off.
    Asleep,
    /// It starts.
    Starting,
    /// It stops.
    Stopping,
}

/// What should come of a call. What is `None` or empty is not looked at, but for `failure` and
/// `denied`: a call must not fail, and must not be denied anything, unless the script says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The answer, one of [`ANSWERS`].
    pub answer: Option<&'static str>,
    /// `ready`: the address to use, exactly.
    pub address: Option<String>,
    /// `ready`: a part of the word on progress.
    pub progress: Option<String>,
    /// `should-wake`: the bytes for the client, exactly.
    pub send: Option<Vec<u8>>,
    /// `should-wake`: how many bytes are consumed.
    pub consumed: Option<usize>,
    /// `should-sleep`: how long the target stays awake.
    pub stay: Option<Duration>,
    /// A part of the failure's message.
    pub failure: Option<String>,
    /// The kind of the failure.
    pub kind: Option<&'static str>,
    /// Parts of lines that are logged, in their order.
    pub log: Vec<String>,
    /// Parts of what the plugin is denied, in their order.
    pub denied: Vec<String>,
}

impl Expected {
    /// Whether the call should fail.
    pub fn fails(&self) -> bool {
        self.failure.is_some() || self.kind.is_some()
    }
}

pub(super) fn read(mut table: Table<'_>, faults: &mut Vec<Fault>) -> Option<Step> {
    let wait = table.take_or(
        "wait",
        Duration::ZERO,
        |value, faults| time(LONGEST_WAIT, "at most 1m", value, faults),
        faults,
    );
    let word = |value: &Value<'_>, faults: &mut Vec<Fault>| choice("call", CALLS, value, faults);
    // Which other keys there are is not known without it.
    let word = table.require("call", "\"should-wake\"", word, faults)?;
    let call = call(word, &mut table, faults);
    let expect = table.take_or(
        "expect",
        Expected::default(),
        |value, faults| {
            let section = format!("expect of {word}");
            let table = Table::of(value, section, value.place.clone(), EXPECT, faults)?;
            expected(word, table, faults)
        },
        faults,
    );
    table.finish(faults);
    Some(Step { wait: wait?, call: call?, expect: expect? })
}

fn call(word: &'static str, table: &mut Table<'_>, faults: &mut Vec<Fault>) -> Option<Call> {
    Some(match word {
        "start" => Call::Start(cause("client", table, faults)?),
        "stop" => Call::Stop(cause("cooldown", table, faults)?),
        "ready" => {
            let attempt = |value: &Value<'_>, faults: &mut Vec<Fault>| {
                value.count(1_000_000, "from 1 to 1000000", faults)
            };
            let attempt = table.take_or("attempt", 1, attempt, faults)?;
            Call::Ready(u32::try_from(attempt).unwrap_or(u32::MAX))
        }
        "should-wake" => {
            let client = client(table, faults);
            let phase = |value: &Value<'_>, faults: &mut Vec<Fault>| {
                Some(match choice("phase", PHASES, value, faults)? {
                    "starting" => Phase::Starting,
                    "stopping" => Phase::Stopping,
                    _ => Phase::Asleep,
                })
            };
            let phase = table.take_or("phase", Phase::Asleep, phase, faults);
            let place = table.place_of("send").or_else(|| table.place_of("send_hex"));
            let send = bytes(table, "send", "send_hex", faults)?.unwrap_or_default();
            if let Some(place) = place.filter(|_| send.len() > MOST_SENT) {
                let (key, bounds) = ("send".to_owned(), "at most 64 KiB");
                faults.push(Fault::at(place, Problem::OutOfRange { key, bounds }));
            }
            Call::ShouldWake { client: client?, phase: phase?, send }
        }
        _ => {
            let idle_for = |value: &Value<'_>, faults: &mut Vec<Fault>| {
                time(YEAR, "at most 365d", value, faults)
            };
            let usual = Call::USUAL_IDLE_TIME;
            Call::ShouldSleep(table.take_or("idle_for", usual, idle_for, faults)?)
        }
    })
}

fn client(table: &mut Table<'_>, faults: &mut Vec<Fault>) -> Option<SocketAddr> {
    let read = |value: &Value<'_>, faults: &mut Vec<Fault>| {
        let text = text(value, faults)?;
        let address = addresses::listen(&text);
        let bad = |mistake| {
            faults.push(value.fault(Problem::BadAddress { key: "client", text, mistake }));
        };
        address.map_err(bad).ok()
    };
    table.take_or("client", Call::usual_client(), read, faults)
}

fn cause(usual: &'static str, table: &mut Table<'_>, faults: &mut Vec<Fault>) -> Option<Cause> {
    let read = |value: &Value<'_>, faults: &mut Vec<Fault>| choice("cause", CAUSES, value, faults);
    Some(match table.take_or("cause", usual, read, faults)? {
        "client" => Cause::Client(client(table, faults)?),
        "operator" => Cause::Operator,
        "cooldown" => Cause::Cooldown,
        "exit" => Cause::Exit,
        _ => Cause::FailedStart,
    })
}

/// `expect`, in which each call has keys of its own.
fn expected(call: &'static str, mut table: Table<'_>, faults: &mut Vec<Fault>) -> Option<Expected> {
    let answers = ANSWERS.iter().find(|(name, _)| *name == call).map_or(&[][..], |(_, all)| all);
    let answer = optional("answer", &mut table, faults, |value, faults| {
        choice("answer", answers, value, faults)
    });
    let (mut address, mut progress) = (Some(None), Some(None));
    let (mut send, mut consumed, mut stay) = (Some(None), Some(None), Some(None));
    match call {
        "ready" => {
            address = optional("address", &mut table, faults, text);
            progress = optional("progress", &mut table, faults, text);
        }
        "should-wake" => {
            send = bytes(&mut table, "send", "send_hex", faults);
            consumed = optional("consumed", &mut table, faults, |value, faults| {
                number(value, MOST_SENT, "from 0 to 65536", faults)
            });
        }
        "should-sleep" => {
            stay = optional("stay", &mut table, faults, |value, faults| {
                time(YEAR, "at most 365d", value, faults)
            });
        }
        _ => {}
    }
    let failure = optional("failure", &mut table, faults, text);
    let kind =
        optional("kind", &mut table, faults, |value, faults| choice("kind", KINDS, value, faults));
    let log = optional("log", &mut table, faults, texts);
    let denied = optional("denied", &mut table, faults, texts);
    table.finish(faults);
    Some(Expected {
        answer: answer?,
        address: address?,
        progress: progress?,
        send: send?,
        consumed: consumed?,
        stay: stay?,
        failure: failure?,
        kind: kind?,
        log: log?.unwrap_or_default(),
        denied: denied?.unwrap_or_default(),
    })
}

/// The value of a key that may be left out; `None` if it has a fault.
fn optional<'t, T>(
    key: &'static str,
    table: &mut Table<'t>,
    faults: &mut Vec<Fault>,
    read: impl FnOnce(&Value<'t>, &mut Vec<Fault>) -> Option<T>,
) -> Option<Option<T>> {
    match table.take(key) {
        Some(value) => read(&value, faults).map(Some),
        None => Some(None),
    }
}

/// A whole number from 0 to `most`.
fn number(
    value: &Value<'_>,
    most: usize,
    bounds: &'static str,
    faults: &mut Vec<Fault>,
) -> Option<usize> {
    match value.inner.as_integer() {
        Some(zero) if zero.as_str() == "0" => Some(0),
        _ => value.count(most, bounds, faults),
    }
}
