//! A plugin that works for a service, and the store of one of its instances.
//!
//! The store is where all grants are applied: what a guest is given is what is put in here.

use std::io;
use std::sync::Arc;

use tokio::time::Instant;
use wasmtime::{Engine, Store};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use crate::config::{self, Plugin};

use super::allowance::{Allowance, Memory};
use super::children::Children;
use super::grants::{self, Denial, FolderFault};
use super::process::Runner;
use super::sockets;
use super::state_store::Space;
use super::stdio::Stream;
use super::text;
use super::voice::{Loudness, Voice};

/// How many random bytes a guest gets at once.
const RANDOM_BYTES: u64 = 64 << 10;

/// A plugin at work for one service: what all its calls share.
pub(super) struct Worker {
    pub(super) plugin: Plugin,
    pub(super) service: config::Service,
    /// The plugin's settings as JSON.
    pub(super) settings: String,
    pub(super) state: Arc<Space>,
    pub(super) children: Arc<Children>,
    pub(super) warnings: Arc<grants::Warnings>,
    pub(super) runner: Runner,
}

impl Worker {
    /// Whose fault it is, for people: the beginning of a sentence.
    pub(super) fn who(&self) -> String {
        match &self.plugin.hooks_of {
            Some(service) => format!("the shell plugin behind the hooks of `{}`", name(service)),
            None => format!("the plugin `{}`", name(&self.plugin.name)),
        }
    }

    /// Tells the operator about a denial. The answer is the text of the error that the guest gets.
    pub(super) fn deny(&self, denial: &Denial) -> String {
        self.warnings.warn(&self.plugin, &self.service.name, denial);
        denial.for_guest()
    }
}

/// A name from the config, in a message.
fn name(name: &str) -> String {
    text::line(name, 200)
}

/// What belongs to one instance.
pub(super) struct Guest {
    pub(super) worker: Arc<Worker>,
    pub(super) allowance: Arc<Allowance>,
    /// When the call that runs is late.
    pub(super) deadline: Instant,
    pub(super) voice: Arc<Voice>,
    pub(super) stderr: Stream,
    stdout: Stream,
    memory: Memory,
    wasi: WasiCtx,
    resources: ResourceTable,
}

impl Guest {
    /// A store for a new instance of `worker`, with nothing in it that the config does not grant.
    ///
    /// # Errors
    ///
    /// If a folder is granted that can't be opened.
    pub(super) fn store(
        engine: &Engine,
        worker: &Arc<Worker>,
        deadline: Instant,
    ) -> Result<Store<Guest>, FolderFault> {
        let limits = &worker.plugin.limits;
        let voice =
            Arc::new(Voice::new(&worker.plugin.name, &worker.service.name, limits.log_lines));
        let stdout = Stream::new(&voice, Loudness::Debug);
        let stderr = Stream::new(&voice, Loudness::Info);
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(limits.handles);
        let guest = Guest {
            wasi: wasi(worker, &stdout, &stderr)?,
            worker: Arc::clone(worker),
            allowance: Allowance::new(limits.cpu),
            deadline,
            voice,
            stderr,
            stdout,
            memory: Memory::new(limits.memory),
            resources,
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.memory);
        // A list may name the same bytes again and again: what crosses into Dormouse in one call is
        // bounded like the memory that it comes from.
        store.set_hostcall_fuel(limits.memory);
        let allowance = Arc::clone(&store.data().allowance);
        allowance.attach(&mut store);
        Ok(store)
    }

    /// Ends a call: nothing that it has said is kept back.
    pub(super) fn end_call(&self) {
        self.stdout.end_call();
        self.stderr.end_call();
        self.voice.end_call();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end_call();
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.resources }
    }
}

/// WASI for `worker`: clocks, random numbers, output to the log, and beyond these what is granted.
fn wasi(worker: &Arc<Worker>, stdout: &Stream, stderr: &Stream) -> Result<WasiCtx, FolderFault> {
    let plugin = &worker.plugin;
    let mut wasi = WasiCtx::builder();
    wasi.stdout(stdout.clone())
        .stderr(stderr.clone())
        .max_random_size(RANDOM_BYTES)
        .envs(&grants::environment(plugin));
    sockets::grant(&mut wasi, worker);
    for (folder, permissions) in grants::folders(plugin) {
        let opened = wasi.preopened_dir(&folder.path, &folder.name, permissions);
        opened.map_err(|error| {
            let error = error.downcast::<io::Error>().unwrap_or_else(io::Error::other);
            grants::folder_fault(folder, permissions, error)
        })?;
    }
    Ok(wasi.build())
}
