//! `cargo xtask fuzz`: random inputs for everything that parses, for as long as one likes.
//!
//! The targets stand beside the parsers, in files named `fuzz.rs`. `tests/fuzz` compiles them without
//! the WebAssembly compiler, and with a counter at each branch; libFuzzer looks for inputs that reach
//! new branches. All of it works with a stable compiler.
//!
//! What libFuzzer has found so far is kept in the target folder, and it begins there the next time. An
//! input that breaks a target is written to `crashes/` beside the target's corpus, where the tests
//! replay it until it is mended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cargo::{self, announce, cargo};

/// The crate that compiles the targets, from the folder of the project.
const CRATE: &str = "tests/fuzz";

/// What makes the compiler count branches and comparisons, as libFuzzer wants it.
const FLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "--cfg=fuzzing_libfuzzer",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
];

/// How long one input may take, in seconds.
const MAX_INPUT_SECONDS: u64 = 10;

/// How much memory a target may have, in MiB.
const MAX_MEMORY_MIB: u64 = 2048;

/// The target that is a test of the suite: components, which need the compiler.
const COMPONENTS: &str = "components";

/// So many components are tried in a minute, roughly.
const COMPONENTS_PER_MINUTE: u64 = 1000;

const USAGE: &str = "usage: cargo xtask fuzz [--minutes N] [TARGET...]";

/// Runs the targets that `arguments` name, or all, one after the other.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    let (minutes, wanted) = options(arguments)?;
    let is_wanted = |name: &str| wanted.is_empty() || wanted.contains(&name);
    let mut broken = Vec::new();
    if wanted != [COMPONENTS] {
        let program = build()?;
        let targets = targets(&program)?;
        let known = |name: &str| name == COMPONENTS || targets.iter().any(|t| t.name() == name);
        if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
            let names: Vec<&str> = targets.iter().map(Target::name).collect();
            return Err(format!(
                "there is no target `{unknown}`; there are {}, {COMPONENTS}",
                names.join(", ")
            ));
        }
        for target in targets.iter().filter(|target| is_wanted(target.name())) {
            announce(&format!("fuzzing {} for {minutes} min", target.name()));
            if let Err(error) = target.fuzz(&program, minutes) {
                eprintln!("error: {error}");
                broken.push(target.name().to_owned());
            }
        }
    }
    if is_wanted(COMPONENTS) && components(minutes).is_err() {
        broken.push(COMPONENTS.to_owned());
    }
    match broken.as_slice() {
        [] => Ok(()),
        broken => Err(format!("broken: {}; the inputs stand above", broken.join(", "))),
    }
}

fn options<'a>(arguments: &[&'a str]) -> Result<(u64, Vec<&'a str>), String> {
    match arguments {
        ["--minutes", minutes, targets @ ..] => {
            let number = minutes.parse().ok().filter(|minutes| *minutes > 0);
            let minutes = number.ok_or_else(|| format!("`{minutes}` is no number of minutes"))?;
            Ok((minutes, targets.to_vec()))
        }
        targets if targets.iter().any(|target| target.starts_with('-')) => Err(USAGE.to_owned()),
        targets => Ok((15, targets.to_vec())),
    }
}

/// Builds the targets, and returns the program that has them all.
fn build() -> Result<PathBuf, String> {
    announce("building the fuzz targets (two minutes the first time)");
    let compiler = cargo::compiler()?;
    let host = compiler.rsplit(' ').next().unwrap_or_default();
    let manifest = format!("{CRATE}/Cargo.toml");
    let mut build = cargo(["test", "--locked", "--no-run", "--lib", "--manifest-path", &manifest]);
    // With a target of its own, the flags are not for build scripts and macros.
    build.args(["--target", host, "--target-dir"]).arg(target_folder());
    build.args(["--message-format", "json-render-diagnostics"]);
    build.env("RUSTFLAGS", FLAGS.join(" "));
    let told = output(&mut build, "building the fuzz targets")?;
    let found = told.lines().rev().find_map(|line| field(line, "executable"));
    found.map(PathBuf::from).ok_or_else(|| "cargo did not say what it built".to_owned())
}

/// A target: a test of that program.
struct Target {
    /// The whole name of the test.
    test: String,
    /// Where its corpus is.
    folder: PathBuf,
}

/// The targets, as bolero tells them.
fn targets(program: &Path) -> Result<Vec<Target>, String> {
    let mut list = command(program);
    list.args(["fuzz::", "--nocapture", "--test-threads=1"]).env("CARGO_BOLERO_SELECT", "all");
    let told = output(list.stderr(Stdio::null()), "listing the fuzz targets")?;
    let target = |line: &str| {
        let folder = PathBuf::from(field(line, "work_dir")?);
        Some(Target { test: field(line, "test_name")?, folder })
    };
    Ok(told.lines().filter_map(target).collect())
}

impl Target {
    fn name(&self) -> &str {
        self.test.rsplit("::").next().unwrap_or(&self.test)
    }

    fn fuzz(&self, program: &Path, minutes: u64) -> Result<(), String> {
        let found = target_folder().join("corpus").join(self.name());
        let (corpus, crashes) = (self.folder.join("corpus"), self.folder.join("crashes"));
        for folder in [&found, &corpus, &crashes] {
            let made = fs::create_dir_all(folder);
            made.map_err(|error| format!("can't make {}: {error}", folder.display()))?;
        }
        let arguments = [
            found.display().to_string(),
            corpus.display().to_string(),
            format!("-artifact_prefix={}/", crashes.display()),
            format!("-max_total_time={}", minutes * 60),
            format!("-timeout={MAX_INPUT_SECONDS}"),
            format!("-rss_limit_mb={MAX_MEMORY_MIB}"),
            "-print_final_stats=1".to_owned(),
        ];
        let mut fuzz = command(program);
        fuzz.args(["--exact", &self.test, "--nocapture"]);
        // bolero splits it at each space.
        fuzz.env("BOLERO_LIBFUZZER_ARGS", arguments.join(" "));
        let fuzzed = cargo::run(&mut fuzz, &format!("fuzzing {}", self.name()));
        // Only the folder of a target that is broken stays.
        let _ = fs::remove_dir(&crashes);
        fuzzed
    }
}

/// Tries so many components as fit into the time.
fn components(minutes: u64) -> Result<(), String> {
    let number = minutes * COMPONENTS_PER_MINUTE;
    announce(&format!("trying {number} random components"));
    let mut tests = cargo(["test", "--locked", "--profile", "ci", "--package", "dormouse"]);
    tests.args(["--test", "suite", "--", "--exact", "components::random_components"]);
    tests.args(["--ignored", "--nocapture"]).env("DORMOUSE_COMPONENTS", number.to_string());
    cargo::run(&mut tests, "trying random components")
}

/// What a command prints.
fn output(command: &mut Command, what: &str) -> Result<String, String> {
    let output = command.stdout(Stdio::piped()).spawn().and_then(Child::wait_with_output);
    let output = output.map_err(|error| format!("{what} failed: {error}"))?;
    if !output.status.success() {
        return Err(format!("{what} failed ({})", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where all of it is built and kept.
fn target_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    cargo::root().join(target).join("fuzz")
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(cargo::root().join(CRATE));
    command
}

/// The text of a field in a line of JSON, if there are no escapes in it.
fn field(line: &str, name: &str) -> Option<String> {
    let (_, value) = line.split_once(&format!("\"{name}\":\""))?;
    value.split_once('"').map(|(value, _)| value.to_owned())
}
