//! The parsers of Dormouse, compiled from the files of the main crate with their fuzz targets.
//! `cargo xtask fuzz` runs the targets here, where every branch is counted and where a build takes
//! two minutes. The tests of the main crate run the same targets for a moment.

#![allow(dead_code, unused_imports, reason = "the rest of Dormouse is not here to use it")]
#![allow(unreachable_pub, reason = "visibility is that of the main crate")]

#[path = "../../../src/config/mod.rs"]
pub mod config;
#[path = "../../../src/decide.rs"]
pub mod decide;
#[path = "../../../src/files/mod.rs"]
pub mod files;
#[path = "../../../src/lifecycle/mod.rs"]
pub mod lifecycle;
pub mod plugin;
#[path = "../../../src/service/mod.rs"]
pub mod service;
#[path = "../../../src/text.rs"]
pub mod text;
