//! Services.

pub mod dial;
pub mod relay;
pub mod socket;
