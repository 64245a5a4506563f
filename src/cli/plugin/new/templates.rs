//! The files of a new plugin: those of `examples/plugins/`, which are built and tested there.

use clap::ValueEnum;

/// A path in the plugin's folder, and the content.
pub(super) type File = (&'static str, &'static [u8]);

/// A language that there is an example in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli::plugin) enum Language {
    Rust,
    C,
    Go,
    Python,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
}

impl Language {
    /// Its name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::C => "C",
            Language::Go => "Go",
            Language::Python => "Python",
            Language::JavaScript => "JavaScript",
        }
    }

    /// The files of its example, apart from those that all languages share.
    pub(super) fn files(self) -> impl Iterator<Item = &'static File> {
        let files = match self {
            Language::Rust => RUST,
            Language::C => C,
            Language::Go => GO,
            Language::Python => PYTHON,
            Language::JavaScript => JAVASCRIPT,
        };
        files.iter()
    }

    /// The file in which the gate is written.
    pub(super) fn source(self) -> &'static str {
        match self {
            Language::Rust => "src/lib.rs",
            Language::C => "porter.c",
            Language::Go => "export_dormouse_plugin_gate/gate.go",
            Language::Python => "porter.py",
            Language::JavaScript => "porter.js",
        }
    }

    /// The name of the plugin as its sources have it. A module of Python has no `-` in its name, and
    /// must not have that of one which Python brings.
    pub(super) fn source_name(self, name: &str) -> String {
        match self {
            Language::Python => {
                let name = name.replace('-', "_");
                if name.ends_with("_plugin") { name } else { name + "_plugin" }
            }
            Language::Rust | Language::C | Language::Go | Language::JavaScript => name.to_owned(),
        }
    }

    /// Whether a library that the example uses has this name, where that is a matter.
    pub(super) fn takes(self, name: &str) -> bool {
        let libraries = match self {
            Language::Rust => "Cargo.lock",
            Language::JavaScript => "package-lock.json",
            Language::C | Language::Go | Language::Python => return false,
        };
        let lock = self.files().find(|(path, _)| *path == libraries).map_or(&[][..], |file| file.1);
        let lock = String::from_utf8_lossy(lock);
        let is_it = |word: &str| word == name || word.strip_prefix("node_modules/") == Some(name);
        lock.split('"').any(is_it) && name != "porter"
    }
}

/// What is the same in all languages.
pub(super) const SHARED: &[File] = &[
    ("test.toml", include_bytes!("../../../../examples/plugins/test.toml")),
    ("wit/world.wit", include_bytes!("../../../../examples/plugins/wit/world.wit")),
];

/// Through links in this folder: `cargo package` leaves out what is beside another `Cargo.toml`.
const RUST: &[File] = &[
    (".gitignore", include_bytes!("rust/ignored")),
    ("Cargo.lock", include_bytes!("rust/lock")),
    ("Cargo.toml", include_bytes!("rust/manifest")),
    ("README.md", include_bytes!("rust/readme")),
    ("src/lib.rs", include_bytes!("rust/source")),
];

const C: &[File] = &[
    (".gitignore", include_bytes!("../../../../examples/plugins/c/.gitignore")),
    ("README.md", include_bytes!("../../../../examples/plugins/c/README.md")),
    ("bindings/plugin.c", include_bytes!("../../../../examples/plugins/c/bindings/plugin.c")),
    ("bindings/plugin.h", include_bytes!("../../../../examples/plugins/c/bindings/plugin.h")),
    (
        "bindings/plugin_component_type.o",
        include_bytes!("../../../../examples/plugins/c/bindings/plugin_component_type.o"),
    ),
    ("porter.c", include_bytes!("../../../../examples/plugins/c/porter.c")),
];

