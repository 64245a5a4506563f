//! The plugin host: the only folder that names wasmtime.
//!
//! A plugin is a WebAssembly component that makes decisions: it exports interfaces of `wit/`. This
//! host loads it, gives it what the config grants, and answers the port [`decide`] with it. What
//! holds whatever a plugin does:
//!
//! - It reaches nothing outside its sandbox that its config does not grant (`grants`).
//! - Each call has a fresh instance (a conversation at the gate keeps one), a CPU time, a deadline
//!   and a memory cap (`allowance`), so it costs its own call and nothing else.
//! - What it says and answers is checked, cut and escaped (`answers`, `text`).
//! - What goes wrong is told as a sentence that says whose fault it is and what would help
//!   (`error` while loading, `blame` in calls).
//!
//! ```text
//! config::Plugin ─ load ─ exports ─> Loaded        once a process and component
//!                                      │
//!                    Caller (call) ────┤           once a plugin and service
//!                                      │
//!   deciders ── answers ── decide      └─ Guest    once an instance: its store
//!                                          ├ host/*, stdio, voice, state_store
//!                                          └ process: the runner of commands; children
//! ```

mod allowance;
mod answers;
mod bindings;
mod blame;
mod builtin;
mod cache;
mod call;
mod children;
mod deciders;
mod engine;
mod error;
mod exports;
mod grants;
mod guest;
mod host;
mod inspect;
mod interface;
mod load;
pub mod process;
mod sockets;
mod state_store;
mod stdio;
mod text;
mod voice;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use wasmtime::Cache;
use wasmtime::component::Linker;

use crate::config::{self, Config, Decider, PluginSource};
use crate::decide;

use self::bindings::{gate, idleness, readiness};
use self::call::Caller;
use self::children::ChildStore;
use self::deciders::{PluginGate, PluginIdleness, PluginJudge, PluginLifecycle};
use self::engine::Ticker;
use self::guest::{Guest, Worker};
use self::process::Runner;
use self::state_store::StateStore;

pub use self::error::{HostError, LoadError, LoadFault};
pub use self::exports::Loaded;
pub use self::grants::FolderFault;
pub use self::inspect::{Import, Inspection, inspect};
pub use self::interface::Decision;

/// Loads plugins and calls them. One a process.
pub struct Host {
    linker: Arc<Linker<Guest>>,
    ticker: Arc<Ticker>,
    cache: Option<Cache>,
    states: StateStore,
    children: ChildStore,
    runner: Runner,
    components: Mutex<HashMap<PluginSource, Arc<OnceCell<Arc<Loaded>>>>>,
    warnings: Mutex<HashMap<String, Arc<grants::Warnings>>>,
}

/// How the components that were loaded came to their native code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compilations {
    /// How many were found in the cache.
    pub cached: usize,
    /// How many were compiled and put there.
    pub compiled: usize,
}

impl Host {
    /// Sets up the host, which takes some milliseconds: nothing is compiled yet.
    ///
    /// # Errors
    ///
    /// If wasmtime does not support the machine, or no thread can be started. A folder for the cache
    /// that can't be used is no error: a warning says so.
    pub fn new(config: &Config) -> Result<Host, HostError> {
        let cache = cache::open(&config.cache_dir);
        let refused = |error: wasmtime::Error| HostError::Engine(LoadFault::reason(&error));
        let engine = engine::new(cache.clone()).map_err(refused)?;
        let ticker = Ticker::start(&engine).map_err(HostError::Clock)?;
        let runner = Runner::new();
        Ok(Host {
            linker: Arc::new(host::linker(&engine).map_err(refused)?),
            ticker: Arc::new(ticker),
            cache,
            states: StateStore::new(&config.state_dir),
            children: ChildStore::new(&config.state_dir, runner.clone()),
            runner,
            components: Mutex::default(),
            warnings: Mutex::default(),
        })
    }

    /// Loads everybody who decides for `service`, which must be one of `config`.
    ///
    /// Each component is compiled once a process, on a thread of its own, beside others.
    ///
    /// # Errors
    ///
    /// If a plugin can't be loaded, or lacks a decision that the service wants of it.
    pub async fn deciders(
        &self,
        config: &Config,
        service: &config::Service,
    ) -> Result<decide::Deciders, LoadError> {
        let (lifecycle, readiness, gate, idleness) = tokio::try_join!(
            self.lifecycle(config, service),
            self.readiness(config, service),
            self.gate(config, service),
            self.idleness(config, service),
        )?;
        Ok(decide::Deciders { lifecycle, readiness, gate, idleness })
    }

    /// Loads `plugin`, as [`Host::deciders`] does.
    ///
    /// # Errors
    ///
    /// If it can't be loaded, or a folder that it may use is not there.
    pub async fn load(&self, plugin: &config::Plugin) -> Result<Arc<Loaded>, LoadError> {
        let cell = {
            let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(components.entry(plugin.source.clone()).or_default())
        };
        let loaded = cell.get_or_try_init(async || {
            let (linker, source) = (Arc::clone(&self.linker), plugin.source.clone());
            let loading = tokio::task::spawn_blocking(move || load::load(&linker, &source)).await;
            // The thread panicked, or the runtime ends.
            let loaded = loading.map_err(|error| LoadFault::Invalid(error.to_string())).flatten();
            loaded.map(Arc::new).map_err(|fault| self.error(plugin, fault))
        });
        let loaded = loaded.await.cloned()?;
        let folders = grants::check_folders(plugin);
        folders.map_err(|fault| self.error(plugin, LoadFault::Folder(fault)))?;
        Ok(loaded)
    }

