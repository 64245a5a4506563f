//! The components that are in the binary.
//!
//! They are kept as built, so that building Dormouse needs no WebAssembly toolchain. Their sources
//! are in `plugins/`; `cargo xtask plugins` builds them, and `--check` holds them against the sources
//! by the lock file beside each. They are not kept beside the sources, because `cargo package` leaves
//! out a folder that has a package of its own.

/// Their names and bytes.
const COMPONENTS: [(&str, &[u8]); 1] = [("shell", include_bytes!("builtin/shell.wasm"))];

/// The bytes of the component `name`.
pub(super) fn component(name: &str) -> Option<&'static [u8]> {
    COMPONENTS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

/// The names of all of them.
pub(super) fn names() -> Vec<&'static str> {
    COMPONENTS.iter().map(|(name, _)| *name).collect()
}
