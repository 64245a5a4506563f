//! Compiling: in a process of its own, within limits, and beside what else is loaded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dormouse::config::CompileLimits;
use dormouse::plugin::{CompileError, Compiler, Host, LoadError, LoadFault, inspect_by};

use crate::support::bomb::bomb;
use crate::support::command::Folder;
use crate::support::guest::Guest;
use crate::support::stage::{Stage, compiler};

/// More than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// Limits that an ordinary component is far from.
fn limits() -> CompileLimits {
    CompileLimits { cpu: Duration::from_secs(20), memory: 2 << 30 }
}

async fn error_of(stage: &Stage, compiler: Compiler) -> LoadError {
    let host = Host::compiled_by(compiler, &stage.config).unwrap();
    let loaded = host.deciders(&stage.config, &stage.config.services[0]).await;
    loaded.err().expect("it should not load")
}

/// The message, and the error of the compiler.
async fn compile_error(stage: &Stage, compiler: Compiler) -> (String, CompileError) {
    let error = error_of(stage, compiler).await;
    let message = stage.without_paths(&error.to_string());
    match error.fault {
        LoadFault::Compile(error) => (message, error),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_component_that_takes_too_long_to_compile_is_given_up() {
    let stage = Stage::new(&bomb());
    let limits = CompileLimits { cpu: Duration::from_secs(1), ..limits() };
    let began = Instant::now();
    let (message, error) = compile_error(&stage, compiler(limits)).await;
    assert!(began.elapsed() < LONG);
    assert!(matches!(error, CompileError::Cpu(_) | CompileError::Time(_)), "{error:?}");
    if let CompileError::Cpu(_) = error {
        insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: compiling it takes more than 1s of CPU time. Ask its author for a smaller one; if you trust it, raise `cpu` under `[compile]`");
    }
}

#[tokio::test]
async fn a_component_that_takes_too_much_memory_to_compile_is_given_up() {
    let stage = Stage::new(&bomb());
    let limits = CompileLimits { memory: 64 << 20, ..limits() };
    let (message, error) = compile_error(&stage, compiler(limits)).await;
    assert!(matches!(error, CompileError::Memory(_)), "{error:?}");
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: compiling it takes more than 64.0 MiB of memory. Ask its author for a smaller one; if you trust it, raise `memory` under `[compile]`");
}

#[tokio::test]
async fn inspecting_has_the_same_limits() {
    let stage = Stage::new(&bomb());
    let limits = CompileLimits { memory: 64 << 20, ..limits() };
    let error = inspect_by(compiler(limits), &stage.file()).await.unwrap_err().to_string();
    assert!(error.contains("takes more than 64.0 MiB of memory"), "{error}");
}

#[tokio::test]
async fn a_component_that_the_compiler_refuses_is_reported_with_its_reason() {
    let bytes = Guest::new().build();
    let stage = Stage::new(&bytes[..bytes.len() / 2]);
    let error = error_of(&stage, compiler(limits())).await;
    assert!(matches!(error.fault, LoadFault::Invalid(_)), "{error}");
    assert!(error.to_string().contains("unexpected end"), "{error}");
}

#[tokio::test]
async fn a_compiler_that_cannot_be_started_is_an_error_of_loading() {
    let stage = Stage::new(&Guest::new().build());
    let (message, error) =
        compile_error(&stage, Compiler::at("/nonexistent/dormouse", limits())).await;
    assert!(matches!(error, CompileError::Start(_)), "{error:?}");
    insta::assert_snapshot!(message, @"the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: its compiler, which is Dormouse itself in another process, can't be started: No such file or directory (os error 2). Is the limit of processes reached (`TasksMax=` under systemd, `ulimit -u`)?");
}

/// A program in place of the compiler.
fn script(folder: &Path, body: &str) -> PathBuf {
    let file = folder.join("compiler.sh");
    fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[tokio::test]
async fn output_without_end_is_cut_off() {
    let stage = Stage::new(&Guest::new().build());
    let program = script(stage.folder.path(), "exec /bin/cat /dev/zero");
    let limits = CompileLimits { memory: 1 << 20, ..limits() };
    let (_, error) = compile_error(&stage, Compiler::at(program, limits)).await;
    assert!(matches!(error, CompileError::Memory(_)), "{error:?}");
}

#[tokio::test]
async fn a_compiler_that_crashes_is_reported_with_its_last_words() {
    let stage = Stage::new(&Guest::new().build());
    let program = script(stage.folder.path(), "echo first >&2; echo last >&2; exit 9");
    let (message, _) = compile_error(&stage, Compiler::at(program, limits())).await;
    assert!(message.contains("its compiler crashed (exit status: 9: last)"), "{message}");
}

#[tokio::test]
async fn a_compiler_that_hangs_is_given_up_and_killed() {
    let stage = Stage::new(&Guest::new().build());
    let pid = stage.folder.path().join("pid");
    let body = format!("echo $$ > {}; exec /bin/sleep 600", pid.display());
    let program = script(stage.folder.path(), &body);
    let limits = CompileLimits { cpu: Duration::from_millis(250), ..limits() };
    let (_, error) = compile_error(&stage, Compiler::at(program, limits)).await;
    assert!(matches!(error, CompileError::Time(_)), "{error:?}");
    is_gone(&pid).await;
}

#[tokio::test]
async fn a_load_that_is_given_up_kills_its_compiler() {
    let stage = Stage::new(&Guest::new().build());
    let pid = stage.folder.path().join("pid");
    let body = format!("echo $$ > {}; exec /bin/sleep 600", pid.display());
    let program = script(stage.folder.path(), &body);
    let host = Host::compiled_by(Compiler::at(program, limits()), &stage.config).unwrap();
    let is_written = || fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'));
    tokio::select! {
        _ = host.load(&stage.config.plugins[0]) => panic!("it hangs"),
        () = until(is_written) => {}
    }
    is_gone(&pid).await;
}

async fn is_gone(pid: &Path) {
    let pid = fs::read_to_string(pid).unwrap();
    let status = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    // A zombie is gone as far as it matters.
    let gone = || fs::read_to_string(&status).map_or(true, |text| text.contains(") Z "));
    until(gone).await;
}

async fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to be");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_child_has_no_environment_and_its_limits() {
    let stage = Stage::new(&Guest::new().build());
    let seen = stage.folder.path().join("seen");
    let body = format!("(echo \"$@\"; /usr/bin/env) > {}; exit 9", seen.display());
    let program = script(stage.folder.path(), &body);
    let _ = compile_error(&stage, Compiler::at(program, limits())).await;
    let seen = fs::read_to_string(seen).unwrap();
    let (arguments, environment) = seen.split_once('\n').unwrap();
    let me = std::process::id();
    assert_eq!(arguments, format!("compile-component 20 {} {me}", 2_u64 << 30));
    let names: Vec<&str> = environment
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name))
        // What the shell adds by itself.
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    assert!(
        names.iter().all(|name| ["RAYON_NUM_THREADS", "MALLOC_ARENA_MAX"].contains(name)),
        "{names:?}"
    );
}

