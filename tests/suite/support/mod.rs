//! What the tests share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

pub(crate) mod bomb;
pub(crate) mod command;
pub(crate) mod guest;
pub(crate) mod http;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod reach;
pub(crate) mod relay;
pub(crate) mod source;
pub(crate) mod stage;
pub(crate) mod told;
