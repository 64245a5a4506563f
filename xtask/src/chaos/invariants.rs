//! What is checked all the time: overlaps of hooks, stops under a client, connections that were
//! cut without a cause, and ends of Dormouse of its own accord.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use super::clock::{self, PER_SECOND, Tick};
use super::ledger::{self, Entry, Tail, What};
use super::proxy::Proxy;
use super::stop::{self, Stretch};
use super::tally::Tally;
use super::violations::{Kind, Violations};
use super::world::World;

/// How long what has happened is compared with what is learnt later.
const MEMORY: Tick = 60 * PER_SECOND;

/// How late a cut connection is judged: its cause may be recorded a little after it.
const PATIENCE: Tick = PER_SECOND;

/// A connection on which a byte came back, and the time for which it is proven that it was open on
/// both sides: bytes came back before `first`, and a byte that was sent after `last` came back.
pub struct Live {
    service: usize,
    first: Tick,
    last: AtomicU64,
}

impl Live {
    /// A byte that was sent at `sent` or later has come back.
    pub fn extend(&self, sent: Tick) {
        self.last.fetch_max(sent, Ordering::Relaxed);
    }

    /// Whether it was open at `at`. Both comparisons are strict, because ticks are rounded down.
    fn was_open_at(&self, at: Tick) -> bool {
        self.first < at && at < self.last.load(Ordering::Relaxed)
    }
}

/// A connection that ended too early.
pub struct Cut {
    pub service: usize,
    pub begin: Tick,
    pub end: Tick,
    pub text: String,
}

/// What clients and actors report, for comparison with the ledgers.
#[derive(Default)]
pub struct Record {
    live: Mutex<Vec<Arc<Live>>>,
    cuts: Mutex<Vec<Cut>>,
    /// Targets that the chaos has killed.
    kills: Mutex<Vec<(usize, Tick)>>,
    /// How many hooks have begun.
    begun: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Record {
    /// The first byte of a connection to `service` has come back.
    pub fn open(&self, service: usize) -> Arc<Live> {
        let first = clock::now();
        let live = Arc::new(Live { service, first, last: AtomicU64::new(first) });
        lock(&self.live).push(Arc::clone(&live));
        live
    }

    pub fn cut(&self, cut: Cut) {
        lock(&self.cuts).push(cut);
    }

    /// A target of `service` is about to be killed.
    pub fn kill(&self, service: usize) {
        lock(&self.kills).push((service, clock::now()));
    }

    /// How many hooks have begun.
    pub fn hooks_begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn killed_within(&self, service: usize, from: Tick, to: Tick) -> bool {
        lock(&self.kills).iter().any(|&(of, at)| of == service && from <= at && at <= to)
    }

    fn forget_before(&self, tick: Tick) {
        lock(&self.live).retain(|live| live.last.load(Ordering::Relaxed) >= tick);
        lock(&self.kills).retain(|&(_, at)| at >= tick);
    }
}

/// A stop hook that has begun, and may yet turn out to be under a client.
struct Stop {
    service: usize,
    born: Tick,
    entry: Entry,
}

/// Compares what the hooks, the clients and the actors have recorded.
pub struct Monitor<'a> {
    pub world: &'a World,
    pub record: &'a Record,
    pub violations: &'a Violations,
    pub proxy: &'a Proxy<'a>,
    pub tally: &'a Tally,
}

impl Monitor<'_> {
    /// Runs until `end`, and then once more, for the last lines.
    pub fn run(&self, end: &Stretch) {
        let services = self.world.services.iter();
        let mut tails: Vec<Tail> = services
            .map(|service| Tail::new(ledger::path(self.world.path(), service.name())))
            .collect();
        let mut stops = Vec::new();
        loop {
            let last = end.is_over();
            if let Err(error) = self.proxy.watch() {
                eprintln!("error: {error}");
                stop::ask();
            }
            for (service, tail) in tails.iter_mut().enumerate() {
                for entry in tail.new_entries() {
                    self.hear(service, entry, &mut stops);
                }
            }
            self.judge_stops(&mut stops);
            self.judge_cuts(last);
            let forgotten = clock::now().saturating_sub(MEMORY);
            stops.retain(|stop| stop.born >= forgotten);
            self.record.forget_before(forgotten);
            if last {
                return;
            }
            sleep(Duration::from_millis(20));
        }
    }

    fn hear(&self, service: usize, entry: Entry, stops: &mut Vec<Stop>) {
        match entry.what {
            What::Begin { born, .. } => {
                self.record.begun.fetch_add(1, Ordering::Relaxed);
                self.tally.count(&format!("hooks: {} begun", entry.hook));
                if entry.hook == "stop" {
                    stops.push(Stop { service, born, entry });
                }
            }
            What::Overlap { other } => {
                let text = format!(
                    "{} {} at tick {} while hook {} lives",
                    entry.hook, entry.process.pid, entry.at, other.pid
                );
                self.violations.record(Kind::Overlap, self.name(service), &text);
            }
            What::Note { .. } => self.tally.count("hooks: misbehaved"),
            What::End { .. } => {}
        }
    }

    fn judge_stops(&self, stops: &mut Vec<Stop>) {
        let live = lock(&self.record.live);
        stops.retain(|stop| {
            let Some(under) = live
                .iter()
                .find(|live| live.service == stop.service && live.was_open_at(stop.born))
            else {
                return true;
            };
            let text = format!(
                "stop {} began at tick {}; a connection was open from {} to {} at least",
                stop.entry.process.pid,
                stop.born,
                under.first,
                under.last.load(Ordering::Relaxed)
            );
            self.violations.record(Kind::StopUnderClient, self.name(stop.service), &text);
            false
        });
    }

    fn judge_cuts(&self, all: bool) {
        let now = clock::now();
        let mut cuts = lock(&self.record.cuts);
        let due = cuts.extract_if(.., |cut| all || cut.end + PATIENCE < now).collect::<Vec<_>>();
        drop(cuts);
        for cut in due {
            let end = cut.end + PATIENCE;
            let caused = self.proxy.ended_within(cut.begin, end)
                || self.record.killed_within(cut.service, cut.begin, end);
            if caused {
                self.tally.count("clients: cut by the chaos");
                continue;
            }
            let text = format!("open from tick {} to {}: {}", cut.begin, cut.end, cut.text);
            self.violations.record(Kind::Cut, self.name(cut.service), &text);
        }
    }

    fn name(&self, service: usize) -> &'static str {
        self.world.services[service].name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_was_open_only_where_that_is_proven() {
        let live = Live { service: 0, first: 10, last: AtomicU64::new(10) };
        assert!(!live.was_open_at(11));
        live.extend(20);
        live.extend(15);
        assert!(live.was_open_at(11) && live.was_open_at(19));
        assert!(!live.was_open_at(10) && !live.was_open_at(20));
    }

    #[test]
    fn a_kill_is_a_cause_for_its_service_alone() {
        let record = Record::default();
        record.kill(1);
        let now = clock::now();
        assert!(record.killed_within(1, now - 5, now));
        assert!(!record.killed_within(0, now - 5, now));
        assert!(!record.killed_within(1, now + 5, now + 9));
    }
}
