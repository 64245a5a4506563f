//! `cargo xtask chaos`: the real binary over loopback, between clients, hooks and targets that fail
//! at random, and what must hold all the same.
//!
//! The *world* ([`world`]) is a config with one service of each kind of trouble. Its hooks and
//! targets are this program in other [`roles`]. [`clients`] and [`actors`] cause the chaos, in
//! stretches; after each there is a [`quiet`] phase, in which everything must settle. Hooks record
//! what they do in [`ledger`]s, clients and actors in a record; [`invariants`] compares the two.
//! Whatever is broken goes to [`violations`], which keeps the logs.
//!
//! All random choices come from one seed. It repeats the plan of a run, not its timing: the same
//! seed finds the same kind of trouble, and not always the same trouble.

mod actors;
mod clients;
mod clock;
mod dice;
mod disk;
mod hostile;
mod invariants;
mod ledger;
mod log_reader;
mod options;
mod pattern;
mod procfs;
mod proxy;
mod quiet;
mod roles;
mod stop;
mod stream;
mod tally;
mod violations;
mod world;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use actors::{OnDormouse, OnSurroundings, OnTargets, Weather};
use clients::Crowd;
use dice::Dice;
use hostile::HostileCrowd;
use invariants::{Monitor, Record};
use options::Options;
use proxy::Proxy;
use quiet::{Quiet, Usage};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stop::{EndOnDrop, Stretch};
use tally::Tally;
use violations::Violations;
use world::World;

use crate::cargo::{self, announce, cargo};

/// The least and the most time of chaos between two quiet phases.
const MIN_STRETCH: Duration = Duration::from_secs(20);
const MAX_STRETCH: Duration = Duration::from_secs(180);

/// Runs the chaos. An error if an invariant was broken.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    if let Some(outcome) = roles::run(arguments) {
        return outcome;
    }
    let Some(options) = Options::parse(arguments)? else {
        println!("{}", options::USAGE);
        return Ok(());
    };
    println!("seed {}", options.seed);
    let binary = binary(&options)?;
    raise_file_limit();
    stop::listen();
    let mut world = World::new(&binary, options.seed)?;
    let violations = Violations::new(world.path());
    let tally = Tally::default();
    let begin = Instant::now();
    let outcome =
        Chaos { world: &world, options: &options, violations: &violations, tally: &tally }.run();
    println!("\nseed {}, {:.1} minutes", options.seed, begin.elapsed().as_secs_f64() / 60.0);
    if !world.probes {
        println!("this binary has no `probe_while_asleep`");
    }
    if !world.disk.can_be_full() {
        println!("the disk was never full: that takes root");
    }
    println!("\ncounts\n{tally}\nviolations\n{}", violations.report());
    if violations.total() > 0 || outcome.is_err() {
        world.keep();
        println!("logs are kept in {}", world.path().display());
    }
    outcome?;
    match violations.total() {
        0 if stop::is_asked() => Err("interrupted".to_owned()),
        0 => Ok(()),
        number => Err(format!("{number} violations; seed {}", options.seed)),
    }
}

/// The binary that is given, or one that is built.
fn binary(options: &Options) -> Result<PathBuf, String> {
    if let Some(given) = &options.binary {
        return given
            .canonicalize()
            .map_err(|error| format!("can't use {}: {error}", given.display()));
    }
    announce("building dormouse (profile ci)");
    let arguments = ["build", "--locked", "--profile", "ci", "--bin", "dormouse"];
    cargo::run(&mut cargo(arguments), "building it")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Ok(cargo::root().join(target).join("ci/dormouse"))
}

/// Clients need a descriptor each. What is started inherits the limit.
fn raise_file_limit() {
    const WANTED: u64 = 65_536;
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    // With less some clients are not connected.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
}

/// One run.
struct Chaos<'a> {
    world: &'a World,
    options: &'a Options,
    violations: &'a Violations,
    tally: &'a Tally,
}

