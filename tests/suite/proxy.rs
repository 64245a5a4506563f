//! Stories of the whole program, over loopback, with hooks that start and stop a real process.
//!
//! Numbers are those of the rules of the lifecycle, in `docs/architecture.md`.

mod beginning;
mod connected;
mod exiting;
mod failing;
mod flags;
mod gate;
mod many;

mod sleeping;
mod waking;
