//! Quiet phases: the chaos pauses, hooks are honest, no client comes. Then everything must settle:
//! no target runs, each service serves a client, and Dormouse holds no more than before.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::clients::Crowd;
use super::procfs::Process;
use super::proxy::Proxy;
use super::stop::Stretch;
use super::tally::Tally;
use super::violations::{Kind, Violations};
use super::world::{Service, World};

/// How long it may take until no target runs: Dormouse looks at sleeping targets after 10 s, and
/// at intervals that double; then a cool-down, and a stop that may wait for a back-off.
const SETTLING: Duration = Duration::from_secs(90);

/// For so long no target may run before all counts as settled: some hooks start one up to 6 s
/// after they have ended.
const STILLNESS: Duration = Duration::from_secs(7);

/// How long a client may have to wait: the longest back-off with its tenth more, and the start.
const SERVING: Duration = Duration::from_secs(70);

/// How long hooks go on to misbehave after the last client: long enough for most cool-downs, so
/// that the last stop of a service is one that may lie.
const LAST_LIES: Duration = Duration::from_secs(5);

/// How long descriptors may take to be closed.
const CLOSING: Duration = Duration::from_secs(10);

const MAX_MORE_DESCRIPTORS: usize = 10;

/// What Dormouse used when everything had settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    process: Process,
    descriptors: usize,
    /// In bytes.
    memory: u64,
}

impl Usage {
    fn of(process: Process) -> Self {
        let (descriptors, memory) = (process.descriptors(), process.memory());
        Usage { process, descriptors, memory }
    }

    /// Whether it has more descriptors than it may have after `first`.
    fn has_too_many_descriptors(&self, first: &Usage) -> bool {
        self.descriptors > first.descriptors + MAX_MORE_DESCRIPTORS
    }

    /// Whether it has more memory than it may have after `first`: half as much again.
    fn has_too_much_memory(&self, first: &Usage) -> bool {
        self.memory > first.memory + first.memory / 2
    }
}

/// A quiet phase.
pub struct Quiet<'a> {
    pub world: &'a World,
    pub proxy: &'a Proxy<'a>,
    pub violations: &'a Violations,
    pub tally: &'a Tally,
    pub crowd: &'a Crowd<'a>,
    pub end: &'a Stretch,
}

impl Quiet<'_> {
    /// Waits until all has settled, and checks it. `first` is what the process of Dormouse used
    /// when it had settled for the first time; what the present one did is put there.
    pub fn check(&self, first: &mut Option<Usage>) -> Result<(), String> {
        self.tally.count("quiet phases");
        self.proxy.start()?;
        self.proxy.signal(Signal::CONT);
        self.end.sleep(LAST_LIES);
        self.world.set_calm(true)?;
        self.await_sleep("after the chaos");
        self.serve_each();
        self.await_sleep("after one client");
        self.compare(first);
        self.world.set_calm(false)
    }

    /// Waits until no target runs. Those that still do after all are ended, so that each counts
    /// once.
    fn await_sleep(&self, when: &str) {
        let begin = Instant::now();
        let mut awake_at = begin;
        loop {
            if self.end.is_over() {
                return;
            }
            let awake: Vec<(&Service, Vec<Process>)> = self.awake().collect();
            if !awake.is_empty() {
                awake_at = Instant::now();
            } else if awake_at.elapsed() > STILLNESS {
                return;
            }
            if begin.elapsed() > SETTLING {
                for (service, targets) in awake {
                    let pids: Vec<u32> = targets.iter().map(|target| target.pid).collect();
                    let text = format!("{pids:?} still run {SETTLING:?} {when}");
                    self.violations.record(Kind::LeftRunning, service.name(), &text);
                    targets.iter().for_each(|target| target.kill());
                }
                return;
            }
            self.end.sleep(Duration::from_millis(100));
        }
    }

    fn awake(&self) -> impl Iterator<Item = (&Service, Vec<Process>)> {
        let services = self.world.services.iter();
        services
            .map(|service| (service, self.world.targets(service)))
            .filter(|(_, targets)| !targets.is_empty())
    }

    fn serve_each(&self) {
        thread::scope(|scope| {
            for (number, service) in self.world.services.iter().enumerate() {
                scope.spawn(move || {
                    if !self.crowd.is_served(number, SERVING) {
                        let text = format!("no client was served within {SERVING:?}");
                        self.violations.record(Kind::NeverServed, service.name(), &text);
                    }
                });
            }
        });
    }

    fn compare(&self, first: &mut Option<Usage>) {
        let Some(process) = self.proxy.process() else { return };
        if self.end.is_over() {
            return;
        }
        let Some(first) = first.filter(|usage| usage.process == process) else {
            *first = Some(Usage::of(process));
            return;
        };
        self.tally.count("Dormouse: settled figures compared");
        let begin = Instant::now();
        let mut now = Usage::of(process);
        while now.has_too_many_descriptors(&first) && begin.elapsed() < CLOSING {
            self.end.sleep(Duration::from_millis(200));
            now = Usage::of(process);
        }
        if now.has_too_many_descriptors(&first) {
            let text = format!("{} descriptors, {} before", now.descriptors, first.descriptors);
            self.violations.record(Kind::Grew, "", &text);
        }
        if now.has_too_much_memory(&first) {
            let text = format!("{} KiB of memory, {} before", now.memory >> 10, first.memory >> 10);
            self.violations.record(Kind::Grew, "", &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_descriptors_and_half_of_the_memory_more_are_tolerated() {
        let process = Process { pid: 1, born: 1 };
        let first = Usage { process, descriptors: 20, memory: 1000 };
        let more = |descriptors, memory| Usage { process, descriptors, memory };
        assert!(!more(30, 1500).has_too_many_descriptors(&first));
        assert!(!more(30, 1500).has_too_much_memory(&first));
        assert!(more(31, 0).has_too_many_descriptors(&first));
        assert!(more(0, 1501).has_too_much_memory(&first));
    }
}