impl Chaos<'_> {
    fn run(&self) -> Result<(), String> {
        let record = Record::default();
        let proxy = Proxy::new(self.world, self.violations, self.tally);
        let whole = Stretch::default();
        let monitor = Monitor {
            world: self.world,
            record: &record,
            violations: self.violations,
            proxy: &proxy,
            tally: self.tally,
        };
        proxy.start()?;
        thread::scope(|scope| {
            let _end = EndOnDrop(&whole);
            scope.spawn(|| monitor.run(&whole));
            self.stretches(&proxy, &record)
        })
    }

    /// Chaos and quiet in turns, until the time is up.
    fn stretches(&self, proxy: &Proxy<'_>, record: &Record) -> Result<(), String> {
        let begin = Instant::now();
        let stretch = (self.options.length / 4).clamp(MIN_STRETCH, MAX_STRETCH);
        let mut first_usage: Option<Usage> = None;
        for number in 0_u64.. {
            let left = self.options.length.saturating_sub(begin.elapsed());
            if left.is_zero() || stop::is_asked() {
                break;
            }
            // In every other stretch Dormouse lives on, so that its figures can be compared.
            let spare = number % 2 == 1;
            let time = stretch.min(left);
            eprintln!(
                "==> {:.0} s of chaos{}",
                time.as_secs_f64(),
                if spare { ", without ends of Dormouse" } else { "" }
            );
            self.storm(proxy, record, number, time, spare)?;
            if stop::is_asked() {
                break;
            }
            eprintln!("==> a quiet phase");
            let end = Stretch::default();
            let weather = Weather::new(self.world.services.len());
            let crowd = self.crowd(record, &weather, &end);
            let quiet = Quiet {
                world: self.world,
                proxy,
                violations: self.violations,
                tally: self.tally,
                crowd: &crowd,
                end: &end,
            };
            quiet.check(&mut first_usage)?;
        }
        Ok(())
    }

    fn crowd<'a>(
        &'a self,
        record: &'a Record,
        weather: &'a Weather,
        end: &'a Stretch,
    ) -> Crowd<'a> {
        let Chaos { world, violations, tally, .. } = self;
        Crowd { world, record, violations, tally, weather, end }
    }

    /// One stretch of chaos.
    fn storm(
        &self,
        proxy: &Proxy<'_>,
        record: &Record,
        number: u64,
        time: Duration,
        spare: bool,
    ) -> Result<(), String> {
        let dice =
            |part: &str| Dice::of_part(self.options.seed, &format!("stretch {number} {part}"));
        let end = Stretch::default();
        let weather = Weather::new(self.world.services.len());
        let crowd = self.crowd(record, &weather, &end);
        let on_dormouse = OnDormouse { proxy, record, tally: self.tally, end: &end, spare };
        let (tally, disk) = (self.tally, &self.world.disk);
        let on_surroundings = OnSurroundings { proxy, disk, tally, end: &end, spare };
        let hostile = HostileCrowd { world: self.world, tally, end: &end };
        let on_targets = OnTargets { world: self.world, record, tally: self.tally, end: &end };
        thread::scope(|scope| {
            let over = EndOnDrop(&end);
            for worker in 0..clients::WORKERS {
                let (crowd, dice) = (&crowd, dice(&format!("client {worker}")));
                scope.spawn(move || crowd.work(dice));
            }
            scope.spawn(|| crowd.herd(dice("herd")));
            scope.spawn(|| weather.change(dice("weather"), &end));
            scope.spawn(|| on_targets.act(dice("targets")));
            scope.spawn(|| on_surroundings.act(dice("surroundings")));
            scope.spawn(|| hostile.act(dice("hostile")));
            let dormouse = scope.spawn(|| on_dormouse.act(dice("dormouse")));
            end.sleep(time);
            drop(over);
            dormouse.join().map_err(|_| "the actor on Dormouse panicked".to_owned())?
        })
    }
}
