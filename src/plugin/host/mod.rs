//! The functions that guests may import: one file for each interface of `wit/`, and WASI.

mod log;
mod process;
mod settings;
mod state;
mod target;

use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};

use super::bindings::{World, types};
use super::guest::Guest;
use super::http;

/// Everything that a guest may import. What is behind a function depends on the guest's grants, and
/// not whether the function is there: so a plugin loads without its grants, and is told at the call.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    http::add_to_linker(&mut linker)?;
    World::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    Ok(linker)
}

impl types::Host for Guest {}
