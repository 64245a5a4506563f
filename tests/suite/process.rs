//! The runner of hooks, with real processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

mod daemons;
mod ending;
mod output;
mod running;
mod spawn_errors;