const GO: &[File] = &[
    (".gitignore", include_bytes!("../../../../examples/plugins/go/.gitignore")),
    ("README.md", include_bytes!("../../../../examples/plugins/go/README.md")),
    (
        "dormouse_plugin_gate/empty.s",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_gate/empty.s"),
    ),
    (
        "dormouse_plugin_gate/wit_bindings.go",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_gate/wit_bindings.go"),
    ),
    (
        "dormouse_plugin_log/empty.s",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_log/empty.s"),
    ),
    (
        "dormouse_plugin_log/wit_bindings.go",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_log/wit_bindings.go"),
    ),
    (
        "dormouse_plugin_readiness/empty.s",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_readiness/empty.s"),
    ),
    (
        "dormouse_plugin_readiness/wit_bindings.go",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_readiness/wit_bindings.go"),
    ),
    (
        "dormouse_plugin_settings/empty.s",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_settings/empty.s"),
    ),
    (
        "dormouse_plugin_settings/wit_bindings.go",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_settings/wit_bindings.go"),
    ),
    (
        "dormouse_plugin_state/empty.s",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_state/empty.s"),
    ),
    (
        "dormouse_plugin_state/wit_bindings.go",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_state/wit_bindings.go"),
    ),
    (
        "dormouse_plugin_target/empty.s",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_target/empty.s"),
    ),
    (
        "dormouse_plugin_target/wit_bindings.go",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_target/wit_bindings.go"),
    ),
    (
        "dormouse_plugin_types/empty.s",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_types/empty.s"),
    ),
    (
        "dormouse_plugin_types/wit_bindings.go",
        include_bytes!("../../../../examples/plugins/go/dormouse_plugin_types/wit_bindings.go"),
    ),
    (
        "export_dormouse_plugin_gate/gate.go",
        include_bytes!("../../../../examples/plugins/go/export_dormouse_plugin_gate/gate.go"),
    ),
    (
        "export_dormouse_plugin_readiness/readiness.go",
        include_bytes!(
            "../../../../examples/plugins/go/export_dormouse_plugin_readiness/readiness.go"
        ),
    ),
    ("go.mod", include_bytes!("../../../../examples/plugins/go/go.mod")),
    ("pkg/go.mod", include_bytes!("../../../../examples/plugins/go/pkg/go.mod")),
    (
        "pkg/wit/runtime/runtime.go",
        include_bytes!("../../../../examples/plugins/go/pkg/wit/runtime/runtime.go"),
    ),
    (
        "pkg/wit/types/types.go",
        include_bytes!("../../../../examples/plugins/go/pkg/wit/types/types.go"),
    ),
    ("wit_exports.go", include_bytes!("../../../../examples/plugins/go/wit_exports.go")),
];

const PYTHON: &[File] = &[
    (".gitignore", include_bytes!("../../../../examples/plugins/python/.gitignore")),
    ("README.md", include_bytes!("../../../../examples/plugins/python/README.md")),
    ("porter.py", include_bytes!("../../../../examples/plugins/python/porter.py")),
];

const JAVASCRIPT: &[File] = &[
    (".gitignore", include_bytes!("../../../../examples/plugins/javascript/.gitignore")),
    ("README.md", include_bytes!("../../../../examples/plugins/javascript/README.md")),
    (
        "package-lock.json",
        include_bytes!("../../../../examples/plugins/javascript/package-lock.json"),
    ),
    ("package.json", include_bytes!("../../../../examples/plugins/javascript/package.json")),
    ("porter.js", include_bytes!("../../../../examples/plugins/javascript/porter.js")),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::fs;
    use std::path::Path;

    use super::*;

    /// The files in `folder`, by their paths in it, without what a build leaves there.
    fn files_in(folder: &Path, under: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder.join(under)).unwrap() {
            let entry = entry.unwrap();
            let path = under.join(entry.file_name());
            let name = path.to_str().unwrap();
            let is_built = ["build", "node_modules", "__pycache__"];
            if is_built.contains(&entry.file_name().to_str().unwrap()) {
                continue;
            }
            // Links lead to what all languages share.
            if entry.file_type().unwrap().is_dir() {
                files_in(folder, &path, found);
            } else if !entry.file_type().unwrap().is_symlink() {
                found.push(name.to_owned());
            }
        }
    }

    #[test]
    fn a_new_plugin_has_all_files_of_its_example_as_they_are() {
        for language in Language::value_variants() {
            let value = language.to_possible_value().unwrap();
            let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plugins");
            let folder = examples.join(value.get_name());
            let mut there = Vec::new();
            files_in(&folder, Path::new(""), &mut there);
            there.sort();
            let mut files: Vec<_> = language.files().map(|(path, _)| (*path).to_owned()).collect();
            files.sort();
            assert_eq!(files, there, "{language:?}");
            for (path, content) in language.files() {
                assert_eq!(fs::read(folder.join(path)).unwrap(), *content, "{language:?}: {path}");
            }
            for (path, content) in SHARED {
                assert_eq!(fs::read(folder.join(path)).unwrap(), *content, "{language:?}: {path}");
            }
        }
    }
}
