//! A stage for plugins: a config with one service and its plugins, and folders of its own.

#![allow(clippy::expect_used, reason = "a test that fails here should fail loudly")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dormouse::config::{
    CompileLimits, Config, Decider, Grants, Limits, Listener, OnGateError, OnIdlenessError, Plugin,
    PluginId, PluginSource, Service, Target, Wakes,
};
use dormouse::decide::{Client, Deciders};
use dormouse::plugin::{Compiler, Host, LoadError};

/// A config whose service `s` has the plugin `p` for every decision that it exports.
pub(crate) struct Stage {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: Config,
}

impl Stage {
    /// With these bytes as the plugin's file.
    pub(crate) fn new(component: &[u8]) -> Stage {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("p.wasm");
        std::fs::write(&file, component).expect("the plugin's file");
        let config = config(folder.path(), plugin("p", &file));
        Stage { folder, config }
    }

    /// The plugin `p`.
    pub(crate) fn plugin(&mut self) -> &mut Plugin {
        &mut self.config.plugins[0]
    }

    /// The service `s`.
    pub(crate) fn service(&mut self) -> &mut Service {
        &mut self.config.services[0]
    }

    /// The plugin's file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("p.wasm")
    }

    /// A host for this config.
    pub(crate) fn host(&self) -> Host {
        host(&self.config)
    }

    /// Who decides for the service, by a host of their own.
    pub(crate) async fn deciders(&self) -> Deciders {
        let deciders = self.host().deciders(&self.config, &self.config.services[0]).await;
        deciders.unwrap_or_else(|error| panic!("the plugin should load: {error}"))
    }

    /// The error with which the plugin does not load, with the folder's path as `[FOLDER]`.
    pub(crate) async fn load_error(&self) -> (LoadError, String) {
        let loaded = self.host().deciders(&self.config, &self.config.services[0]).await;
        let error = loaded.err().expect("the plugin should not load");
        let message = self.without_paths(&error.to_string());
        (error, message)
    }

    /// `text` with the folder's path as `[FOLDER]`.
    pub(crate) fn without_paths(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "[FOLDER]")
    }
}

/// A host for `config`. Components are compiled by the program under test: this one is not Dormouse.
pub(crate) fn host(config: &Config) -> Host {
    Host::compiled_by(compiler(config.compile), config).expect("the host should start here")
}

/// A compiler with these limits.
pub(crate) fn compiler(limits: CompileLimits) -> Compiler {
    Compiler::at(env!("CARGO_BIN_EXE_dormouse"), limits)
}

/// Gives `state_dir` the key of the cache that many tests share: entries are found by their key.
pub(crate) fn share_cache(state_dir: &Path) {
    let file = state_dir.join("cache.key");
    if file.exists() {
        return;
    }
    std::fs::create_dir_all(state_dir).expect("a folder for the state");
    std::fs::write(&file, [7; 32]).expect("a key");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
}

/// A client.
pub(crate) fn client() -> Client {
    Client {
        address: "192.0.2.1:50000".parse().expect("an address"),
        listener: "192.0.2.2:80".parse().expect("an address"),
    }
}

/// A plugin with no grants and the default limits.
pub(crate) fn plugin(name: &str, file: &Path) -> Plugin {
    Plugin {
        name: name.to_owned(),
        hooks_of: None,
        source: PluginSource::File(file.to_owned()),
        sha256: None,
        settings: serde_json::json!({}),
        allow: Grants::default(),
        limits: Limits::default(),
        ca: None,
    }
}

fn config(folder: &Path, plugin: Plugin) -> Config {
    let by_plugin = Decider::IfExported(PluginId(0));
    Config {
        drain: Duration::from_secs(10),
        relay: dormouse::config::Relay::default(),
        state_dir: folder.join("state"),
        cache_dir: folder.join("cache"),
        compile: CompileLimits::default(),
        services: vec![Service {
            name: "s".to_owned(),
            listen: vec![Listener { at: "127.0.0.1:1".parse().expect("an address"), target: None }],
            target: Target { host: "target.example".to_owned(), port: 7777 },
            lifecycle: PluginId(0),
            readiness: by_plugin,
            gate: by_plugin,
            idleness: by_plugin,
            cooldown: Duration::from_secs(60),
            start_timeout: Duration::from_secs(300),
            stop_timeout: Duration::from_secs(120),
            hold_timeout: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(5),
            max_held: 4096,
            gate_timeout: Duration::from_secs(10),
            max_gates: 256,
            on_gate_error: OnGateError::Wake,
            on_idleness_error: OnIdlenessError::Sleep,
            wakes: Wakes::default(),
            keepalive: None,
            stop_on_exit: false,
            probe_while_asleep: None,
        }],
        plugins: vec![plugin],
    }
}
