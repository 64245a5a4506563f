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
//!                    │                 │
//!                    ├ cache           │            native code, authenticated
//!                    └ compile         │            a child process with limits
//!                                      │
//!                    Caller (call) ────┤           once a plugin and service
//!                                      │
//!   deciders ── answers ── decide      └─ Guest    once an instance: its store
//!                                          ├ host/*, stdio, voice, state_store
//!                                          ├ http: requests
//!                                          └ process: the runner of commands; children
//! ```
//!
//! `trial` is the way in for authors: one decision at a time, with everything that it did written
//! down.

mod allowance;
mod answers;
mod bindings;
mod blame;
mod builtin;
mod cache;
mod call;
mod children;
mod compile;
mod counters;
mod current;
mod deciders;
mod engine;
mod error;
mod exports;
mod grants;
mod guest;
mod host;
mod http;
mod inspect;
mod interface;
mod journal;
mod load;
mod native;
pub mod process;
mod sockets;
mod state_store;
mod stdio;
mod text;
pub mod trial;
mod voice;
mod watch;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::config::{self, Config, Decider, PluginSource};
use crate::decide;

use self::cache::Cache;
use self::call::Caller;
use self::children::ChildStore;
use self::counters::{Accounts, Holder};
use self::current::{Current, Need};
use self::deciders::{PluginGate, PluginIdleness, PluginJudge, PluginLifecycle};
use self::engine::Ticker;
use self::guest::Worker;
use self::http::Trust;
use self::load::{Loader, Pin, Sum};
use self::process::Runner;
use self::state_store::StateStore;
use self::trial::Recorder;
use self::watch::Watched;

pub use self::compile::{CompileError, Compiler};
pub(crate) use self::compile::{WORD as COMPILE_WORD, run_child as run_compiler};
pub use self::counters::{Counts, PluginCounts};
pub use self::error::{HostError, LoadError, LoadFault};
pub use self::exports::Loaded;
pub use self::grants::FolderFault;
pub use self::inspect::{Import, InspectError, Inspection, inspect, inspect_by};
pub use self::interface::Decision;

/// What is loaded once: a source, and the sum that it must have. Two plugins of a config may share it.
type Component = (PluginSource, Option<Sum>);

