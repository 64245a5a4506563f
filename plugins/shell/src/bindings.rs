//! What `wit/` says, as Rust.

#![allow(missing_docs, unreachable_pub, reason = "generated code")]

#[cfg(target_family = "wasm")]
use crate::Shell;

wit_bindgen::generate!({
    path: "../../wit/dormouse-plugin-0.1.0",
    world: "plugin",
});

// Only in a component are there calls from outside.
#[cfg(target_family = "wasm")]
export!(Shell);
