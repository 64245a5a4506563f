//! What is read of processes and of their output.

#[path = "../../../../src/plugin/process/capture.rs"]
mod capture;
#[path = "../../../../src/plugin/process/identity.rs"]
mod identity;
#[path = "../../../../src/plugin/process/lines.rs"]
mod lines;
#[path = "../../../../src/plugin/process/log_rate.rs"]
pub(in crate::plugin) mod log_rate;

pub use self::identity::{Identity, boot};
