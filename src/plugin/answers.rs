//! Answers of guests, checked and turned into those of [`decide`](crate::decide).
//!
//! What a guest answers has the right types, and may be nonsense all the same. Whoever asked can
//! rely on what comes from here: no reply is larger than the limit, no count beyond what was shown,
//! no address that nobody can connect to, no time that overflows a clock.

use std::time::Duration;

use crate::decide::{Failure, Readiness, Reply, SleepVerdict};

use super::bindings::{gate, idleness, readiness};
use super::blame::{Call, bounded};
use crate::text;

/// How many bytes a reply may send, as `wit/` promises.
const LARGEST_REPLY: usize = 64 << 10;

/// The shortest time after which an idle target is asked about again.
const SHORTEST_STAY: Duration = Duration::from_secs(1);

/// The answer of `ready`.
pub(super) fn readiness(
    call: &Call<'_>,
    answer: readiness::ReadinessAnswer,
) -> Result<Readiness, Failure> {
    match answer {
        readiness::ReadinessAnswer::NotYet(progress) => {
            Ok(Readiness::NotYet(text::line(&progress, text::LONGEST)))
        }
        readiness::ReadinessAnswer::Ready(None) => Ok(Readiness::Ready(None)),
        readiness::ReadinessAnswer::Ready(Some(address)) if is_address(&address) => {
            Ok(Readiness::Ready(Some(address)))
        }
        readiness::ReadinessAnswer::Ready(Some(address)) => Err(call.broken(&format!(
            "answered in `ready` with `{}`, which is no address of the form `host:port`",
            text::line(&address, 300)
        ))),
    }
}

/// The answer of `should-wake`, to which `shown` bytes were shown.
pub(super) fn reply(call: &Call<'_>, reply: gate::Reply, shown: usize) -> Result<Reply, Failure> {
    let gate::Reply { send, consumed, verdict } = reply;
    if send.len() > LARGEST_REPLY {
        return Err(call.broken(&format!(
            "answered in `should-wake` with {} bytes for the client, and {LARGEST_REPLY} is the most \
             that a reply may have",
            send.len()
        )));
    }
    let consumed = consumed as usize;
    if consumed > shown {
        return Err(call.broken(&format!(
            "said in `should-wake` that it had consumed {consumed} bytes when it was shown {shown}"
        )));
    }
    Ok(Reply { send, consumed, verdict: verdict.into() })
}

/// The answer of `should-sleep`.
pub(super) fn idleness(answer: idleness::IdlenessAnswer) -> SleepVerdict {
    match answer {
        idleness::IdlenessAnswer::Sleep => SleepVerdict::Sleep,
        idleness::IdlenessAnswer::StayAwake(time) => {
            SleepVerdict::StayAwake(bounded(time).max(SHORTEST_STAY))
        }
    }
}

/// Is it `host:port`, with an IPv6 address in brackets?
fn is_address(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let port = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port != 0);
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let plain =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !host.is_empty() && host.len() <= 253 && host.bytes().all(plain)
        }
    };
    host && port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for good in ["10.0.0.1:80", "[::1]:65535", "db.example.com:5432", "my_host:1"] {
            assert!(is_address(good), "{good}");
        }
        let long = format!("{}:80", "a".repeat(254));
        for bad in [
            "",
            ":80",
            "host",
            "host:",
            "host:0",
            "host:70000",
            "host:+80",
            "::1:80",
            "[::1:80",
            "[host]:80",
            "a b:80",
            "host:80\n",
            "ho\u{1b}st:80",
            "http://host:80",
            &long,
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn a_target_stays_awake_for_a_second_at_least_and_not_for_ever() {
        let stay = |time| idleness(idleness::IdlenessAnswer::StayAwake(time));
        assert_eq!(stay(0), SleepVerdict::StayAwake(Duration::from_secs(1)));
        assert_eq!(stay(90_000), SleepVerdict::StayAwake(Duration::from_secs(90)));
        assert_eq!(stay(u64::MAX), SleepVerdict::StayAwake(Duration::from_secs(30 * 24 * 3600)));
    }
}
