//! The parts of `src/plugin` that parse. The rest needs a WebAssembly compiler.

pub mod children;
pub mod grants;
pub mod http;
pub mod process;
#[path = "../../../src/plugin/state_store.rs"]
mod state_store;
