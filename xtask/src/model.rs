//! `cargo xtask orders` and `cargo xtask mutants`: what is proven of the lifecycle, the door and the
//! grants alone.
//!
//! They use `tests/model` and `tests/grants`, crates that compile these files without the rest of
//! Dormouse, in seconds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo::{self, announce, cargo};

/// The crate of the model, from the folder of the project.
const MODEL: &str = "tests/model";

/// A part of Dormouse whose mutants are tried.
struct Part {
    /// The crate that compiles it, from the folder of the project.
    package: &'static str,
    /// The sources that it compiles, from the folder of the project, and where it has them.
    sources: &'static [(&'static str, &'static str)],
    /// Its root, if it is not that of the crate.
    root: Option<&'static str>,
    /// Only these files are changed, if there are any.
    files: &'static [&'static str],
    /// Tests that a mutant is not shown.
    skipped: &'static [&'static str],
}

const LIFECYCLE: Part = Part {
    package: MODEL,
    sources: &[("src/lifecycle", "lifecycle"), ("src/service/door.rs", "door.rs")],
    root: Some("#![allow(dead_code)]\nmod door;\nmod lifecycle;\n"),
    files: &[],
    // They take longest, and visit the same code as the other walks.
    skipped: &["with_a_gate", "wake_budget", "idleness_is_asked", "believed_without"],
};

const GRANTS: Part = Part {
    package: "tests/grants",
    sources: &[
        ("src/text.rs", "text.rs"),
        ("src/config", "config"),
        ("src/plugin/grants/commands.rs", "plugin/grants/commands.rs"),
        ("src/plugin/grants/denial.rs", "plugin/grants/denial.rs"),
        ("src/plugin/grants/for_tests.rs", "plugin/grants/for_tests.rs"),
        ("src/plugin/grants/network.rs", "plugin/grants/network.rs"),
        ("src/plugin/http/address.rs", "plugin/http/address.rs"),
        ("src/plugin/http/body_error.rs", "plugin/http/body_error.rs"),
        ("src/plugin/http/route.rs", "plugin/http/route.rs"),
    ],
    root: None,
    // Those whose unit tests stand beside them.
    files: &[
        "src/plugin/**/*.rs",
        "src/config/http_grant.rs",
        "src/config/http_path.rs",
        "src/config/reach.rs",
    ],
    skipped: &[],
};

/// How long the tests of one mutant may take, in seconds. One that makes the walk endless counts as
/// caught.
const MAX_TEST_SECONDS: &str = "300";

/// Tries the orders in which clients and the driver can meet at the door.
pub fn orders() -> Result<(), String> {
    announce("trying the orders of threads at the door");
    let manifest = format!("{MODEL}/Cargo.toml");
    let mut tests = cargo(["test", "--locked", "--manifest-path", &manifest]);
    tests.arg("--target-dir").arg(target_folder("orders"));
    tests.env("RUSTFLAGS", "--cfg shuttle").arg("orders");
    cargo::run(&mut tests, "trying the orders")
}

/// Changes a part in every way that `cargo mutants` knows, and sees whether its tests notice: the
/// lifecycle and the door, or with `grants` as the first argument what a plugin may reach. Further
/// `arguments` go to `cargo mutants`.
pub fn mutants(arguments: &[&str]) -> Result<(), String> {
    if !cargo::has_subcommand("mutants") {
        return Err("`cargo mutants` is missing: `cargo install cargo-mutants --locked`".to_owned());
    }
    let (part, arguments) = match arguments {
        ["grants", rest @ ..] => (&GRANTS, rest),
        all => (&LIFECYCLE, all),
    };
    let folder = target_folder("mutants");
    let package = folder.join("package");
    announce(&format!("copying the model to {}", package.display()));
    copy_part(part, &package).map_err(|error| format!("the model can't be copied: {error}"))?;
    let mut mutants = cargo(["mutants", "--no-shuffle", "--timeout", MAX_TEST_SECONDS]);
    mutants.arg("--output").arg(&folder);
    mutants.args(part.files.iter().flat_map(|file| ["--file", file]));
    mutants.args(arguments).args(["--", "--lib", "--"]);
    mutants.args(part.skipped.iter().flat_map(|test| ["--skip", test]));
    cargo::run(mutants.current_dir(&package), "the tests missed mutants, or running them")
}

/// `cargo mutants` changes only files below the manifest, so the part gets them there.
fn copy_part(part: &Part, package: &Path) -> std::io::Result<()> {
    if package.exists() {
        fs::remove_dir_all(package)?;
    }
    let template = cargo::root().join(part.package);
    fs::create_dir_all(package.join("src"))?;
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(template.join(file), package.join(file))?;
    }
    match part.root {
        Some(root) => fs::write(package.join("src/lib.rs"), root)?,
        None => copy(&template.join("src/lib.rs"), &package.join("src/lib.rs"))?,
    }
    for (from, to) in part.sources {
        let to = package.join("src").join(to);
        fs::create_dir_all(to.parent().unwrap_or(package))?;
        copy(&cargo::root().join(from), &to)?;
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
