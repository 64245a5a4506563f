//! Stories of the whole program, over loopback, with hooks that start and stop a real process.
//!
//! Those about a rule of the lifecycle have its number, as in `src/lifecycle/tests/stories.rs`.

mod beginning;
mod budget;
mod children;
mod connected;
mod elsewhere;
mod exiting;
mod failing;
mod flags;
mod gate;
mod many;
mod ports;
mod sleeping;
mod waking;
