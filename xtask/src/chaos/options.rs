//! The arguments of `cargo xtask chaos`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What `--help` prints.
pub const USAGE: &str = "\
Runs the dormouse binary over loopback, breaks everything around it at random, and counts broken
invariants. The exit status is 1 if there are any.

Usage: cargo xtask chaos [OPTIONS]

Options:
  --minutes N      how long, quiet phases in between included [default: 10]; fractions are allowed
  --seed S         the seed of all random choices [default: from the clock]
  --binary PATH    this binary instead of a build with the profile `ci`
  -h, --help       this text";

const DEFAULT_MINUTES: f64 = 10.0;

/// A week: a longer run is a mistake.
const MAX_MINUTES: f64 = 10_080.0;

/// The arguments, checked.
#[derive(Debug, PartialEq)]
pub struct Options {
    pub length: Duration,
    pub seed: u64,
    pub binary: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments; `None` means that the help is wanted.
    ///
    /// # Errors
    ///
    /// The message names the argument that is wrong.
    pub fn parse(arguments: &[&str]) -> Result<Option<Self>, String> {
        let mut options =
            Options { length: minutes(DEFAULT_MINUTES), seed: seed_of_the_clock(), binary: None };
        let mut rest = arguments.iter().copied();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("`{argument}` needs a value"));
            match argument {
                "--minutes" => options.length = parse_minutes(value()?)?,
                "--seed" => options.seed = parse_seed(value()?)?,
                "--binary" => options.binary = Some(value()?.into()),
                "-h" | "--help" => return Ok(None),
                other => return Err(format!("`chaos` has no `{other}`\n\n{USAGE}")),
            }
        }
        Ok(Some(options))
    }
}

fn minutes(number: f64) -> Duration {
    Duration::from_secs_f64(number * 60.0)
}

fn parse_minutes(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0.0 && *number <= MAX_MINUTES)
        .map(minutes)
        .ok_or_else(|| format!("`--minutes` needs a number up to {MAX_MINUTES}, not `{text}`"))
}

fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`--seed` needs a whole number, not `{text}`"))
}

/// A seed that is short enough to be typed.
fn seed_of_the_clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ (since.as_secs() & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_seed_and_binary_are_read() {
        let options = Options::parse(&["--minutes", "0.5", "--seed", "7", "--binary", "x"]);
        let options = options.unwrap().unwrap();
        assert_eq!(options.length, Duration::from_secs(30));
        assert_eq!(options.seed, 7);
        assert_eq!(options.binary, Some("x".into()));
    }

    #[test]
    fn wrong_usage_is_an_error_that_names_it() {
        assert!(Options::parse(&["--minutes", "0"]).unwrap_err().contains("`0`"));
        assert!(Options::parse(&["--minutes", "NaN"]).unwrap_err().contains("`NaN`"));
        assert!(Options::parse(&["--seed", "x"]).unwrap_err().contains("`x`"));
        assert!(Options::parse(&["--binary"]).unwrap_err().contains("needs a value"));
        assert!(Options::parse(&["--fast"]).unwrap_err().contains("`--fast`"));
    }
}
