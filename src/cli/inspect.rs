//! `dormouse plugin inspect FILE`: what a component decides, and what it will need.

use std::fmt::Write;
use std::path::Path;

use bytesize::ByteSize;

use crate::plugin::{Inspection, LoadError, inspect};

/// The text for `file`.
///
/// # Errors
///
/// If the file can't be read, or is no component.
pub fn execute(file: &Path) -> Result<String, LoadError> {
    let inspection = inspect(file)?;
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = describe(&mut text, file, &inspection);
    Ok(text)
}

fn describe(text: &mut String, file: &Path, inspection: &Inspection) -> std::fmt::Result {
    writeln!(text, "{} ({})", file.display(), ByteSize(inspection.size as u64))?;
    exports(text, inspection)?;
    imports(text, inspection)?;
    grants(text, file, inspection)
}

fn exports(text: &mut String, inspection: &Inspection) -> std::fmt::Result {
    writeln!(text, "\nDecisions:")?;
    for decision in &inspection.decisions {
        writeln!(text, "  {:<10} {}", decision.name(), decision.meaning())?;
    }
    if inspection.decisions.is_empty() {
        writeln!(text, "  none: Dormouse can't use it")?;
    }
    for name in &inspection.other_exports {
        writeln!(text, "  {} is exported too, and not used by Dormouse", shown(name))?;
    }
    Ok(())
}

fn imports(text: &mut String, inspection: &Inspection) -> std::fmt::Result {
    writeln!(text, "\nImports:")?;
    for import in &inspection.imports {
        let note = if import.offered { "" } else { "  (not offered: it can't be loaded)" };
        writeln!(text, "  {}{note}", shown(&import.name))?;
    }
    if inspection.imports.is_empty() {
        writeln!(text, "  none")?;
    }
    Ok(())
}

/// Lines to paste into a config. A component's type says what it may ask for, and not for which
/// commands or variables: these are to be filled in.
fn grants(text: &mut String, file: &Path, inspection: &Inspection) -> std::fmt::Result {
    let name = file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    writeln!(text, "\nFor the config:\n")?;
    writeln!(text, "[plugins.{name}]")?;
    writeln!(text, "wasm = {}", toml::Value::from(file.display().to_string()))?;
    let (exec, env) =
        (inspection.imports_ours("process"), inspection.imports_wasi("wasi:cli/environment"));
    let http = inspection.imports_wasi("wasi:http/outgoing-handler");
    if exec || env || http {
        writeln!(text, "[plugins.{name}.allow]")?;
    }
    if exec {
        writeln!(text, "exec = [[\"PROGRAM\", \"ARGUMENT\"]]  # it runs commands: say which")?;
    }
    if env {
        writeln!(text, "env = []  # names of variables, if it reads any")?;
    }
    if http {
        writeln!(text, "http = [\"GET https://HOST/PATH\"]  # it sends requests: say which")?;
    }
    Ok(())
}

/// A name from a stranger's file.
fn shown(name: &str) -> impl std::fmt::Display {
    name.escape_debug()
}