/// Ends a Dormouse that a test has started.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_child_has_its_limits_and_ends_with_its_dormouse_however_that_ends() {
    let folder = Folder::new();
    folder.write("bomb.wasm", bomb());
    let command = std::process::Command::new(env!("CARGO_BIN_EXE_dormouse"))
        .args(["plugin", "inspect", "bomb.wasm"])
        .current_dir(folder.path())
        .env("SECRET", "1")
        .spawn();
    let mut dormouse = Running(command.unwrap());
    until(|| child_of(dormouse.0.id()).is_some()).await;
    let child = child_of(dormouse.0.id()).unwrap();
    let read = |name: &str| fs::read_to_string(child.join(name)).unwrap();
    // It limits itself before it reads the component.
    until(|| read("limits").contains("Max cpu time              300")).await;
    let limits = read("limits");
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    until(|| read("limits").contains(&(2_u64 << 30).to_string())).await;
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max open files"), "32");
    until(|| read("stat").rsplit(") ").next().unwrap().split(' ').nth(16) == Some("10")).await;
    assert!(!read("environ").contains("SECRET"));
    dormouse.0.kill().unwrap();
    dormouse.0.wait().unwrap();
    let gone = || fs::read_to_string(child.join("stat")).map_or(true, |text| text.contains(") Z "));
    until(gone).await;
}

/// The child of a Dormouse that compiles, in `/proc`.
fn child_of(pid: u32) -> Option<PathBuf> {
    let pid = pid.to_string();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut paths = processes.map(|process| process.path());
    paths.find(|path| {
        let line = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split('\0').collect();
        words.get(1) == Some(&"compile-component") && words.get(4) == Some(&pid.as_str())
    })
}

#[tokio::test]
async fn a_file_that_compiles_for_ever_holds_up_no_other() {
    let mut stage = Stage::new(&Guest::new().build());
    let other = stage.folder.path().join("q.wasm");
    fs::write(
        &other,
        Guest::new().readiness("(call $ready_at (i32.const 0) (i32.const 0))").build(),
    )
    .unwrap();
    let mut second = crate::support::stage::plugin("q", &other);
    second.limits = stage.plugin().limits.clone();
    stage.config.plugins.push(second);
    let host = stage.host();
    for plugin in &stage.config.plugins {
        host.load(plugin).await.unwrap();
    }
    fs::write(stage.file(), bomb()).unwrap();
    let compilations = host.compilations();
    let gate = "(call $reply (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))";
    let taken = async {
        until(|| children() == 1).await;
        fs::write(&other, Guest::new().gate(gate).build()).unwrap();
        until(|| host.compilations().compiled > compilations.compiled).await;
        assert_eq!(children(), 1, "the first one is compiled still");
    };
    tokio::select! {
        () = host.watch() => {}
        () = taken => {}
    }
}

/// How many children of this process compile: one, or none.
fn children() -> usize {
    usize::from(child_of(std::process::id()).is_some())
}
