//! Services.

pub mod relay;
