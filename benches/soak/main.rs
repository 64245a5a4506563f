//! What only shows over hours: bytes that are lost once in a hundred gigabytes, and memory or a
//! descriptor that each thousandth connection keeps.
//!
//! ```text
//! cargo bench --bench soak -- --gigabytes 200 --rounds 100
//! ```
//!
//! - [`traffic`]: random connections over both paths of the relay, each byte compared, with ends
//!   and resets at random moments.
//! - [`churn`]: clients that come in thousands and go, through a whole service, and what is left
//!   of them.
//!
//! It ends with status 1 at the first fault, and says what the connection was like. The same seed
//! makes the same connections, though not the same moments.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that fails here should fail loudly"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it says is for the terminal")]

mod churn;
mod dice;
mod pattern;
mod plan;
mod process;
mod side;
mod traffic;
mod verdict;

use std::hash::{BuildHasher, RandomState};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use dormouse::service::relay::Mode;

/// Looks for bytes that get lost, and for what connections leave behind.
#[derive(Parser)]
struct Arguments {
    /// How many gigabytes to pass on, half of them over each path
    #[arg(long, default_value_t = 2)]
    gigabytes: u64,
    /// How many times to open and close ten thousand connections
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// What the random connections follow from
    #[arg(long)]
    seed: Option<u64>,
    /// Said by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// A line of the table at the end.
struct Row {
    part: String,
    connections: u64,
    bytes: u64,
    time: Duration,
    before: process::Usage,
    after: process::Usage,
    notes: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("seed {seed}");
    match soak(&arguments, seed) {
        Ok(rows) => {
            print(&rows);
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("fault (with --seed {seed}): {fault}");
            ExitCode::FAILURE
        }
    }
}

fn soak(arguments: &Arguments, seed: u64) -> Result<Vec<Row>, String> {
    let half = arguments.gigabytes * 500_000_000;
    Ok(vec![
        traffic::pass(Mode::Copy, half, seed)?,
        traffic::pass(Mode::Adaptive, half, seed)?,
        churn::turn_over(arguments.rounds)?,
    ])
}

fn print(rows: &[Row]) {
    println!();
    println!(
        "{:<18} {:>11} {:>9} {:>8} {:>20} {:>13}",
        "", "connections", "GB", "time", "memory", "descriptors"
    );
    for row in rows {
        println!(
            "{:<18} {:>11} {:>9.2} {:>6.0} s {:>6.1} → {:>5.1} MiB {:>5} → {:>5}",
            row.part,
            row.connections,
            row.bytes as f64 / 1e9,
            row.time.as_secs_f64(),
            row.before.mebibytes(),
            row.after.mebibytes(),
            row.before.descriptors,
            row.after.descriptors,
        );
    }
    println!();
    for row in rows {
        println!("{}: {}", row.part, row.notes);
    }
}

/// Says how far it has come, though not too often.
struct Progress {
    next: Instant,
}

impl Progress {
    const EVERY: Duration = Duration::from_secs(5);

    fn new() -> Progress {
        Progress { next: Instant::now() + Progress::EVERY }
    }

    fn report(&mut self, line: impl FnOnce() -> String) {
        if Instant::now() >= self.next {
            println!("{}", line());
            self.next = Instant::now() + Progress::EVERY;
        }
    }
}
