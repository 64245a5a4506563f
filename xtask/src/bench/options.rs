//! What may be asked of `cargo xtask bench`.

use std::path::PathBuf;

use super::metrics;

/// What `--help` says.
pub const USAGE: &str = "\
Compares Dormouse with no proxy and with other proxies, on loopback.

Usage: cargo xtask bench [OPTIONS]

Options:
  --rounds N          rounds, in each of which all proxies take turns [default: 10]
  --quick             two short rounds, to see whether it works; the figures mean little
  --only METRIC,…     these metrics alone, by name or by its beginning: up1, down1, up16, down16,
                      conn, pp1, pp64, idle1000, idle9500, startup, wake1, wake4096
  --proxies NAME,…    these proxies alone: direct, dormouse, dormouse-100, dormouse-1000, haproxy,
                      haproxy-tuned, nginx, nginx-tuned, socket-proxyd, socat
  --dormouse PATH     this binary in place of a release build
  --no-write          leave docs/performance.md as it is; --quick and --only do so anyway
  -h, --help          this text";

/// Rounds under load, unless told otherwise.
const ROUNDS: usize = 10;

/// What was asked for.
#[derive(Debug, PartialEq)]
pub struct Options {
    pub rounds: usize,
    pub quick: bool,
    /// Beginnings of the metrics' names; empty means all.
    pub only: Vec<String>,
    /// Names of contenders; empty means all that are installed.
    pub proxies: Vec<String>,
    pub dormouse: Option<PathBuf>,
    pub write: bool,
    /// The command, for people who repeat it.
    pub command: String,
}

impl Options {
    /// Reads the arguments; `None` if help was asked for.
    pub fn parse(arguments: &[&str]) -> Result<Option<Self>, String> {
        let mut options = Options {
            rounds: ROUNDS,
            quick: false,
            only: Vec::new(),
            proxies: Vec::new(),
            dormouse: None,
            write: true,
            command: String::new(),
        };
        let mut rounds = None;
        let mut rest = arguments.iter().copied();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("`{argument}` needs a value"));
            match argument {
                "--rounds" => rounds = Some(number(value()?)?),
                "--quick" => options.quick = true,
                "--only" => options.only = list(value()?),
                "--proxies" => options.proxies = list(value()?),
                "--dormouse" => options.dormouse = Some(value()?.into()),
                "--no-write" => options.write = false,
                "-h" | "--help" => return Ok(None),
                other => return Err(format!("`bench` has no `{other}`\n\n{USAGE}")),
            }
        }
        options.command = command(arguments);
        options.rounds = rounds.unwrap_or(if options.quick { 2 } else { ROUNDS });
        Ok(Some(options))
    }

    /// How long one load is measured, in seconds.
    pub fn seconds(&self) -> f64 {
        if self.quick { 0.3 } else { 1.0 }
    }

    /// Rounds of a metric that takes long and scatters little.
    pub fn few_rounds(&self) -> usize {
        self.rounds.min(3)
    }

    /// Whether the tables go into the documentation: a part of them must not replace the whole.
    pub fn writes(&self) -> bool {
        self.write && !self.quick && self.only.is_empty()
    }

    /// Whether this metric was asked for.
    pub fn wants(&self, metric: &str) -> bool {
        let is_a_name = |text: &str| metrics::ALL.iter().any(|metric| metric.name == text);
        let means = |asked: &String| match is_a_name(asked) {
            true => metric == asked,
            false => metric.starts_with(asked.as_str()),
        };
        self.only.is_empty() || self.only.iter().any(means)
    }
}

/// The command without a path, which means nothing to the people who repeat it.
fn command(arguments: &[&str]) -> String {
    let mut words = vec!["cargo xtask bench"];
    for (place, argument) in arguments.iter().enumerate() {
        let is_path = place > 0 && arguments[place - 1] == "--dormouse";
        words.push(if is_path { "PATH" } else { argument });
    }
    words.join(" ")
}

fn number(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| format!("`--rounds` needs a number from 1 on, not `{text}`"))
}

fn list(text: &str) -> Vec<String> {
    text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Options {
        Options::parse(arguments).unwrap().unwrap()
    }

    #[test]
    fn ten_rounds_of_everything_are_the_default_and_are_written() {
        let options = parse(&[]);
        assert_eq!(options.rounds, 10);
        assert!(options.wants("conn"));
        assert!(options.writes());
    }

    #[test]
    fn a_part_of_the_metrics_does_not_replace_the_whole_table() {
        let options = parse(&["--only", "up,conn"]);
        assert!(options.wants("up16") && options.wants("conn") && !options.wants("down1"));
        assert!(!options.writes());
    }

    #[test]
    fn a_whole_name_means_this_metric_alone() {
        let options = parse(&["--only", "up1,idle"]);
        assert!(options.wants("up1") && !options.wants("up16"));
        assert!(options.wants("idle1000") && options.wants("idle9500"));
    }

    #[test]
    fn the_command_that_is_reported_has_no_path() {
        let options = parse(&["--dormouse", "/somewhere/dormouse", "--rounds", "3"]);
        assert_eq!(options.command, "cargo xtask bench --dormouse PATH --rounds 3");
    }

    #[test]
    fn a_quick_run_may_have_more_rounds_and_is_not_written() {
        let options = parse(&["--quick", "--rounds", "5"]);
        assert_eq!(options.rounds, 5);
        assert!(!options.writes());
        assert_eq!(options.command, "cargo xtask bench --quick --rounds 5");
    }

    #[test]
    fn wrong_usage_is_an_error_that_names_it() {
        assert!(Options::parse(&["--rounds", "0"]).unwrap_err().contains("`0`"));
        assert!(Options::parse(&["--rounds"]).unwrap_err().contains("needs a value"));
        assert!(Options::parse(&["--fast"]).unwrap_err().contains("`--fast`"));
    }
}
