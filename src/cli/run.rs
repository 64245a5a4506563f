//! `dormouse run`, and the flags of the original: the services, from their listeners to the exit.
//!
//! Listeners come first: clients can connect, and are held, before a plugin is loaded.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::signals::Signals;
use super::{Complaint, Failure, open_files};
use crate::config::{self, Config};
use crate::decide::Deciders;
use crate::plugin::Host;
use crate::plugin::process::reaper;
use crate::service::dial::OwnListeners;
use crate::service::relay::{Mode, Paths};
use crate::service::socket::{self, Keepalive};
use crate::service::{Ground, Lanes, Service, Slots};

/// How many threads plugins and drivers have. Two, so that one plugin that computes does not hold
/// up the others.
const DECISION_THREADS: usize = 2;

/// How many threads may block for what belongs to no service: certificates, looks at processes.
const BLOCKING_THREADS: usize = 64;

/// How many more a service may take: to read and write its record, the address of its target, and for
/// each of the four decisions state and children.
const BLOCKING_THREADS_OF_SERVICE: usize = 10;

/// How long the end of hooks that have been killed is waited for.
const KILLED: Duration = Duration::from_secs(1);

/// How long the last state files are waited for, once everything else has ended.
const WRITING: Duration = Duration::from_secs(5);

/// Runs the services until a signal ends them.
///
/// # Errors
///
/// If a listener can't be opened, or if no service can work.
pub(super) fn execute(config: Config) -> Result<(), Failure> {
    let limit = dormouse_child_limits::raise_open_files();
    let listeners = listen(&config)?;
    let lanes = Lanes::for_this_machine().map_err(|error| no_threads(&error))?;
    let decisions = Builder::new_multi_thread()
        .worker_threads(DECISION_THREADS)
        .thread_name("decisions")
        .max_blocking_threads(blocking_threads(&config))
        .enable_all()
        .build()
        .map_err(|error| no_threads(&error))?;
    let proxy = Proxy { config: Arc::new(config), lanes: Some(lanes) };
    let ended = decisions.block_on(proxy.run(listeners, limit, decisions.handle()));
    // What still runs there is a plugin being compiled, or a target's name being looked up.
    decisions.shutdown_background();
    ended
}

/// How many threads may block: as many as all services and plugins can take up together if each file
/// system hangs, and some for everybody else. They are started when they are needed.
fn blocking_threads(config: &Config) -> usize {
    let starts: usize = config.plugins.iter().map(|plugin| plugin.limits.threads).sum();
    BLOCKING_THREADS + BLOCKING_THREADS_OF_SERVICE * config.services.len() + starts
}

/// The listeners of a service, each with its address.
type Listeners = Vec<(SocketAddr, TcpListener)>;

/// Opens the listeners of all services, or says of each that can't be opened why.
fn listen(config: &Config) -> Result<Vec<Listeners>, Failure> {
    let mut complaints = Vec::new();
    let mut all = Vec::new();
    for service in &config.services {
        let mut opened = Vec::new();
        for address in service.listen.iter().map(|listener| listener.at) {
            match socket::listen(address, service.keepalive.map(Keepalive::after)) {
                Ok(listener) => opened.push((address, listener)),
                Err(error) => complaints.push(cannot_listen(service, address, &error)),
            }
        }
        all.push(opened);
    }
    if complaints.is_empty() { Ok(all) } else { Err(Failure::Complaints(complaints)) }
}

