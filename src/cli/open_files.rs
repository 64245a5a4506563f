//! What the limit of open files means for a config: for `run`, which keeps to it, and for `check`,
//! which reports it.

use std::thread;

use super::Complaint;
use crate::config::Config;
use crate::service::capacity::{Capacity, Demand, EACH_RUNTIME};
use crate::service::relay::Paths;

/// What raises it.
const REMEDY: &str = "raise the limit of open files (`LimitNOFILE=` under systemd, `ulimit -n` in a \
                      shell), or lower `max_held`";

/// How `limit` is shared out, if so many descriptors are open before a client comes; or as many as
/// Dormouse opens by itself, if that is not known.
pub(super) fn capacity(config: &Config, limit: u64, open: Option<usize>) -> Capacity {
    let demand = Demand {
        listeners: config.services.iter().map(|service| service.listen.len()).sum(),
        services: config.services.len(),
        plugins: config.plugins.len(),
        pipes: Paths::most_pipes(config.relay.memory),
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let own = demand.open(cores);
    demand.within(limit, open.map_or(own, |open| open.max(own)) + kept_by_plugins(config))
}

/// What plugins keep open from when they are loaded: the runtime of their threads, which those behind
/// `hooks` share, and their folders.
fn kept_by_plugins(config: &Config) -> usize {
    let (hooks, others): (Vec<_>, Vec<_>) =
        config.plugins.iter().partition(|plugin| plugin.hooks_of.is_some());
    let folders = others.iter().map(|plugin| plugin.allow.read.len() + plugin.allow.write.len());
    EACH_RUNTIME * (others.len() + usize::from(!hooks.is_empty())) + folders.sum::<usize>()
}

/// How many descriptors this process has open; `None` where the system doesn't say.
pub(super) fn count() -> Option<usize> {
    // One of them is for reading the folder.
    std::fs::read_dir("/proc/self/fd").ok().map(|open| open.count().saturating_sub(1))
}

/// How many clients fit, as a sentence.
pub(super) fn capacity_message(limit: u64, capacity: Capacity) -> String {
    let Capacity { clients, .. } = capacity;
    match limit {
        u64::MAX => "Any number of clients fits: there is no limit of open files here.".to_owned(),
        limit => format!(
            "{clients} clients fit at once, over all services, with the limit of {limit} open files \
             here.",
        ),
    }
}

/// The services that could hold more clients than fit.
pub(super) fn too_many_held(config: &Config, limit: u64, capacity: Capacity) -> Vec<Complaint> {
    let Capacity { clients, .. } = capacity;
    let too_many = config.services.iter().filter(|service| service.max_held > clients);
    let complaint = |service: &crate::config::Service| {
        let (name, max_held) = (&service.name, service.max_held);
        Complaint::new(format!(
            "`max_held` of service `{name}` is {max_held}, and with a limit of {limit} open files \
             {clients} clients fit, over all services: no more are held",
        ))
        .remedy(REMEDY)
    };
    too_many.map(complaint).collect()
}