    /// How the components that were loaded came to their native code. Without a cache, nothing is
    /// counted.
    pub fn compilations(&self) -> Compilations {
        let count = |of: fn(&Cache) -> usize| self.cache.as_ref().map_or(0, of);
        Compilations { cached: count(Cache::cache_hits), compiled: count(Cache::cache_misses) }
    }

    /// Ends the commands that plugins have run and that still run, and waits for their end: SIGTERM
    /// to their process groups, SIGKILL five seconds later.
    pub async fn shutdown(&self) {
        self.runner.shutdown().await;
    }

    /// The same with SIGKILL at once.
    pub async fn kill(&self) {
        self.runner.kill().await;
    }

    async fn lifecycle(
        &self,
        config: &Config,
        service: &config::Service,
    ) -> Result<Arc<dyn decide::Lifecycle>, LoadError> {
        let plugin = config.plugin(service.lifecycle);
        let loaded = self.load(plugin).await?;
        let Some(functions) = loaded.lifecycle.clone() else {
            return Err(self.lacks(plugin, service, Decision::Lifecycle, &loaded));
        };
        let caller = self.caller(plugin, service, loaded).await;
        Ok(Arc::new(PluginLifecycle { caller, functions }))
    }

    async fn readiness(
        &self,
        config: &Config,
        service: &config::Service,
    ) -> Result<Option<Arc<dyn decide::Judge>>, LoadError> {
        let of = |loaded: &Loaded| -> Option<readiness::GuestIndices> { loaded.readiness.clone() };
        let found = self.find(config, service, service.readiness, Decision::Readiness, of).await?;
        Ok(found.map(|(caller, functions)| Arc::new(PluginJudge { caller, functions }) as _))
    }

    async fn gate(
        &self,
        config: &Config,
        service: &config::Service,
    ) -> Result<Option<Arc<dyn decide::Gate>>, LoadError> {
        let of = |loaded: &Loaded| -> Option<gate::GuestIndices> { loaded.gate.clone() };
        let found = self.find(config, service, service.gate, Decision::Gate, of).await?;
        Ok(found.map(|(caller, functions)| Arc::new(PluginGate { caller, functions }) as _))
    }

    async fn idleness(
        &self,
        config: &Config,
        service: &config::Service,
    ) -> Result<Option<Arc<dyn decide::Idleness>>, LoadError> {
        let of = |loaded: &Loaded| -> Option<idleness::GuestIndices> { loaded.idleness.clone() };
        let found = self.find(config, service, service.idleness, Decision::Idleness, of).await?;
        Ok(found.map(|(caller, functions)| Arc::new(PluginIdleness { caller, functions }) as _))
    }

    /// Who makes `decision`, if anybody does.
    async fn find<Functions>(
        &self,
        config: &Config,
        service: &config::Service,
        decider: Decider,
        decision: Decision,
        functions: fn(&Loaded) -> Option<Functions>,
    ) -> Result<Option<(Caller, Functions)>, LoadError> {
        let (id, demanded) = match decider {
            Decider::Plugin(id) => (id, true),
            Decider::IfExported(id) => (id, false),
            Decider::Nobody => return Ok(None),
        };
        let plugin = config.plugin(id);
        let loaded = self.load(plugin).await?;
        match functions(&loaded) {
            Some(functions) => Ok(Some((self.caller(plugin, service, loaded).await, functions))),
            None if demanded => Err(self.lacks(plugin, service, decision, &loaded)),
            None => Ok(None),
        }
    }

    async fn caller(
        &self,
        plugin: &config::Plugin,
        service: &config::Service,
        loaded: Arc<Loaded>,
    ) -> Caller {
        let hooks = plugin.hooks_of.is_some();
        let state = self.states.space(&plugin.name, hooks, &service.name, plugin.limits.state);
        let children =
            self.children.space(&plugin.name, hooks, &service.name, plugin.limits.children).await;
        let warnings = {
            let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(warnings.entry(plugin.name.clone()).or_default())
        };
        let worker = Worker {
            plugin: plugin.clone(),
            service: service.clone(),
            settings: plugin.settings.to_string(),
            state,
            children,
            warnings,
            runner: self.runner.clone(),
        };
        Caller {
            worker: Arc::new(worker),
            loaded,
            ticker: Arc::clone(&self.ticker),
            service: Arc::new(bindings::service(service)),
        }
    }

    fn lacks(
        &self,
        plugin: &config::Plugin,
        service: &config::Service,
        decision: Decision,
        loaded: &Loaded,
    ) -> LoadError {
        let fault = LoadFault::LacksDecision {
            service: service.name.as_str().into(),
            plugin: plugin.name.as_str().into(),
            decision,
            exports: loaded.decisions(),
        };
        self.error(plugin, fault)
    }

    fn error(&self, plugin: &config::Plugin, fault: LoadFault) -> LoadError {
        let place = match &plugin.source {
            PluginSource::Builtin(name) => format!("builtin:{name}"),
            PluginSource::File(file) => file.display().to_string(),
        };
        LoadError { plugin: Some(plugin.name.clone()), place, fault }
    }
}
