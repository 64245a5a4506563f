//! Looks into a component without running it: what it exports, imports, and needs.

use std::path::Path;

use wasmtime::{Config, Engine, OptLevel};

use super::error::{LoadError, LoadFault};
use super::exports::{export_names, import_names};
use super::interface::{Decision, InterfaceName};
use super::load;

/// What a component is made of.
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
    /// Whether it imports the interface `name` of our own package.
    pub fn imports_ours(&self, name: &str) -> bool {
        self.imports_any(|import| import.is_ours() && import.interface == name)
    }

    /// Whether it imports the interface `name` of WASI, such as `wasi:cli/environment`.
    pub fn imports_wasi(&self, name: &str) -> bool {
        self.imports_any(|import| name.split_once('/') == Some((import.package, import.interface)))
    }

    fn imports_any(&self, which: impl Fn(&InterfaceName<'_>) -> bool) -> bool {
        let names = self.imports.iter().filter_map(|import| InterfaceName::parse(&import.name));
        names.into_iter().any(|name| which(&name))
    }
}

/// Looks into the component in `file`.
///
/// It need not be one that Dormouse can load: what is missing stands in the answer.
///
/// # Errors
///
/// If the file can't be read, or is no component.
pub fn inspect(file: &Path) -> Result<Inspection, LoadError> {
    look_into(file).map_err(|fault| fault.of_file(file))
}

fn look_into(file: &Path) -> Result<Inspection, LoadFault> {
    let bytes = load::read(file)?;
    // The types of a component are known once it is compiled. Nobody runs the code, so it need not
    // be good.
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::None);
    let engine = Engine::new(&config);
    let engine = engine.map_err(|error| LoadFault::Invalid(LoadFault::reason(&error)))?;
    let component = load::compile(&engine, &bytes)?;

    let exports = export_names(&engine, &component);
    let decision = |name: &String| InterfaceName::parse(name).and_then(|name| name.decision());
    let mut decisions: Vec<Decision> = exports.iter().filter_map(decision).collect();
    decisions.sort_unstable();
    let offered = |name: &str| InterfaceName::parse(name).is_some_and(|name| name.is_offered());
    let imports = import_names(&engine, &component).into_iter();
    Ok(Inspection {
        size: bytes.len(),
        decisions,
        other_exports: exports.into_iter().filter(|name| decision(name).is_none()).collect(),
        imports: imports.map(|name| Import { offered: offered(&name), name }).collect(),
    })
}
