//! From a file to a component that can be instantiated.
//!
//! Reading and compiling take up to seconds, so this belongs on a blocking thread and never on a
//! client's way.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::config::PluginSource;

use super::builtin;
use super::error::LoadFault;
use super::exports::Loaded;
use super::guest::Guest;

/// What WebAssembly begins with.
const MAGIC: &[u8] = b"\0asm";
/// What comes then: the version, and whether it is a module or a component.
const CORE_MODULE: &[u8] = &[1, 0, 0, 0];

/// How wasmtime says that the kernel refuses memory for code.
const CODE_MEMORY: &str = "memory executable";

/// Reads, compiles (or takes from the cache) and links the component of `source`.
pub(super) fn load(linker: &Linker<Guest>, source: &PluginSource) -> Result<Loaded, LoadFault> {
    let component = match source {
        PluginSource::Builtin(name) => {
            let bytes = builtin::component(name);
            let bytes = bytes.ok_or_else(|| LoadFault::NoBuiltin(builtin::names()))?;
            compile(linker.engine(), bytes)?
        }
        PluginSource::File(file) => compile(linker.engine(), &read(file)?)?,
    };
    Loaded::new(linker, &component)
}

/// The bytes of `file`.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, LoadFault> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => LoadFault::Missing,
        _ => LoadFault::Unreadable(error),
    };
    // Before it is opened: opening a pipe would wait for somebody to write.
    let kind = fs::metadata(file).map_err(unreadable)?.file_type();
    if kind.is_dir() {
        return Err(LoadFault::NoFile("a folder"));
    }
    if kind.is_fifo() || kind.is_socket() {
        return Err(LoadFault::NoFile("a pipe or a socket"));
    }
    if !kind.is_file() {
        return Err(LoadFault::NoFile("a device"));
    }
    fs::read(file).map_err(unreadable)
}

/// Compiles the component in `bytes`.
pub(super) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadFault> {
    check_format(bytes)?;
    Component::from_binary(engine, bytes).map_err(|error| {
        let reason = LoadFault::reason(&error);
        if reason.contains(CODE_MEMORY) {
            LoadFault::NoCodeMemory(reason)
        } else {
            LoadFault::Invalid(reason)
        }
    })
}

/// Is it a component at all?
fn check_format(bytes: &[u8]) -> Result<(), LoadFault> {
    if let Some(rest) = bytes.strip_prefix(MAGIC) {
        return if rest.starts_with(CORE_MODULE) { Err(LoadFault::CoreModule) } else { Ok(()) };
    }
    if bytes.is_empty() {
        return Err(LoadFault::NotWasm("the file is empty"));
    }
    if bytes.starts_with(b"\x7fELF") {
        return Err(LoadFault::NotWasm("it is a program or library for this machine"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if is_wat(text) => Err(LoadFault::Text),
        Ok(_) => Err(LoadFault::NotWasm("it is a text")),
        Err(_) => Err(LoadFault::NotWasm("it begins with other bytes")),
    }
}

fn is_wat(text: &str) -> bool {
    let mut code =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(";;"));
    code.next().is_some_and(|line| line.starts_with("(module") || line.starts_with("(component"))
}
