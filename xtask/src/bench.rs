//! `cargo xtask bench`: Dormouse beside no proxy at all, and beside the proxies that one might use
//! in its place, on loopback, in one run.
//!
//! A machine is never quiet for long, and two runs never see the same one. So all proxies take
//! turns within each round, and what counts is the ratio of two proxies in the same round: the
//! median over the rounds. `docs/performance.md` says how far to trust that.
//!
//! The words: a *contender* is a way to get from a client to the target ([`contenders`]); a
//! *metric* is one thing that is measured, and has some numbers ([`metrics`]); a *stage* is one
//! contender that runs, with a target of its own ([`stage`]). [`load`] is the other side: clients
//! and targets, as processes of their own.

mod accounting;
mod contenders;
mod document;
mod fresh;
pub mod load;
mod loaded;
mod machine;
mod metrics;
mod options;
mod place;
mod process;
mod program;
mod report;
mod rounds;
mod samples;
mod stage;
mod stop;

use options::Options;

/// Measures, prints the tables, and writes them into `docs/performance.md`.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    let Some(options) = Options::parse(arguments)? else {
        println!("{}", options::USAGE);
        return Ok(());
    };
    let programs = program::Programs::find(&options)?;
    let machine = machine::Machine::prepare();
    let contenders = contenders::choose(&options, &programs)?;
    let samples = rounds::run(&options, &programs, &machine, &contenders)?;
    let report = report::write(&options, &programs, &machine, &contenders, &samples);
    println!("{report}");
    if options.writes() {
        document::insert(&report)?;
    }
    Ok(())
}

/// Tells somebody who waits what is being done.
fn say(text: &str) {
    eprintln!("{text}");
}
