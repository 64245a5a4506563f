//! `dormouse plugin inspect FILE`: what a component decides, what it will need, what it costs.

use std::fmt::Write;
use std::path::Path;

use serde_json::json;

use super::{print, runtime, told, words};
use crate::cli::{Complaint, Failure};
use crate::plugin::{Inspection, inspect};
use crate::text::printable;

/// A grant, and the imports that point to it.
struct Need {
    /// The key of `allow`.
    key: &'static str,
    /// A line to fill in.
    line: &'static str,
    /// What it is for.
    why: &'static str,
    /// The interfaces behind which it stands.
    imports: &'static [&'static str],
    /// Whether a plugin imports these only if its author wanted to. Standard libraries import much
    /// that they never use.
    is_meant: bool,
}

const NEEDS: [Need; 7] = [
    Need {
        key: "exec",
        line: "exec = [[\"PROGRAM\", \"ARGUMENT\"]]",
        why: "it runs commands: say which",
        imports: &["dormouse:plugin/process", "dormouse:plugin/children"],
        is_meant: true,
    },
    Need {
        key: "http",
        line: "http = [\"https://HOST\"]",
        why: "it speaks HTTP: say with whom",
        imports: &["wasi:http/outgoing-handler"],
        is_meant: true,
    },
    Need {
        key: "wake_on_lan",
        line: "wake_on_lan = [\"192.168.1.255\"]",
        why: "it wakes machines: say in which network",
        imports: &["dormouse:plugin/wake-on-lan"],
        is_meant: true,
    },
    Need {
        key: "connect",
        line: "connect = [\"ADDRESS:PORT\"]",
        why: "if it opens TCP connections",
        imports: &["wasi:sockets/tcp-create-socket"],
        is_meant: false,
    },
    Need {
        key: "udp",
        line: "udp = [\"ADDRESS:PORT\"]",
        why: "if it sends UDP",
        imports: &["wasi:sockets/udp-create-socket"],
        is_meant: false,
    },
    Need {
        key: "read",
        line: "read = [\"./FOLDER\"]",
        why: "if it reads files; `write` if it writes them",
        imports: &["wasi:filesystem/preopens"],
        is_meant: false,
    },
    Need {
        key: "env",
        line: "env = [\"NAME\"]",
        why: "if it reads variables of the environment",
        imports: &["wasi:cli/environment"],
        is_meant: false,
    },
];

/// Writes what there is to say about `file`.
pub(super) fn execute(file: &Path, as_json: bool) -> Result<(), Failure> {
    let inspection = runtime()?.block_on(inspect(file));
    let inspection = inspection.map_err(|error| Complaint::new(error.to_string()))?;
    if as_json {
        return print(&format!("{:#}\n", object(file, &inspection)));
    }
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = describe(&mut text, file, &inspection);
    print(&text)
}

fn describe(text: &mut String, file: &Path, inspection: &Inspection) -> std::fmt::Result {
    writeln!(text, "{} ({})", shown(&file.display().to_string()), told::size(inspection.size))?;
    exports(text, inspection)?;
    imports(text, inspection)?;
    writeln!(text, "\nCosts:")?;
    writeln!(text, "  to compile, once       {}", words::time(inspection.compile_time))?;
    match &inspection.instance {
        Ok(memory) => writeln!(text, "  memory of an instance  {}", told::size(*memory))?,
        Err(why) => writeln!(text, "  there is no instance: {}", shown(why))?,
    }
    writeln!(text, "\nFor the config:\n\n{}", toml(file, inspection))
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

/// The grants that its imports point to.
fn needs(inspection: &Inspection) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(|need| need.imports.iter().any(|name| inspection.imports(name)))
}

/// Lines to paste into a config. A component's type says what it may ask for, and not for which
/// commands, hosts or variables: these are to be filled in.
fn toml(file: &Path, inspection: &Inspection) -> String {
    let name = file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut lines = vec![
        format!("[plugins.{name}]"),
        format!("wasm = {}", toml::Value::from(file.display().to_string())),
    ];
    let needs: Vec<_> = needs(inspection).collect();
    if !needs.is_empty() {
        lines.push(format!("[plugins.{name}.allow]"));
    }
    for need in needs {
        // A comment, where the import alone says too little.
        let mark = if need.is_meant { "" } else { "# " };
        lines.push(format!("{mark}{}  # {}", need.line, need.why));
    }
    lines.join("\n")
}

/// The same for programs. `docs/plugins.md` describes the shape, which only grows.
fn object(file: &Path, inspection: &Inspection) -> serde_json::Value {
    let imports = inspection.imports.iter();
    let imports = imports.map(|import| json!({ "name": import.name, "offered": import.offered }));
    let grants = needs(inspection);
    let grants = grants.map(|need| json!({ "key": need.key, "meant": need.is_meant }));
    json!({
        "file": file.display().to_string(),
        "size_bytes": inspection.size,
        "decisions": inspection.decisions.iter().map(|d| d.name()).collect::<Vec<_>>(),
        "other_exports": inspection.other_exports,
        "imports": imports.collect::<Vec<_>>(),
        "grants": grants.collect::<Vec<_>>(),
        "toml": toml(file, inspection),
        "compile_ms": words::milliseconds(inspection.compile_time),
        "instance_bytes": inspection.instance.as_ref().ok(),
        "fault": inspection.instance.as_ref().err(),
    })
}

/// A text from a stranger's file.
fn shown(name: &str) -> std::borrow::Cow<'_, str> {
    printable(name)
}
