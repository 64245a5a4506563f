//! The sockets of one instance, held to `allow.connect` and `allow.udp`.
//!
//! WASI asks about each address before it does anything with it. Sockets connect and send, and
//! that is all: they listen nowhere and have no port of their own choice.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::OnceCell;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::SocketAddrUse;

use super::grants::{self, Protocol};
use super::guest::Worker;

/// What WASI waits for.
type Permission = Pin<Box<dyn Future<Output = bool> + Send + Sync>>;

/// What the sockets of one instance may do.
struct Sockets {
    worker: Arc<Worker>,
    /// Where the service's target is, once somebody has asked: looked up once an instance.
    target: OnceCell<Vec<SocketAddr>>,
}

/// Gives an instance of `worker` what it may reach.
pub(super) fn grant(wasi: &mut WasiCtxBuilder, worker: &Arc<Worker>) {
    let sockets = Arc::new(Sockets { worker: Arc::clone(worker), target: OnceCell::new() });
    let may = |protocol| grants::sockets(&worker.plugin, protocol).is_ok();
    wasi.allow_tcp(may(Protocol::Tcp))
        .allow_udp(may(Protocol::Udp))
        .allow_ip_name_lookup(false)
        .socket_addr_check(move |address, usage| -> Permission {
            let sockets = Arc::clone(&sockets);
            Box::pin(async move { sockets.may(address, usage).await })
        });
}

impl Sockets {
    async fn may(&self, address: SocketAddr, usage: SocketAddrUse) -> bool {
        match usage {
            // Whoever connects or sends is bound to a port that the system chooses; in WASI 0.2 the
            // guest has to ask for that.
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => {
                address.ip().is_unspecified() && address.port() == 0
            }
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
            SocketAddrUse::TcpConnect => self.check(Protocol::Tcp, address).await,
            SocketAddrUse::UdpSend => self.check(Protocol::Udp, address).await,
            // Whoever sends us something is not the plugin's doing: nobody is told.
            SocketAddrUse::UdpReceive => self.reaches(Protocol::Udp, address).await.is_ok(),
        }
    }

    async fn check(&self, protocol: Protocol, address: SocketAddr) -> bool {
        self.reaches(protocol, address).await.map_err(|denial| self.worker.deny(&denial)).is_ok()
    }

    async fn reaches(&self, protocol: Protocol, address: SocketAddr) -> Result<(), grants::Denial> {
        let Worker { plugin, service, .. } = &*self.worker;
        let target =
            match grants::asks_for_target(plugin, protocol, address.port(), &service.target) {
                true => self.target.get_or_init(|| look_up(&service.target)).await.as_slice(),
                false => &[],
            };
        grants::address(plugin, protocol, address, target)
    }
}

/// The addresses of `target`; none if its name can't be looked up.
async fn look_up(target: &crate::config::Target) -> Vec<SocketAddr> {
    if let Some(address) = grants::fixed(target) {
        return vec![address];
    }
    match tokio::net::lookup_host((target.host.as_str(), target.port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            tracing::debug!("the target {target} was not found: {error}");
            Vec::new()
        }
    }
}
