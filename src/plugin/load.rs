//! From a file to a component that can be instantiated.
//!
//! Reading, verifying and linking take up to seconds, so they run on blocking threads and never on a
//! client's way. Compiling runs in another process ([`super::compile`]), unless the cache has the
//! component already.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tracing::dispatcher;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::config::{self, PluginSource};

use super::builtin;
use super::cache::Cache;
use super::compile::Compiler;
use super::current::Version;
use super::error::LoadFault;
use super::exports::Loaded;
use super::guest::Guest;
use super::native::Native;
use crate::text;

/// What WebAssembly begins with.
const MAGIC: &[u8] = b"\0asm";
/// What comes then: the version, and whether it is a module or a component.
const CORE_MODULE: &[u8] = &[1, 0, 0, 0];

/// How wasmtime says that the kernel refuses memory for code.
const CODE_MEMORY: &str = "memory executable";

/// The largest file that is read: more than ten times the largest component that is known.
const LARGEST: u64 = 256 << 20;

/// A SHA-256 sum.
pub(super) type Sum = [u8; 32];

/// The sum that a component must have, and of which plugin that is said.
#[derive(Clone)]
pub(super) struct Pin {
    pub(super) plugin: String,
    pub(super) sum: Sum,
}

impl Pin {
    /// What the config pins `plugin` to.
    pub(super) fn of(plugin: &config::Plugin) -> Option<Pin> {
        plugin.sha256.map(|sum| Pin { plugin: plugin.name.clone(), sum })
    }
}

/// A component that was read, and not compiled yet.
pub(super) struct Fetched {
    bytes: Cow<'static, [u8]>,
    sum: Sum,
    stamp: Option<Stamp>,
}

/// Makes components of files. Clones share the cache, and what is counted.
#[derive(Clone)]
pub(super) struct Loader {
    pub(super) linker: Arc<Linker<Guest>>,
    pub(super) compiler: Compiler,
    pub(super) cache: Option<Arc<Cache>>,
}

impl Loader {
    /// The component of `source`, if its sum is the one that is pinned. With `known`, the answer is
    /// `None` if it has this sum.
    pub(super) async fn load(
        &self,
        source: PluginSource,
        pin: Option<Pin>,
        known: Option<Sum>,
    ) -> Result<Option<Version>, LoadFault> {
        let loader = self.clone();
        let found = blocking(move || {
            let fetched = fetch(&source)?;
            if known == Some(fetched.sum) {
                return Ok(Found::Known);
            }
            fetched.check(pin.as_ref())?;
            match loader.cached(fetched.sum)? {
                Some(component) => loader.version(&component, &fetched).map(Found::Ready),
                None => Ok(Found::Bare(fetched)),
            }
        });
        let fetched = match found.await? {
            Found::Known => return Ok(None),
            Found::Ready(version) => return Ok(Some(version)),
            Found::Bare(fetched) => fetched,
        };
        let native = self.compiler.compile(&fetched.bytes).await?;
        let loader = self.clone();
        let version = blocking(move || {
            let component = component(loader.linker.engine(), &native)?;
            // One that can't be linked is kept as well: the next attempt need not compile it.
            if let Some(cache) = &loader.cache {
                cache.put(&fetched.sum, native.code());
            }
            loader.version(&component, &fetched)
        });
        version.await.map(Some)
    }

    /// The component that the cache has.
    fn cached(&self, sum: Sum) -> Result<Option<Component>, LoadFault> {
        let Some(cache) = &self.cache else { return Ok(None) };
        let Some(native) = cache.get(&sum) else { return Ok(None) };
        match component(self.linker.engine(), &native) {
            Err(LoadFault::Invalid(reason)) => {
                cache.discard(&sum, &reason);
                Ok(None)
            }
            component => component.map(Some),
        }
    }

    fn version(&self, component: &Component, fetched: &Fetched) -> Result<Version, LoadFault> {
        let loaded = Arc::new(Loaded::new(&self.linker, component)?);
        Ok(Version { loaded, sum: fetched.sum, stamp: fetched.stamp })
    }
}

/// What became of a file before anything is compiled.
enum Found {
    /// It is what is loaded already.
    Known,
    /// The cache had it.
    Ready(Version),
    /// It has to be compiled.
    Bare(Fetched),
}

/// Runs `work` on a thread on which waiting is allowed. What it logs goes where this thread logs.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadFault> + Send + 'static,
) -> Result<T, LoadFault> {
    let log = dispatcher::get_default(Clone::clone);
    let done = tokio::task::spawn_blocking(move || dispatcher::with_default(&log, work)).await;
    // The thread panicked, or the runtime ends.
    done.map_err(|error| LoadFault::Invalid(error.to_string())).flatten()
}

/// How a file looks from outside. It looks otherwise whenever anybody has written to it, or has put
/// another in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// In seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    /// The same for what is written about the file: it tells a copy that keeps the time.
    pub(super) changed: (i64, i64),
}

impl Stamp {
    /// Looks at `file`; `None` if it isn't there, or can't be looked at.
    pub(super) fn look(file: &Path) -> Option<Stamp> {
        fs::metadata(file).ok().map(|metadata| Stamp::of(&metadata))
    }

    fn of(metadata: &fs::Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads the component of `source`.
fn fetch(source: &PluginSource) -> Result<Fetched, LoadFault> {
    let (bytes, stamp) = match source {
        PluginSource::Builtin(name) => {
            let bytes = builtin::component(name);
            let bytes = bytes.ok_or_else(|| LoadFault::NoBuiltin(builtin::names()))?;
            (Cow::Borrowed(bytes), None)
        }
        PluginSource::File(file) => {
            let (bytes, stamp) = read_stamped(file)?;
            (Cow::Owned(bytes), Some(stamp))
        }
    };
    let sum = Sha256::digest(&bytes).into();
    Ok(Fetched { bytes, sum, stamp })
}

impl Fetched {
    /// Is it the component that is pinned, and is it one at all?
    fn check(&self, pin: Option<&Pin>) -> Result<(), LoadFault> {
        if let Some(pin) = pin
            && pin.sum != self.sum
        {
            let (pinned, found) = (text::hex(&pin.sum), text::hex(&self.sum));
            return Err(LoadFault::OtherSum { plugin: pin.plugin.clone(), pinned, found });
        }
        check_format(&self.bytes)
    }
}

/// The bytes of `file`.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, LoadFault> {
    read_stamped(file).map(|(bytes, _)| bytes)
}

/// The bytes of `file`, and how it looked before the first of them was read.
fn read_stamped(file: &Path) -> Result<(Vec<u8>, Stamp), LoadFault> {
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
    let open = fs::File::open(file).map_err(unreadable)?;
    let stamp = Stamp::of(&open.metadata().map_err(unreadable)?);
    let mut bytes = Vec::new();
    if stamp.size <= LARGEST {
        // It may grow meanwhile.
        open.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if stamp.size.max(bytes.len() as u64) > LARGEST {
        return Err(LoadFault::TooLarge { most: LARGEST });
    }
    Ok((bytes, stamp))
}

/// Compiles the component in `bytes`, without the cache.
pub(super) async fn compile(
    engine: &Engine,
    compiler: &Compiler,
    bytes: &[u8],
) -> Result<Component, LoadFault> {
    check_format(bytes)?;
    let native = compiler.compile(bytes).await?;
    component(engine, &native)
}

/// The component of native code.
fn component(engine: &Engine, native: &Native) -> Result<Component, LoadFault> {
    native.component(engine).map_err(|error| {
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
