//! The wasmtime engine, and the thread that keeps its clock.
//!
//! Guests are compiled with checks of an *epoch*, a counter of the engine. Each time it grows, a
//! running guest stops for a moment: it lets other tasks of its thread run, and its CPU time is
//! looked at ([`super::allowance`]). So no guest, however it loops, keeps a thread for longer than
//! [`TICK`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::{Config, Engine, EngineWeak};

/// How often a guest that computes is interrupted.
const TICK: Duration = Duration::from_millis(10);

/// What a guest's own frames may take of its stack. A deeper recursion is a trap.
const GUEST_STACK: usize = 512 << 10;

/// The whole stack of a call. What the guest leaves is for the host functions that it calls.
const CALL_STACK: usize = 2 << 20;

/// Makes the engine, in Dormouse as in the child that compiles: what the one compiles, the other
/// loads. It compiles nothing; that is done for each component.
pub(super) fn new() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(CALL_STACK)
        // Some toolchains build on these: exceptions and GC types for languages with a GC, and the
        // async intrinsics that QuickJS components import even for a synchronous world.
        .wasm_gc(true)
        .wasm_exceptions(true)
        .wasm_component_model_async(true)
        // Components are allocated when they are needed: a pool would have to know beforehand how
        // many memories and tables they bring, and some bring dozens.
        .allocation_strategy(wasmtime::InstanceAllocationStrategy::OnDemand);
    Engine::new(&config)
}

/// The clock of an engine: a thread that ticks while calls run, and sleeps otherwise.
pub(super) struct Ticker {
    calls: Arc<Calls>,
    thread: Thread,
}

#[derive(Default)]
struct Calls {
    running: AtomicUsize,
    closed: AtomicBool,
}

impl Ticker {
    /// Starts the clock of `engine`. It ends with the ticker or with the engine.
    pub(super) fn start(engine: &Engine) -> io::Result<Ticker> {
        let calls = Arc::new(Calls::default());
        let thread = thread::Builder::new().name("plugin-clock".to_owned()).spawn({
            let (calls, engine) = (Arc::clone(&calls), engine.weak());
            move || tick(&calls, &engine)
        })?;
        Ok(Ticker { calls, thread: thread.thread().clone() })
    }

    /// Keeps the clock ticking as long as the returned guard lives.
    pub(super) fn run(&self) -> Ticking {
        if self.calls.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Ticking(Arc::clone(&self.calls))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.calls.closed.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// A call that runs: the clock ticks until it is dropped.
pub(super) struct Ticking(Arc<Calls>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

fn tick(calls: &Calls, engine: &EngineWeak) {
    while !calls.closed.load(Ordering::Acquire) {
        if calls.running.load(Ordering::Acquire) == 0 {
            // An `unpark` between the look and this line makes it return at once.
            thread::park();
            continue;
        }
        thread::sleep(TICK);
        let Some(engine) = engine.upgrade() else {
            return;
        };
        engine.increment_epoch();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn the_clock_thread_ends_with_its_ticker() {
        let engine = new().unwrap();
        let ticker = Ticker::start(&engine).unwrap();
        let calls = Arc::downgrade(&ticker.calls);
        drop(ticker);
        let mut rounds = 0;
        while calls.strong_count() > 0 {
            thread::sleep(TICK);
            rounds += 1;
            assert!(rounds < 1000, "the clock still runs after ten seconds");
        }
    }
}
