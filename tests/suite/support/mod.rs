//! What the tests share.
#![allow(
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

pub(crate) mod guest;
pub(crate) mod stage;
pub(crate) mod told;
