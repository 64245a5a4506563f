//! The components that are in the binary.

/// Their names and bytes. The files are built by `cargo xtask plugins`, and `cargo xtask plugins
/// --check` holds them against their sources.
const COMPONENTS: [(&str, &[u8]); 1] =
    [("shell", include_bytes!("../../plugins/shell/shell.wasm"))];

/// The bytes of the component `name`.
pub(super) fn component(name: &str) -> Option<&'static [u8]> {
    COMPONENTS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

/// The names of all of them.
pub(super) fn names() -> Vec<&'static str> {
    COMPONENTS.iter().map(|(name, _)| *name).collect()
}
