//! A plugin that works for a service, and the store of one of its instances.
//!
//! The store is where all grants are applied: what a guest is given is what is put in here.

use std::sync::Arc;

use tokio::time::Instant;
use wasmtime::{Engine, Store};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::config::{self, Plugin};

use super::allowance::{Allowance, Memory};
use super::counters::{self, Counters};
use super::grants;
use super::http::{Hooks, Trust};
use super::process::Runner;
use super::state_store::Space;
use super::stdio::Stream;
use super::voice::{Loudness, Voice};

/// How many resources of WASI (streams, clocks, errors) an instance may hold at once.
const RESOURCES: usize = 4096;

/// How many handles an instance may hold at once, those of its own resources and tasks included. They
/// take Dormouse's memory, and none of the guest's.
const HANDLES: usize = 4 * RESOURCES;

/// How many bytes may cross into Dormouse in one call of a function, an answer included: far more than
/// there is to say. What is larger than its place is refused only when it is here.
const CROSSING: usize = 8 << 20;

/// How many random bytes a guest gets at once.
const RANDOM_BYTES: u64 = 64 << 10;

/// A plugin at work for one service: what all its calls share.
pub(super) struct Worker {
    pub(super) plugin: Plugin,
    pub(super) service: config::Service,
    /// The plugin's settings as JSON.
    pub(super) settings: String,
    pub(super) state: Arc<Space>,
    pub(super) warnings: Arc<grants::Warnings>,
    pub(super) counters: Arc<Counters>,
    pub(super) runner: Runner,
    /// Whose certificates it trusts.
    pub(super) trust: Arc<Trust>,
}

impl Worker {
    /// Whose fault it is, for people: the beginning of a sentence.
    pub(super) fn who(&self) -> String {
        counters::who(&self.plugin)
    }

    /// Tells the operator of a denial.
    pub(super) fn warn(&self, denial: &grants::Denial) {
        self.warnings.warn(&self.plugin, &self.service.name, denial);
    }
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
    http: WasiHttpCtx,
    requests: Hooks,
    resources: ResourceTable,
}

impl Guest {
    /// A store for a new instance of `worker`, with nothing in it that the config does not grant.
    pub(super) fn store(engine: &Engine, worker: &Arc<Worker>, deadline: Instant) -> Store<Guest> {
        let limits = &worker.plugin.limits;
        let voice =
            Arc::new(Voice::new(&worker.plugin.name, &worker.service.name, limits.log_lines));
        let stdout = Stream::new(&voice, Loudness::Debug);
        let stderr = Stream::new(&voice, Loudness::Info);
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(RESOURCES);
        let guest = Guest {
            wasi: wasi(&worker.plugin, &stdout, &stderr),
            http: Hooks::context(),
            requests: Hooks::new(worker, &voice),
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
        // A list may name the same bytes again and again: what crosses into Dormouse is no smaller than
        // the memory that it comes from by itself.
        store.set_hostcall_fuel(limits.memory.min(CROSSING));
        store.set_max_component_handles(HANDLES);
        let allowance = Arc::clone(&store.data().allowance);
        allowance.attach(&mut store);
        store
    }

    /// Ends a call: nothing that it has said is kept back.
    pub(super) fn end_call(&self) {
        self.stdout.end_call();
        self.stderr.end_call();
        self.worker.counters.left_out(self.voice.end_call());
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

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.requests,
            table: &mut self.resources,
            ctx: &mut self.http,
        }
    }
}

/// WASI for `plugin`: clocks, random numbers, output to the log, and beyond these what is granted.
/// No folder is opened, and no address may be connected to or looked up.
fn wasi(plugin: &Plugin, stdout: &Stream, stderr: &Stream) -> WasiCtx {
    WasiCtx::builder()
        .stdout(stdout.clone())
        .stderr(stderr.clone())
        .max_random_size(RANDOM_BYTES)
        .envs(&grants::environment(plugin))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}
