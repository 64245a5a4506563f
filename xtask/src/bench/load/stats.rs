//! What the loads share: the time that counts, latencies, failures, and the lines that they print.

use std::time::{Duration, Instant};

/// Before the time that counts: connections are opened, buffers grow, clocks rise.
const WARM_UP: Duration = Duration::from_millis(200);

/// A warm-up that is not counted, and then a time that is.
#[derive(Clone, Copy)]
pub struct Window {
    start: Instant,
    end: Instant,
}

impl Window {
    /// From after the warm-up on, for so many seconds.
    pub fn of(seconds: f64) -> Self {
        let start = Instant::now() + WARM_UP;
        Window { start, end: start + Duration::from_secs_f64(seconds) }
    }

    pub fn contains(&self, at: Instant) -> bool {
        self.start <= at && at < self.end
    }

    pub fn is_over(&self, at: Instant) -> bool {
        at >= self.end
    }

    pub fn seconds(&self) -> f64 {
        (self.end - self.start).as_secs_f64()
    }
}

/// How long single operations took.
#[derive(Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn add(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    pub fn merge(&mut self, other: Latencies) {
        self.0.extend(other.0);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// That which `share` of the operations do not exceed, in microseconds.
    pub fn percentile(&mut self, share: f64) -> Option<f64> {
        self.0.sort_unstable();
        let last = self.0.len().checked_sub(1)?;
        let at = (last as f64 * share).round() as usize;
        Some(self.0[at].as_secs_f64() * 1e6)
    }
}

/// What did not work: how often, and the first one's words.
#[derive(Default)]
pub struct Failures {
    count: u64,
    first: Option<String>,
}

impl Failures {
    pub fn add(&mut self, error: impl ToString) {
        self.count += 1;
        self.first.get_or_insert_with(|| error.to_string());
    }

    pub fn merge(&mut self, other: Failures) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }

    /// Prints the number, and the words to stderr.
    pub fn print(&self) {
        print("errors", self.count as f64);
        if let Some(first) = &self.first {
            eprintln!("{first}");
        }
    }
}

/// Prints one number.
pub fn print(name: &str, value: f64) {
    println!("{name} {value}");
}

/// Prints one number, if there is one.
pub fn print_some(name: &str, value: Option<f64>) {
    if let Some(value) = value {
        print(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_latency_that_this_share_does_not_exceed() {
        let mut latencies = Latencies::default();
        for micros in (0..=100).rev() {
            latencies.add(Duration::from_micros(micros));
        }
        assert_eq!(latencies.percentile(0.50), Some(50.0));
        assert_eq!(latencies.percentile(0.99), Some(99.0));
    }

    #[test]
    fn no_operations_have_no_percentile() {
        assert_eq!(Latencies::default().percentile(0.5), None);
    }
}
