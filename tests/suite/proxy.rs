//! Stories of the whole program, over loopback, with hooks that start and stop a real process.
//!
//! Those about a rule of the lifecycle have its number, as in `src/lifecycle/tests/stories.rs`.

mod beginning;
mod budget;
mod children;
mod connected;
mod crashing;
mod elsewhere;
mod exiting;
mod failing;
mod first_process;
mod flags;
mod gate;
mod log;
mod many;
mod ports;
mod signals;
mod sleeping;
mod waking;
