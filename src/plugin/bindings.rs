//! The Rust side of `wit/dormouse-plugin-0.1.0`, generated, and its translation to the words of
//! [`decide`].
//!
//! Nobody else in this folder knows both: host functions and calls use the generated types, the
//! rest of the program those of `decide`.

use crate::config;
use crate::decide;

mod generated {
    wasmtime::component::bindgen!({
        path: "wit/dormouse-plugin-0.1.0",
        world: "plugin",
        imports: { default: async },
        exports: { default: async },
    });
}

pub(super) use generated::Plugin as World;
pub(super) use generated::dormouse::plugin::{
    children, log, process, settings, state, target, types, wake_on_lan,
};
pub(super) use generated::exports::dormouse::plugin::{gate, idleness, lifecycle, readiness};

/// The service as plugins see it.
pub(super) fn service(service: &config::Service) -> types::Service {
    types::Service {
        name: service.name.clone(),
        target_host: service.target.host.clone(),
        target_port: service.target.port,
    }
}

impl From<decide::Client> for types::Client {
    fn from(client: decide::Client) -> Self {
        types::Client { address: client.address.to_string(), listener: client.listener.to_string() }
    }
}

impl From<decide::Cause> for types::Cause {
    fn from(cause: decide::Cause) -> Self {
        match cause {
            decide::Cause::Client(client) => types::Cause::Client(client.into()),
            decide::Cause::Operator => types::Cause::Operator,
            decide::Cause::Cooldown => types::Cause::Cooldown,
            decide::Cause::Exit => types::Cause::Exit,
            decide::Cause::FailedStart => types::Cause::FailedStart,
        }
    }
}

impl From<decide::Phase> for types::Phase {
    fn from(phase: decide::Phase) -> Self {
        match phase {
            decide::Phase::Asleep => types::Phase::Asleep,
            decide::Phase::Starting => types::Phase::Starting,
            decide::Phase::Awake => types::Phase::Awake,
            decide::Phase::Stopping => types::Phase::Stopping,
        }
    }
}

impl From<gate::Verdict> for decide::Verdict {
    fn from(verdict: gate::Verdict) -> Self {
        match verdict {
            gate::Verdict::Wake => decide::Verdict::Wake,
            gate::Verdict::More => decide::Verdict::More,
            gate::Verdict::Refuse => decide::Verdict::Refuse,
            gate::Verdict::WakeAndClose => decide::Verdict::WakeAndClose,
        }
    }
}
