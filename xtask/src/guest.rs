//! A guest component that is embedded in the binary, and how it is built.

use std::path::PathBuf;

use crate::cargo::{self, WASM};
use crate::files;

/// The embedded components.
pub const EMBEDDED: [Guest; 1] = [Guest { name: "shell" }];

/// A package of `plugins/` whose component is kept in the repository.
pub struct Guest {
    /// The name of the package, its folder and its component.
    pub name: &'static str,
}

impl Guest {
    fn folder(&self) -> PathBuf {
        cargo::root().join("plugins").join(self.name)
    }

    /// The component that is kept.
    pub fn component(&self) -> PathBuf {
        kept_in().join(format!("{}.wasm", self.name))
    }

    /// The lock file beside it.
    pub fn lock(&self) -> PathBuf {
        kept_in().join(format!("{}.lock", self.name))
    }

    /// The SHA-256 over everything that the component is made from, with the names of the files.
    pub fn inputs(&self) -> Result<String, String> {
        let root = cargo::root();
        let mut paths = vec![
            root.join("plugins/Cargo.toml"),
            root.join("plugins/Cargo.lock"),
            self.folder().join("Cargo.toml"),
        ];
        paths.extend(files::with_extension(&self.folder().join("src"), "rs")?);
        paths.extend(files::with_extension(&root.join("wit"), "wit")?);
        paths.sort();
        let mut listing = String::new();
        for path in paths {
            let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
            listing.push_str(&format!("{} {name}\n", files::sha256(&files::read(&path)?)));
        }
        Ok(files::sha256(listing.as_bytes()))
    }

    /// Builds the component. The same sources and compiler give the same bytes, wherever they are.
    pub fn build(&self) -> Result<Vec<u8>, String> {
        let name = self.name;
        cargo::announce(&format!("building the component {name}"));
        let target_folder = cargo::guest_target_folder();
        let mut command = cargo::cargo(["build", "--release", "--locked", "--target", WASM]);
        command
            .args(["--package", name, "--manifest-path", "plugins/Cargo.toml", "--target-dir"])
            .arg(&target_folder)
            // In place of what a developer may have set, which would change the bytes.
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_ENCODED_RUSTFLAGS", remapped_paths());
        cargo::run(&mut command, &format!("building the component {name}"))?;
        files::read(&target_folder.join(WASM).join("release").join(format!("{name}.wasm")))
    }
}

/// Where the components are kept. Not beside their sources: `cargo package` leaves out what has a
/// `Cargo.toml` of its own.
fn kept_in() -> PathBuf {
    cargo::root().join("src/plugin/builtin")
}

/// Flags that keep the folders of this machine out of panic messages.
fn remapped_paths() -> String {
    let root = cargo::root();
    let mut flags = vec![format!("--remap-path-prefix={}=/dormouse", root.display())];
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    if let Some(cargo_home) = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home) {
        flags.push(format!("--remap-path-prefix={}=/cargo", cargo_home.display()));
    }
    flags.join("\u{1f}")
}
