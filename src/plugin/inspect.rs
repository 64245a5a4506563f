//! Looks into a component: what it exports and imports, and what it costs to have it there.
//!
//! It is compiled as a service would compile it, with the default limits and without the cache, and one instance is made of it
//! with no grants. Nothing of it is called.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{CompileLimits, Config, PluginSource, trial};
use crate::decide::CallContext;

use super::blame::DeadlineKey;
use super::call::Question;
use super::compile::Compiler;
use super::current::{Current, Version};
use super::error::LoadError;
use super::exports::{Loaded, export_names, import_names};
use super::interface::{Decision, InterfaceName};
use super::load::{Loader, Sum};
use super::{Host, HostError, load};

/// How long the making of an instance may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a component is made of, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The size of the file, in bytes.
    pub size: usize,
    /// The decisions that it makes, in the order of `wit/`.
    pub decisions: Vec<Decision>,
    /// What else it exports, by name.
    pub other_exports: Vec<String>,
    /// What it imports.
    pub imports: Vec<Import>,
    /// How long it took to compile, without the cache.
    pub compile_time: Duration,
    /// The memory of a fresh instance, in bytes, or why there is none, for people.
    pub instance: Result<usize, String>,
}

/// Something that a component imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The interface's name, or the function's.
    pub name: String,
    /// Whether this Dormouse offers it.
    pub offered: bool,
}

impl Inspection {
    /// Whether it imports the interface `name`, such as `dormouse:plugin/process`, in whatever
    /// version, and this Dormouse offers it.
    pub fn imports(&self, name: &str) -> bool {
        let names = self.imports.iter().filter(|import| import.offered);
        let mut names = names.filter_map(|import| InterfaceName::parse(&import.name));
        names.any(|import| name.split_once('/') == Some((import.package, import.interface)))
    }
}

/// Why a component can't be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file can't be read, or is no component.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Plugins can't be run here.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Looks into the component in `file`.
///
/// It need not be one that Dormouse can load: what is missing stands in the answer.
///
/// # Errors
///
/// If the file can't be read, or is no component.
pub async fn inspect(file: &Path) -> Result<Inspection, InspectError> {
    inspect_by(Compiler::new(CompileLimits::default()), file).await
}

/// The same with another compiler than this program.
///
/// # Errors
///
/// Those of [`inspect`].
pub async fn inspect_by(compiler: Compiler, file: &Path) -> Result<Inspection, InspectError> {
    let bytes = load::read(file).map_err(|fault| fault.of_file(file))?;
    let stage = trial::bare(PluginSource::File(file.to_owned()));
    let host = Host::with(&stage, compiler, None)?;
    let Loader { linker, compiler, .. } = &host.loader;
    let engine = linker.engine();
    let began = Instant::now();
    let compiled = load::compile(engine, compiler, &bytes).await;
    let component = compiled.map_err(|fault| fault.of_file(file))?;
    let compile_time = began.elapsed();

    let instance = match Loaded::new(linker, &component) {
        Ok(loaded) => fresh_instance(&host, &stage, loaded).await,
        Err(fault) => Err(fault.to_string()),
    };
    let exports = export_names(engine, &component);
    let decision = |name: &String| InterfaceName::parse(name).and_then(|name| name.decision());
    let mut decisions: Vec<Decision> = exports.iter().filter_map(decision).collect();
    decisions.sort_unstable();
    let offered = |name: &str| InterfaceName::parse(name).is_some_and(|name| name.is_offered());
    let imports = import_names(engine, &component).into_iter();
    Ok(Inspection {
        size: bytes.len(),
        decisions,
        other_exports: exports.into_iter().filter(|name| decision(name).is_none()).collect(),
        imports: imports.map(|name| Import { offered: offered(&name), name }).collect(),
        compile_time,
        instance,
    })
}

/// The memory of a fresh instance, in bytes.
async fn fresh_instance(host: &Host, stage: &Config, loaded: Loaded) -> Result<usize, String> {
    // Nobody asks here for the sum of a version, or how its file looked.
    let version = Version { loaded: Arc::new(loaded), sum: Sum::default(), stamp: None };
    let current = Arc::new(Current::new(version));
    let caller = host
        .caller_of(&stage.plugins[0], &stage.services[0], current)
        .await
        .map_err(|error| error.to_string())?;
    let question =
        Question { function: "its beginning", deadline: DEADLINE, deadline_key: DeadlineKey::Call };
    let made = caller.on_its_thread(move |caller| async move {
        let loaded = caller.current.loaded();
        let mut store = caller.store(&loaded);
        let begun = caller.begin(&mut store, question, CallContext::detached());
        let instance = loaded.pre.instantiate_async(&mut store);
        let made = caller.wait(&begun, instance).await.map(Ok);
        caller.judge(begun, store.data(), made, |_, instance| Ok(instance))?;
        Ok(store.data().memory_used())
    });
    made.await.map_err(|failure| failure.message)
}
