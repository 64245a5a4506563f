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

/// A line for the config, and the interfaces of which any asks for it.
type Grant = (&'static [&'static str], &'static str);

const GRANTS: [Grant; 6] = [
    (
        &["process", "children"],
        "exec = [[\"PROGRAM\", \"ARGUMENT\"]]  # it runs commands: say which",
    ),
    (&["wasi:cli/environment"], "env = []  # names of variables, if it reads any"),
    (
        &["wasi:sockets/tcp-create-socket", "wasi:sockets/types"],
        "connect = []  # \"ADDRESS:PORT\", if it connects to any",
    ),
    (
        &["wasi:sockets/udp-create-socket", "wasi:sockets/types"],
        "udp = []  # \"ADDRESS:PORT\", if it sends datagrams to any",
    ),
    (
        &["wake-on-lan"],
        "wake_on_lan = [\"BROADCAST-ADDRESS\"]  # it wakes machines: in which network",
    ),
    (
        &["wasi:filesystem/preopens"],
        "read = []  # folders, if it reads files; `write` for those that it changes",
    ),
];

fn is_imported(inspection: &Inspection, interface: &str) -> bool {
    if interface.contains(':') {
        inspection.imports_wasi(interface)
    } else {
        inspection.imports_ours(interface)
    }
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
    let is_asked_for = |(imports, _): &&Grant| imports.iter().any(|of| is_imported(inspection, of));
    let grants: Vec<_> = GRANTS.iter().filter(is_asked_for).collect();
    if !grants.is_empty() {
        writeln!(text, "[plugins.{name}.allow]")?;
    }
    for (_, line) in grants {
        writeln!(text, "{line}")?;
    }
    Ok(())
}

/// A name from a stranger's file.
fn shown(name: &str) -> impl std::fmt::Display {
    name.escape_debug()
}
