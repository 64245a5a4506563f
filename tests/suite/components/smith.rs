//! Makes a component of a seed: `wasm-smith` writes the functions of a plugin.

use arbitrary::{Arbitrary as _, Unstructured};
use wasm_smith::{Config, Module};

use crate::support::guest::Guest;

/// How many random bytes a module is made of.
const BYTES: usize = 4 << 10;

/// The file of a plugin: always the same one for the same seed. It is a component whose functions are
/// random, or, for each eighth seed, a damaged file or no component at all.
pub(super) fn component(seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let guest = guest();
    let module = module(&guest, seed, &random.bytes(BYTES));
    match seed % 8 {
        6 => module,
        7 => {
            let mut component = guest.build_of(module).unwrap_or_else(|| guest.build());
            for _ in 0..1 + random.next() % 8 {
                let at = random.next() as usize % component.len();
                component[at] = random.next() as u8;
            }
            component
        }
        // A module that wit-component refuses is tried as it is.
        _ => guest.build_of(module.clone()).unwrap_or(module),
    }
}

/// Imports and exports of each module. The bodies are replaced.
fn guest() -> Guest {
    let body = "(unreachable)";
    let log = "dormouse:plugin/log@0.1.0";
    let state = "dormouse:plugin/state@0.1.0";
    let settings = "dormouse:plugin/settings@0.1.0";
    let children = "dormouse:plugin/children@0.1.0";
    Guest::bare()
        .import(log, "write", "log", "(param i32 i32 i32)")
        .import(settings, "get", "settings", "(param i32)")
        .import(state, "get", "get", "(param i32 i32 i32)")
        .import(state, "set", "set", "(param i32 i32 i32 i32 i32)")
        .import(children, "signal", "signal", "(param i32 i32 i32 i32)")
        .runs("true", &[], None)
        .lifecycle(body, body)
        .readiness(body)
        .gate(body)
        .idleness(body)
}

fn module(guest: &Guest, seed: u64, bytes: &[u8]) -> Vec<u8> {
    let mut input = Unstructured::new(bytes);
    let mut config = Config::arbitrary(&mut input).expect("enough bytes for a config");
    config.module_shape = Some(guest.core_module());
    config.max_instructions = 400;
    config.max_memory32_bytes = 1 << 30;
    if seed.is_multiple_of(2) {
        // What every engine has, so that most of these load.
        config.threads_enabled = false;
        config.exceptions_enabled = false;
        config.memory64_enabled = false;
        config.gc_enabled = false;
        config.relaxed_simd_enabled = false;
        config.tail_call_enabled = false;
        (config.max_memories, config.max_tables) = (2, 4);
    }
    // The rest of the module takes what is left of the bytes.
    Module::new(config, &mut input).expect("a module of any bytes").to_bytes()
}

/// Numbers that depend on a seed alone (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let words = length.div_ceil(8);
        let bytes = (0..words).flat_map(|_| self.next().to_le_bytes());
        bytes.take(length).collect()
    }
}
