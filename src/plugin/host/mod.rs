//! The functions that guests may import: one file for each interface of `wit/`, and WASI.

mod children;
mod log;
mod process;
mod settings;
mod state;
mod target;
mod wake_on_lan;

use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::p2::bindings::sockets as sockets_0_2;
use wasmtime_wasi::p3::bindings::sockets as sockets_0_3;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};

use super::bindings::{World, types};
use super::grants::{self, Protocol};
use super::guest::Guest;
use super::http;

/// Everything that a guest may import. What is behind a function depends on the guest's grants, and
/// not whether the function is there: so a plugin loads without its grants, and is told at the call.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    http::add_to_linker(&mut linker)?;
    tell_of_sockets(&mut linker)?;
    World::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    Ok(linker)
}

/// WASI refuses sockets to a guest that may reach no address, and nobody hears of it. So whoever
/// asks for one without a grant is told about first.
fn tell_of_sockets(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use Protocol::{Tcp, Udp};
    linker.allow_shadowing(true);
    sockets_0_2::tcp_create_socket::add_to_linker::<_, WasiSockets>(linker, |guest| {
        guest.wants_sockets(&[Tcp]);
        guest.sockets()
    })?;
    sockets_0_2::udp_create_socket::add_to_linker::<_, WasiSockets>(linker, |guest| {
        guest.wants_sockets(&[Udp]);
        guest.sockets()
    })?;
    // WASI 0.3 has both in one interface: whoever may have neither can only ask in vain.
    sockets_0_3::types::add_to_linker::<_, WasiSockets>(linker, |guest| {
        guest.wants_sockets(&[Tcp, Udp]);
        guest.sockets()
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

impl Guest {
    /// Tells of a denial if the guest may have sockets of none of these.
    fn wants_sockets(&self, protocols: &[Protocol]) {
        let mut denials = Vec::new();
        for protocol in protocols {
            match grants::sockets(&self.worker.plugin, *protocol) {
                Ok(()) => return,
                Err(denial) => denials.push(denial),
            }
        }
        for denial in denials {
            self.worker.deny(&denial);
        }
    }
}

impl types::Host for Guest {}
