//! Which requests are granted, and where they go.

#[path = "../../../../src/plugin/http/address.rs"]
mod address;
#[path = "../../../../src/plugin/http/body_error.rs"]
mod body_error;
#[path = "../../../../src/plugin/http/route.rs"]
mod route;

/// As in the main crate.
const SHOWN: usize = 1024;