/// Loads plugins and calls them. One a process.
pub struct Host {
    loader: Loader,
    ticker: Arc<Ticker>,
    states: StateStore,
    children: ChildStore,
    runner: Runner,
    /// Whom plugins trust, by their `ca`.
    trust: Mutex<HashMap<Option<PathBuf>, Arc<Trust>>>,
    components: Mutex<HashMap<Component, Arc<OnceCell<Arc<Current>>>>>,
    /// Those of them that came from files.
    watched: Mutex<Vec<Arc<Watched>>>,
    accounts: Accounts,
    warnings: Mutex<HashMap<Holder, Arc<grants::Warnings>>>,
    /// Who takes down what plugins do, on an author's bench.
    recorder: Option<Arc<Recorder>>,
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
        Host::compiled_by(Compiler::new(config.compile), config)
    }

    /// The same with another compiler than this program.
    ///
    /// # Errors
    ///
    /// Those of [`Host::new`].
    pub fn compiled_by(compiler: Compiler, config: &Config) -> Result<Host, HostError> {
        Host::with(config, compiler, Some((&config.cache_dir, &config.state_dir)))
    }

    /// `cache` is the folder of the cache, and that of its key.
    fn with(
        config: &Config,
        compiler: Compiler,
        cache: Option<(&Path, &Path)>,
    ) -> Result<Host, HostError> {
        let refused = |error: wasmtime::Error| HostError::Engine(LoadFault::reason(&error));
        let engine = engine::new().map_err(refused)?;
        let cache = cache.and_then(|(folder, key)| Cache::open(folder, key, &engine));
        let ticker = Ticker::start(&engine).map_err(HostError::Clock)?;
        let runner = Runner::new();
        let linker = Arc::new(host::linker(&engine).map_err(refused)?);
        Ok(Host {
            loader: Loader { linker, compiler, cache: cache.map(Arc::new) },
            ticker: Arc::new(ticker),
            states: StateStore::new(&config.state_dir),
            children: ChildStore::new(&config.state_dir, runner.clone()),
            runner,
            components: Mutex::default(),
            watched: Mutex::default(),
            accounts: Accounts::default(),
            warnings: Mutex::default(),
            trust: Mutex::default(),
            recorder: None,
        })
    }

    /// Keeps what plugins leave behind in `state_dir`, in place of the config's.
    fn keep_state_in(&mut self, state_dir: &Path) {
        self.states = StateStore::new(state_dir);
        self.children = ChildStore::new(state_dir, self.runner.clone());
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
        self.current(plugin).await.map(|current| current.loaded())
    }

    /// What each plugin that decides for a service has done so far.
    pub fn counts(&self) -> Vec<PluginCounts> {
        self.accounts.counts()
    }

    /// The component of `plugin`, loaded by the first who asks.
    async fn current(&self, plugin: &config::Plugin) -> Result<Arc<Current>, LoadError> {
        self.trust(plugin)?;
        let cell = {
            let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(components.entry((plugin.source.clone(), plugin.sha256)).or_default())
        };
        let current = cell.get_or_try_init(async || {
            let pin = Pin::of(plugin);
            let loaded = self.loader.load(plugin.source.clone(), pin.clone(), None).await;
            let version = loaded.map_err(|fault| self.error(plugin, fault))?;
            // Nothing was known before.
            let Some(version) = version else { return Err(self.error(plugin, LoadFault::Missing)) };
            let stamp = version.stamp;
            let current = Arc::new(Current::new(version));
            if let (PluginSource::File(file), Some(stamp)) = (&plugin.source, stamp) {
                self.watch_file(Watched::new(&current, file, pin, stamp));
            }
            Ok(current)
        });
        let current = current.await.cloned()?;
        let folders = grants::check_folders(plugin);
        folders.map_err(|fault| self.error(plugin, LoadFault::Folder(fault)))?;
        Ok(current)
    }

    /// How the components that were loaded came to their native code. Without a cache, nothing is
    /// counted.
    pub fn compilations(&self) -> Compilations {
        self.loader
            .cache
            .as_ref()
            .map_or(Compilations { cached: 0, compiled: 0 }, |cache| cache.counts())
    }

    /// Ends the commands that plugins have run and that still run, and waits for their end: SIGTERM
    /// to their process groups, SIGKILL five seconds later. Tells what plugins have done wrong, as far
    /// as that is untold.
    pub async fn shutdown(&self) {
        // On an author's bench, the record of each call tells it.
        if self.recorder.is_none() {
            self.accounts.tell();
        }
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
        let caller = self.caller(plugin, service, Decision::Lifecycle).await?;
        Ok(Arc::new(PluginLifecycle { caller }))
    }

    async fn readiness(
        &self,
        config: &Config,
        service: &config::Service,
    ) -> Result<Option<Arc<dyn decide::Judge>>, LoadError> {
        let found = self.find(config, service, service.readiness, Decision::Readiness).await?;
        Ok(found.map(|caller| Arc::new(PluginJudge { caller }) as _))
    }

    async fn gate(
        &self,
        config: &Config,
        service: &config::Service,
    ) -> Result<Option<Arc<dyn decide::Gate>>, LoadError> {
        let found = self.find(config, service, service.gate, Decision::Gate).await?;
        Ok(found.map(|caller| Arc::new(PluginGate { caller }) as _))
    }

    async fn idleness(
        &self,
        config: &Config,
        service: &config::Service,
    ) -> Result<Option<Arc<dyn decide::Idleness>>, LoadError> {
        let found = self.find(config, service, service.idleness, Decision::Idleness).await?;
        Ok(found.map(|caller| Arc::new(PluginIdleness { caller }) as _))
    }

    /// Who makes `decision`, if anybody does.
    async fn find(
        &self,
        config: &Config,
        service: &config::Service,
        decider: Decider,
        decision: Decision,
    ) -> Result<Option<Caller>, LoadError> {
        let (id, demanded) = match decider {
            Decider::Plugin(id) => (id, true),
            Decider::IfExported(id) => (id, false),
            Decider::Nobody => return Ok(None),
        };
        let lacks = |error: &LoadError| matches!(error.fault, LoadFault::LacksDecision { .. });
        match self.caller(config.plugin(id), service, decision).await {
            Ok(caller) => Ok(Some(caller)),
            Err(error) if !demanded && lacks(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What calls `plugin` for `decision`. From here on, no version of it is taken up that does not
    /// make it.
    async fn caller(
        &self,
        plugin: &config::Plugin,
        service: &config::Service,
        decision: Decision,
    ) -> Result<Caller, LoadError> {
        let current = self.current(plugin).await?;
        let need = Need { plugin: plugin.name.clone(), service: service.name.clone(), decision };
        if !current.claim(need) {
            return Err(self.lacks(plugin, service, decision, &current.loaded()));
        }
        self.caller_of(plugin, service, current).await
    }

    /// What calls `current`, which is the component of `plugin`.
    async fn caller_of(
        &self,
        plugin: &config::Plugin,
        service: &config::Service,
        current: Arc<Current>,
    ) -> Result<Caller, LoadError> {
        let hooks = plugin.hooks_of.is_some();
        let state = self.states.space(&plugin.name, hooks, &service.name, plugin.limits.state);
        let counters = self.accounts.of(plugin);
        let children =
            self.children.space(&plugin.name, hooks, &service.name, plugin.limits.children).await;
        let warnings = {
            let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            let recorder = self.recorder.clone();
            let none = || Arc::new(grants::Warnings::new(Arc::clone(&counters), recorder));
            Arc::clone(warnings.entry(counters::holder(plugin)).or_insert_with(none))
        };
        let worker = Worker {
            plugin: plugin.clone(),
            service: service.clone(),
            settings: plugin.settings.to_string(),
            state,
            children,
            warnings,
            counters,
            runner: self.runner.clone(),
            trust: self.trust(plugin)?,
            recorder: self.recorder.clone(),
        };
        Ok(Caller {
            worker: Arc::new(worker),
            current,
            ticker: Arc::clone(&self.ticker),
            service: Arc::new(bindings::service(service)),
        })
    }

    /// Whom `plugin` trusts. What was read once is not read again.
    fn trust(&self, plugin: &config::Plugin) -> Result<Arc<Trust>, LoadError> {
        let mut known = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trust) = known.get(&plugin.ca) {
            return Ok(Arc::clone(trust));
        }
        let trust = match &plugin.ca {
            None => Trust::default(),
            Some(file) => Trust::with(file).map_err(|reason| {
                let file = file.display().to_string();
                self.error(plugin, LoadFault::Certificates { file, reason })
            })?,
        };
        let trust = Arc::new(trust);
        known.insert(plugin.ca.clone(), Arc::clone(&trust));
        Ok(trust)
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
