//! What the tests share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

pub(crate) mod command;
pub(crate) mod process;
pub mod relay;
pub(crate) mod source;