fn cannot_listen(service: &config::Service, address: SocketAddr, error: &io::Error) -> Complaint {
    let port = address.port();
    let (why, remedy) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "the port is in use".to_owned(),
            format!(
                "another program listens there (`ss -ltnp 'sport = :{port}'` shows which): end \
                 it, or give `listen` another port"
            ),
        ),
        io::ErrorKind::PermissionDenied => (
            "permission denied".to_owned(),
            format!(
                "ports below 1024 are for root: give `listen` a port above, or let Dormouse have \
                 this one (`AmbientCapabilities=CAP_NET_BIND_SERVICE` under systemd, or `setcap \
                 cap_net_bind_service=+ep` on its binary); the port was {port}"
            ),
        ),
        io::ErrorKind::AddrNotAvailable => (
            "this machine does not have that address".to_owned(),
            "give `listen` an address of this machine (`ip address` lists them), or `0.0.0.0` for \
             all of them"
                .to_owned(),
        ),
        _ => (error.to_string(), "see whether the address is meant so".to_owned()),
    };
    Complaint::new(format!("service `{}` can't listen on `{address}`: {why}", service.name))
        .remedy(remedy)
}

/// Where all services together listen.
fn own_listeners(listeners: &[Listeners]) -> OwnListeners {
    OwnListeners::new(
        listeners.iter().flatten().filter_map(|(_, listener)| listener.local_addr().ok()),
    )
}

fn no_threads(error: &io::Error) -> Failure {
    Complaint::new(format!("no threads to work with: {error}"))
        .remedy("raise the limit of tasks (`TasksMax=` under systemd, `ulimit -u`)")
        .into()
}

/// Everything that runs.
struct Proxy {
    config: Arc<Config>,
    /// Taken when clients have to be cut off.
    lanes: Option<Lanes>,
}

impl Proxy {
    async fn run(
        mut self,
        listeners: Vec<Listeners>,
        limit: u64,
        decisions: &tokio::runtime::Handle,
    ) -> Result<(), Failure> {
        // Before any hook runs.
        let mut signals = Signals::new()?;
        let _reaping =
            reaper::is_needed().then(|| AbortOnDropHandle::new(tokio::spawn(reaper::run())));
        let Some(lanes) = &self.lanes else { return Ok(()) };
        let capacity = open_files::capacity(&self.config, limit, open_files::count());
        let ground = Ground {
            lanes: lanes.all(),
            decisions: decisions.clone(),
            drivers: TaskTracker::new(),
            writers: TaskTracker::new(),
            paths: Paths::with_pipes(Mode::Adaptive, self.config.relay.memory, capacity.pipes),
            state_dir: self.config.state_dir.clone(),
            slots: Slots::new(capacity.clients, self.config.services.len()),
            own_listeners: Arc::new(own_listeners(&listeners)),
        };
        let host = Arc::new(Host::new(&self.config).map_err(|error| {
            Failure::from(Complaint::new(format!("plugins can't be run: {error}")))
        })?);
        let watching = Arc::clone(&host);
        let _watching = AbortOnDropHandle::new(tokio::spawn(async move { watching.watch().await }));
        let load = Arc::new(Load::default());
        let services: Vec<Service> = self
            .config
            .services
            .iter()
            .zip(listeners)
            .map(|(service, listeners)| {
                told(service);
                let deciders = load_deciders(&self.config, service, &host, &load);
                Service::start(service.clone(), listeners, &ground, deciders)
            })
            .collect();

        let ended = tokio::select! {
            name = signals.next() => {
                tracing::info!("{name}: exiting; clients inside have {:?} to finish", self.config.drain);
                Ok(())
            }
            () = load.all_failed(services.len()) => Err(Failure::from(
                Complaint::new("no service can work: their plugins can't be loaded")
                    .remedy("the errors above say why; `dormouse check` finds them without running"),
            )),
        };
        self.leave(services, &ground, &host, &mut signals).await;
        ended
    }

