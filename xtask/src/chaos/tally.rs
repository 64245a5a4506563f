//! Counts for the report.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Counters by name.
#[derive(Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

impl Tally {
    pub fn add(&self, name: &str, number: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(name) {
            Some(count) => *count += number,
            None => {
                counts.insert(name.to_owned(), number);
            }
        }
    }

    pub fn count(&self, name: &str) {
        self.add(name, 1);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, count) in counts.iter() {
            writeln!(f, "  {name:<44} {count:>12}")?;
        }
        Ok(())
    }
}
