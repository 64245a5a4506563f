//! `cargo xtask test`: everything that must hold, on a machine with nothing but a Rust toolchain.

use crate::cargo::{self, announce, cargo};
use crate::{languages, model, plugins};

/// Runs all tests; `arguments` go to the test runner.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    cargo::ensure_wasm_target()?;
    announce("checking the embedded components");
    plugins::check()?;

    announce("testing the guest components");
    let mut guests = cargo(["test", "--locked", "--manifest-path", "plugins/Cargo.toml"]);
    guests.arg("--target-dir").arg(cargo::guest_target_folder());
    cargo::run(&mut guests, "testing the guest components")?;

    languages::build_and_test("rust")?;
    model::orders()?;

    // One profile for all of it, so that the compiler of plugins is built once.
    if !cargo::has_subcommand("nextest") {
        announce("testing Dormouse (cargo-nextest is not installed: with it this is quicker)");
        let mut tests = cargo(["test", "--profile", "ci", "--workspace"]);
        return cargo::run(tests.args(arguments), "testing Dormouse");
    }
    announce("testing the examples in the documentation");
    cargo::run(&mut cargo(["test", "--profile", "ci", "--workspace", "--doc"]), "testing them")?;
    announce("testing Dormouse");
    let mut tests = cargo(["nextest", "run", "--cargo-profile", "ci", "--workspace"]);
    cargo::run(tests.args(arguments), "testing Dormouse")
}
