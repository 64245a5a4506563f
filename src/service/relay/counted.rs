//! A count of what is in use that can't be forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Adds to a count for as long as it lives.
#[derive(Debug)]
pub(super) struct Counted {
    count: Arc<AtomicUsize>,
    amount: usize,
}

impl Counted {
    pub(super) fn new(count: &Arc<AtomicUsize>, amount: usize) -> Counted {
        count.fetch_add(amount, Ordering::Relaxed);
        Counted { count: count.clone(), amount }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count.fetch_sub(self.amount, Ordering::Relaxed);
    }
}
