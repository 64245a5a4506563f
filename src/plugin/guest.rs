//! A plugin that works for a service, and the store of one of its instances.
//!
//! The store is where all grants are applied: what a guest is given is what is put in here.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime::{Engine, Store};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::config::{self, Plugin};

use super::allowance::Allowance;
use super::children::Children;
use super::counters::{self, Counters};
use super::grants::{self, Denial};
use super::http::Hooks;
use super::memory::{Memory, MemoryLimits};
use super::process::{Runner, Scope};
use super::resources::Resources;
use super::sockets;
use super::state_store::Space;
use super::stdio::Stream;
use super::trial::Recorder;
use super::voice::{Loudness, Voice};

/// How many bytes may cross into Dormouse in one call of a function, an answer included: far more than
/// there is to say. What is larger than its place is refused only when it is here.
pub(super) const CROSSING: usize = 1 << 20;

/// How many handles an instance may have for each that its plugin may hold: a component's own resources
/// and tasks have some as well. They take Dormouse's memory, and none of the guest's.
const HANDLES: usize = 4;

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
    pub(super) counters: Arc<Counters>,
    pub(super) runner: Runner,
    /// What all services share that have this plugin.
    pub(super) resources: Arc<Resources>,
    /// One permit for the call that computes; see [`Allowance`].
    pub(super) turns: Arc<Semaphore>,
    /// Who takes down what the calls do, on an author's bench.
    pub(super) recorder: Option<Arc<Recorder>>,
}

impl Worker {
    /// Whose fault it is, for people: the beginning of a sentence.
    pub(super) fn who(&self) -> String {
        counters::who(&self.plugin)
    }

    /// Tells the operator about a denial. The answer is the text of the error that the guest gets.
    pub(super) fn deny(&self, denial: &Denial) -> String {
        self.warn(denial);
        denial.for_guest()
    }

    /// Tells the operator of a denial.
    pub(super) fn warn(&self, denial: &Denial) {
        self.warnings.warn(&self.plugin, &self.service.name, denial);
    }
}

/// What belongs to one instance.
pub(super) struct Guest {
    pub(super) worker: Arc<Worker>,
    pub(super) allowance: Arc<Allowance>,
    /// When the call that runs is late.
    pub(super) deadline: Instant,
    /// The commands of the call that runs.
    pub(super) scope: Scope,
    /// The mark of the call that runs, for its commands; empty if it has none.
    pub(super) mark: String,
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
        let rate = &worker.resources.log_rate;
        let (plugin, service) = (&worker.plugin.name, &worker.service.name);
        let voice = Voice::new(plugin, service, limits.log_lines, rate);
        let voice = Arc::new(voice.heard_by(worker.recorder.as_ref()));
        let stdout = Stream::new(&voice, Loudness::Debug);
        let stderr = Stream::new(&voice, Loudness::Info);
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(limits.handles);
        let guest = Guest {
            wasi: wasi(worker, &stdout, &stderr),
            http: Hooks::context(),
            requests: Hooks::new(worker, &voice),
            worker: Arc::clone(worker),
            allowance: Allowance::new(limits.cpu, &worker.turns),
            deadline,
            scope: Scope::default(),
            mark: String::new(),
            voice,
            stderr,
            stdout,
            memory: Memory::new(
                MemoryLimits {
                    bytes: limits.memory,
                    memories: limits.memories,
                    tables: limits.tables,
                    instances: limits.instances,
                },
                &worker.resources.memories,
            ),
            resources,
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.memory);
        // The guest's memory is no bound by itself: a list may name the same bytes again and again.
        store.set_hostcall_fuel(CROSSING);
        store.set_max_component_handles(limits.handles.saturating_mul(HANDLES));
        let allowance = Arc::clone(&store.data().allowance);
        allowance.attach(&mut store);
        store
    }

    /// The memory of the instance, in bytes.
    pub(super) fn memory_used(&self) -> usize {
        self.memory.used()
    }

    /// Ends a call: nothing that it has said is kept back.
    pub(super) fn end_call(&self) {
        self.stdout.end_call();
        self.stderr.end_call();
        self.worker.counters.left_out(self.voice.end_call());
        if let Some(recorder) = &self.worker.recorder {
            recorder.measure(self.allowance.used(), self.memory.used());
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end_call();
        let Worker { plugin, resources, .. } = &*self.worker;
        if !(plugin.allow.read.is_empty() && plugin.allow.write.is_empty()) {
            // Its open files: closing one may hang. The memory of the instance is freed here.
            resources.threads.drop_blocking(std::mem::take(&mut self.resources));
        }
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

/// WASI for `worker`: clocks, random numbers, output to the log, and beyond these what is granted.
fn wasi(worker: &Arc<Worker>, stdout: &Stream, stderr: &Stream) -> WasiCtx {
    let mut wasi = WasiCtx::builder();
    wasi.stdout(stdout.clone())
        .stderr(stderr.clone())
        .max_random_size(RANDOM_BYTES)
        .envs(&grants::environment(&worker.plugin));
    sockets::grant(&mut wasi, worker);
    let mut wasi = wasi.build();
    wasi.filesystem().clone_from(&worker.resources.folders);
    wasi
}
