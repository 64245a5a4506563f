//! Clients of all manners: in turns and in streams, silent, half-closing, resetting, slow to read,
//! and scanners that connect and close.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::Duration;

use super::actors::Weather;
use super::clock;
use super::dice::Dice;
use super::invariants::{Cut, Record};
use super::stop::Stretch;
use super::stream::{self, Ending, Outcome, Plan};
use super::tally::Tally;
use super::violations::{Kind, Violations};
use super::world::World;

/// Clients that run at any time, herds not counted.
pub const WORKERS: usize = 16;

/// How many clients come at once in a herd.
const HERD: std::ops::RangeInclusive<u64> = 20..=120;

/// Enough for a client, where there are hundreds.
const STACK: usize = 256 << 10;

/// What all clients share.
pub struct Crowd<'a> {
    pub world: &'a World,
    pub record: &'a Record,
    pub violations: &'a Violations,
    pub tally: &'a Tally,
    pub weather: &'a Weather,
    pub end: &'a Stretch,
}

/// The manner of a client.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Turns,
    Stream,
    HalfClose,
    SlowReader,
    Reset,
    Silent,
    Scanner,
}

impl Manner {
    /// A manner with its weight: those that hold a connection for long are rarer.
    fn choose(dice: &mut Dice) -> Self {
        match dice.within(0..=11) {
            0..=2 => Manner::Turns,
            3..=4 => Manner::Stream,
            5..=6 => Manner::HalfClose,
            7 => Manner::SlowReader,
            8..=9 => Manner::Reset,
            10 => Manner::Silent,
            _ => Manner::Scanner,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Manner::Turns => "in turns",
            Manner::Stream => "streaming",
            Manner::HalfClose => "half-closing",
            Manner::SlowReader => "slow to read",
            Manner::Reset => "resetting",
            Manner::Silent => "silent",
            Manner::Scanner => "scanning",
        }
    }

    /// What is sent; `None` if nothing is.
    fn plan(self, dice: &mut Dice) -> Option<Plan> {
        let chunk = 1 << dice.within(4..=15);
        let pause = |dice: &mut Dice, most| dice.millis(0..=most);
        Some(match self {
            Manner::Turns | Manner::Silent => Plan {
                chunk: 1 << dice.within(0..=12),
                total: dice.within(1..=20_000),
                in_turns: true,
                write_pause: pause(dice, 300),
                half_close: dice.once_in(2),
                ..Plan::plain(0)
            }
            .at_most(30),
            Manner::Stream => {
                Plan { chunk: chunk.max(1024), ..Plan::plain(dice.within(1..=2 << 20)) }
            }
            Manner::HalfClose => {
                Plan { chunk, half_close: true, ..Plan::plain(dice.within(1..=200_000)) }
            }
            Manner::SlowReader => Plan {
                chunk: 16 << 10,
                read_pause: pause(dice, 60),
                ..Plan::plain(dice.within(1 << 19..=2 << 20))
            },
            Manner::Reset => {
                let total = dice.within(1000..=500_000);
                Plan { abandon_at: Some(dice.within(0..=total / 2)), ..Plan::plain(total) }
            }
            Manner::Scanner => return None,
        })
    }
}

impl Plan {
    /// The same with at most so many turns.
    fn at_most(self, turns: u64) -> Self {
        Plan { total: self.total.min(turns * self.chunk as u64).max(1), ..self }
    }
}

impl Crowd<'_> {
    /// One client after the other.
    pub fn work(&self, mut dice: Dice) {
        while !self.end.is_over() {
            let service = dice.index(self.world.services.len());
            if self.weather.is_quiet(service) && !dice.once_in(40) {
                self.end.sleep(dice.millis(20..=100));
                continue;
            }
            let manner = Manner::choose(&mut dice);
            self.visit(service, manner, &mut dice);
            self.end.sleep(dice.millis(0..=400));
        }
    }

    /// Now and then many clients at once, all to one service.
    pub fn herd(&self, mut dice: Dice) {
        while !self.end.is_over() {
            self.end.sleep(dice.millis(2000..=8000));
            let service = dice.index(self.world.services.len());
            let size = dice.within(HERD);
            self.tally.count("clients: herds");
            thread::scope(|scope| {
                for _ in 0..size {
                    self.spawn_one_of_a_herd(scope, service, Dice::new(dice.next()));
                }
            });
        }
    }

    fn spawn_one_of_a_herd<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        service: usize,
        mut dice: Dice,
    ) {
        let client = move || {
            let manner = if dice.once_in(8) { Manner::Scanner } else { Manner::HalfClose };
            self.visit(service, manner, &mut dice);
        };
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, client);
        if thread.is_err() {
            self.tally.count("clients: without a thread");
        }
    }

    fn visit(&self, service: usize, manner: Manner, dice: &mut Dice) {
        let Ok(stream) = stream::connect(self.world.services[service].listen) else {
            self.tally.count("clients: not connected (Dormouse down)");
            return;
        };
        self.tally.count(&format!("clients: {}", manner.name()));
        if matches!(manner, Manner::Silent) {
            self.end.sleep(dice.millis(100..=4000));
            if dice.once_in(2) {
                return;
            }
        }
        let Some(plan) = manner.plan(dice) else { return };
        let outcome = self.talk(&stream, service, &plan);
        self.judge(service, manner, outcome);
    }

    fn talk(&self, stream: &TcpStream, service: usize, plan: &Plan) -> Outcome {
        stream::run(stream, next_id(), plan, (self.record, service), self.end)
    }

    fn judge(&self, service: usize, manner: Manner, outcome: Outcome) {
        let Outcome { ending, verified, begin } = outcome;
        let of_service = &self.world.services[service];
        self.tally.add("bytes verified", verified);
        match ending {
            Ending::Complete => self.tally.count("clients: served completely"),
            Ending::Abandoned => self.tally.count("clients: reset by themselves"),
            Ending::GaveUp => self.tally.count("clients: gave up, or the stretch ended"),
            Ending::Closed { .. } if verified == 0 => self.tally.count("clients: closed unserved"),
            Ending::Closed { text } if of_service.kind.is_honest() => {
                let text = format!("a client {}: {text}", manner.name());
                self.record.cut(Cut { service, begin, end: clock::now(), text });
            }
            Ending::Closed { .. } => self.tally.count("clients: cut by the chaos"),
            Ending::Wrong { at } => {
                let text = format!("a client {}: the byte at {at} is wrong", manner.name());
                self.violations.record(Kind::WrongByte, of_service.name(), &text);
            }
        }
    }
}

/// A number that no other stream of the run has.
pub fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How long a client waits between two attempts in a quiet phase.
const RETRY: Duration = Duration::from_millis(200);

impl Crowd<'_> {
    /// Tries until one client is served completely, or `limit` has passed.
    pub fn is_served(&self, service: usize, limit: Duration) -> bool {
        let begin = std::time::Instant::now();
        while begin.elapsed() < limit && !self.end.is_over() {
            if let Ok(stream) = stream::connect(self.world.services[service].listen) {
                let outcome = self.talk(&stream, service, &Plan::plain(64 << 10));
                let complete = outcome.ending == Ending::Complete;
                self.judge(service, Manner::Stream, outcome);
                if complete {
                    return true;
                }
            }
            self.end.sleep(RETRY);
        }
        // A run that was interrupted has not found out.
        self.end.is_over()
    }
}
