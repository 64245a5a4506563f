//! What guests import of `wasi:http`: wasmtime's functions, two of them with a bound.
//!
//! A request that a guest prepares stands in Dormouse's memory, not in the guest's, and there may be
//! thousands of them. wasmtime bounds their headers and paths, but keeps a method and an authority of
//! any length, whether anything is granted or not.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest as _, Method};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;

use crate::plugin::guest::Guest;

/// The interface as wasmtime links it; it stands for all versions of WASI 0.2.
const TYPES: &str = "wasi:http/types@0.2.12";

/// How many bytes a method may have.
const LONGEST_METHOD: usize = 64;

/// How many bytes host and port may have.
const LONGEST_AUTHORITY: usize = 512;

type Request = Resource<HostOutgoingRequest>;

/// Adds `wasi:http` to `linker`.
pub(in crate::plugin) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, Guest>, (request, method): (Request, Method)| {
            if matches!(&method, Method::Other(name) if name.len() > LONGEST_METHOD) {
                return Ok((Err(()),));
            }
            store.data_mut().http().set_method(request, method).map(|answer| (answer,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: StoreContextMut<'_, Guest>, (request, authority): (Request, Option<String>)| {
            if authority.as_ref().is_some_and(|text| text.len() > LONGEST_AUTHORITY) {
                return Ok((Err(()),));
            }
            store.data_mut().http().set_authority(request, authority).map(|answer| (answer,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
