//! The plugin host.
pub mod process;
