//! The runner of hooks, with real processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

mod daemons;
mod ending;
mod foreign;
mod frozen;
mod output;
mod running;
mod scopes;
mod spawn_errors;
