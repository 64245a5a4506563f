//! `src/plugin/children/record.rs` alone.

#[path = "../../../../src/plugin/children/record.rs"]
mod record;
