//! `cargo xtask orders` and `cargo xtask mutants`: what is proven of the lifecycle and the door alone.
//!
//! Both use `tests/model`, a crate that compiles these files without the rest of Dormouse, in seconds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo::{self, announce, cargo};

/// The crate of the model, from the folder of the project.
const MODEL: &str = "tests/model";

/// The sources that `tests/model` compiles, from the folder of the project.
const SOURCES: [&str; 2] = ["src/lifecycle", "src/service/door.rs"];

/// How long the tests of one mutant may take, in seconds. One that makes the walk endless counts as
/// caught.
const MAX_TEST_SECONDS: &str = "300";

/// The walks that a mutant is not shown: they take longest, and visit the same code.
const SKIPPED_WALKS: [&str; 4] =
    ["with_a_gate", "wake_budget", "idleness_is_asked", "believed_without"];

/// Tries the orders in which clients and the driver can meet at the door.
pub fn orders() -> Result<(), String> {
    announce("trying the orders of threads at the door");
    let manifest = format!("{MODEL}/Cargo.toml");
    let mut tests = cargo(["test", "--locked", "--manifest-path", &manifest]);
    tests.arg("--target-dir").arg(target_folder("orders"));
    tests.env("RUSTFLAGS", "--cfg shuttle").arg("orders");
    cargo::run(&mut tests, "trying the orders")
}

/// Changes the lifecycle and the door in every way that `cargo mutants` knows, and sees whether their
/// tests notice. `arguments` go to `cargo mutants`.
pub fn mutants(arguments: &[&str]) -> Result<(), String> {
    if !cargo::has_subcommand("mutants") {
        return Err("`cargo mutants` is missing: `cargo install cargo-mutants --locked`".to_owned());
    }
    let folder = target_folder("mutants");
    let package = folder.join("package");
    announce(&format!("copying the model to {}", package.display()));
    copy_model(&package).map_err(|error| format!("the model can't be copied: {error}"))?;
    let mut mutants = cargo(["mutants", "--no-shuffle", "--timeout", MAX_TEST_SECONDS]);
    mutants.arg("--output").arg(&folder).args(arguments).args(["--", "--lib", "--"]);
    mutants.args(SKIPPED_WALKS.iter().flat_map(|walk| ["--skip", walk]));
    cargo::run(mutants.current_dir(&package), "the tests missed mutants, or running them")
}

/// `cargo mutants` changes only files below the manifest, so the model gets them there.
fn copy_model(package: &Path) -> std::io::Result<()> {
    if package.exists() {
        fs::remove_dir_all(package)?;
    }
    let model = cargo::root().join(MODEL);
    fs::create_dir_all(package.join("src"))?;
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(model.join(file), package.join(file))?;
    }
    fs::write(package.join("src/lib.rs"), "#![allow(dead_code)]\nmod door;\nmod lifecycle;\n")?;
    for source in SOURCES {
        let from = cargo::root().join(source);
        copy(&from, &package.join("src").join(from.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// A folder for what is built here.
fn target_folder(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    cargo::root().join(target).join(name)
}
