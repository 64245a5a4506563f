//! Busy times and quiet times of each service.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::chaos::dice::Dice;
use crate::chaos::stop::Stretch;

/// Which services are quiet now.
pub struct Weather {
    quiet: Vec<AtomicBool>,
}

impl Weather {
    /// For so many services, all busy.
    pub fn new(services: usize) -> Self {
        Weather { quiet: (0..services).map(|_| AtomicBool::new(false)).collect() }
    }

    pub fn is_quiet(&self, service: usize) -> bool {
        self.quiet[service].load(Ordering::Relaxed)
    }

    /// Changes it until the end of the stretch. A quiet time is longer than most cool-downs.
    pub fn change(&self, mut dice: Dice, end: &Stretch) {
        let begin = Instant::now();
        let mut next = vec![Duration::ZERO; self.quiet.len()];
        while !end.is_over() {
            for (quiet, next) in self.quiet.iter().zip(&mut next) {
                if begin.elapsed() >= *next {
                    let now_quiet = !quiet.load(Ordering::Relaxed);
                    quiet.store(now_quiet, Ordering::Relaxed);
                    let length = if now_quiet { 500..=5000 } else { 300..=4000 };
                    *next = begin.elapsed() + dice.millis(length);
                }
            }
            end.sleep(Duration::from_millis(50));
        }
    }
}