    /// Rule 14: an end in good order, or at once if a second signal comes.
    ///
    /// The drivers end first: a stop hook that runs may finish within its `stop_timeout`, and they
    /// cancel whatever else they have ordered. What is left of plugins' commands is ended after that.
    async fn leave(
        &mut self,
        services: Vec<Service>,
        ground: &Ground,
        host: &Host,
        signals: &mut Signals,
    ) {
        for service in &services {
            service.exit();
        }
        let Ground { drivers, writers, .. } = ground;
        drivers.close();
        let drain = self.config.drain;
        let lanes = &mut self.lanes;
        let in_good_order = async {
            if tokio::time::timeout(drain, drivers.wait()).await.is_err() {
                let inside: u64 = services.iter().map(Service::inside).sum();
                if inside > 0 {
                    tracing::warn!(clients = inside, "`drain` is over: clients are cut off");
                }
                drop(lanes.take());
                for service in &services {
                    service.cut();
                }
                drivers.wait().await;
            }
            host.shutdown().await;
            writers.close();
            if tokio::time::timeout(WRITING, writers.wait()).await.is_err() {
                tracing::warn!(
                    waited = WRITING.as_secs(),
                    "the state files are not written: the disk of `state_dir` does not answer"
                );
            }
            tracing::info!("all done");
        };
        tokio::select! {
            () = in_good_order => {}
            name = signals.next() => {
                tracing::warn!("{name} again: exiting at once");
                // A process that hangs in the kernel ends when it comes back.
                let _ = tokio::time::timeout(KILLED, host.kill()).await;
            }
        }
        drop(lanes.take());
    }
}

fn told(service: &config::Service) {
    for listener in &service.listen {
        let target = listener.target.as_ref().unwrap_or(&service.target);
        tracing::info!(service = %service.name, address = %listener.at, %target, "listening");
    }
}

/// Loads who decides for a service; `None`, after an error in the log, if that can't be done.
fn load_deciders(
    config: &Arc<Config>,
    service: &config::Service,
    host: &Arc<Host>,
    load: &Arc<Load>,
) -> impl Future<Output = Option<Deciders>> + Send + 'static {
    let (config, service) = (Arc::clone(config), service.clone());
    let (host, load) = (Arc::clone(host), Arc::clone(load));
    async move {
        match host.deciders(&config, &service).await {
            Ok(deciders) => Some(deciders),
            Err(error) => {
                tracing::error!(service = %service.name, "{error}");
                load.one_failed();
                None
            }
        }
    }
}

/// How the loading of plugins goes.
#[derive(Default)]
struct Load {
    failed: AtomicUsize,
    changed: Notify,
}

impl Load {
    fn one_failed(&self) {
        self.failed.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_one();
    }

    /// Ends when none of so many services could be loaded.
    async fn all_failed(&self, services: usize) {
        while self.failed.load(Ordering::Acquire) < services {
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(kind: io::ErrorKind) -> Complaint {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dormouse.toml");
        let text = "[services.web]\nlisten = \"0.0.0.0:80\"\ntarget = \"10.0.0.7:80\"\n\
                    hooks = { start = \"true\", stop = \"true\" }\n";
        std::fs::write(&path, text).unwrap();
        let (config, _) = config::read(&path).unwrap();
        let service = &config.services[0];
        cannot_listen(service, service.listen[0].at, &kind.into())
    }

    #[test]
    fn a_port_that_is_for_root_is_told_with_the_ways_to_have_it() {
        let expected = Complaint::new(
            "service `web` can't listen on `0.0.0.0:80`: permission denied",
        )
        .remedy(
            "ports below 1024 are for root: give `listen` a port above, or let Dormouse have this \
             one (`AmbientCapabilities=CAP_NET_BIND_SERVICE` under systemd, or `setcap \
             cap_net_bind_service=+ep` on its binary); the port was 80",
        );
        assert_eq!(complaint(io::ErrorKind::PermissionDenied), expected);
    }

    #[test]
    fn an_error_without_a_remedy_of_its_own_is_told_as_it_is() {
        let expected = Complaint::new("service `web` can't listen on `0.0.0.0:80`: out of memory")
            .remedy("see whether the address is meant so");
        assert_eq!(complaint(io::ErrorKind::OutOfMemory), expected);
    }
}
