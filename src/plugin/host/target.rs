//! `target`: the service's own target.

use tokio::net::TcpStream;

use crate::plugin::bindings::target;
use crate::plugin::guest::Guest;

impl target::Host for Guest {
    async fn probe(&mut self) -> Result<(), String> {
        let service = &self.worker.service;
        let (target, timeout) = (&service.target, service.connect_timeout);
        let connect = TcpStream::connect((target.host.as_str(), target.port));
        match tokio::time::timeout(timeout, connect).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("connecting to {target} failed: {error}")),
            Err(_) => Err(format!("{target} did not answer within {timeout:?}")),
        }
    }
}
