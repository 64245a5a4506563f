//! Denials alone: the rest of `src/plugin/grants/` needs WASI.

#[path = "../../../../src/plugin/grants/denial.rs"]
mod denial;

pub(super) use denial::{Denial, toml_key, toml_string};
