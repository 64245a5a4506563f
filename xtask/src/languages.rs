//! `cargo xtask plugins LANG`: the example plugin in other languages.
//!
//! What is run is what the README of the language's folder says, and nothing else: first its
//! section *Tools*, once, then *Build*. Then the conformance test holds its conversations with the
//! component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{self, announce};
use crate::{files, readme};

/// The languages that there are.
pub const LANGUAGES: [&str; 5] = ["rust", "c", "go", "python", "javascript"];

/// What comes of a build, in the folder of its language.
const COMPONENT: &str = "build/porter.wasm";

/// The commands of *Tools* that have been run, in the folder of their language.
const TOOLS_DONE: &str = "build/tools.done";

/// Without `sudo`, as in containers, commands that want it are run as they are: if they may not do
/// what they do, they say so.
const SUDO: &str = "command -v sudo >/dev/null || sudo() { \"$@\"; }\n";

/// Builds and tests the plugin in these languages; `all` stands for all of them.
pub fn run(names: &[&str]) -> Result<(), String> {
    let names = if names == ["all"] { &LANGUAGES } else { names };
    if let Some(name) = names.iter().find(|name| !LANGUAGES.contains(name)) {
        let known = LANGUAGES.join("`, `");
        return Err(format!("there is no plugin in `{name}`: there are `{known}`, and `all`"));
    }
    for name in names {
        install_tools(name).map_err(|problem| format!("the plugin in {name}: {problem}"))?;
        build_and_test(name)?;
    }
    Ok(())
}

/// Builds and tests the plugin in a language whose tools are there.
pub fn build_and_test(name: &str) -> Result<(), String> {
    let component = build(name).map_err(|problem| format!("the plugin in {name}: {problem}"))?;
    test(name, &component)
}

fn install_tools(name: &str) -> Result<(), String> {
    let folder = folder(name);
    let tools = commands(&folder, "Tools")?;
    let done = folder.join(TOOLS_DONE);
    if fs::read_to_string(&done).is_ok_and(|done| done == tools) {
        return Ok(());
    }
    announce(&format!("installing the tools for {name}"));
    shell(&folder, &tools, "installing the tools")?;
    files::create_folder(&folder.join("build"))?;
    files::write(&done, tools.as_bytes())
}

fn build(name: &str) -> Result<PathBuf, String> {
    announce(&format!("building the plugin in {name}"));
    let folder = folder(name);
    let component = folder.join(COMPONENT);
    files::remove(&component)?;
    shell(&folder, &commands(&folder, "Build")?, "building it")?;
    let size = files::read(&component)?.len();
    announce(&format!("the plugin in {name} has {size} bytes"));
    Ok(component)
}

fn folder(name: &str) -> PathBuf {
    cargo::root().join("examples/plugins").join(name)
}

fn commands(folder: &Path, title: &str) -> Result<String, String> {
    let readme = files::read(&folder.join("README.md"))?;
    readme::commands(&String::from_utf8_lossy(&readme), title)
}

fn test(name: &str, component: &Path) -> Result<(), String> {
    announce(&format!("testing the plugin in {name}"));
    let mut tests = cargo::cargo(["test", "--profile", "ci", "--workspace"]);
    // One after the other: one of them looks at the memory of the process, another at its log.
    tests.args(["--test", "conformance", "--", "--test-threads=1"]);
    cargo::run(tests.env("DORMOUSE_PLUGIN", component), &format!("testing the plugin in {name}"))
}

/// Runs commands as a person would paste them, but ends at the first that fails, and shows each.
fn shell(folder: &Path, commands: &str, what: &str) -> Result<(), String> {
    let script = format!("{SUDO}set -eux\n{commands}");
    cargo::run(Command::new("sh").args(["-c", &script]).current_dir(folder), what)
}
