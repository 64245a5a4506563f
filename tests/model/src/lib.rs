//! The parts of Dormouse that are proven alone, compiled from the files of the main crate: the
//! lifecycle, which is pure, and the door, which is one atomic word. `cargo xtask mutants` and
//! `cargo xtask orders` run here, where a build takes seconds.

#![allow(dead_code, reason = "the rest of Dormouse is not here to use it")]
#![allow(unreachable_pub, reason = "visibility is that of the main crate")]

#[path = "../../../src/service/door.rs"]
mod door;
#[path = "../../../src/lifecycle/mod.rs"]
mod lifecycle;
#[cfg(all(test, shuttle))]
mod orders;
