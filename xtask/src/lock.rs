//! The file beside an embedded component that says what it was built from, and with what.

use std::path::Path;

use crate::files;

const HEAD: &str =
    "# Written by `cargo xtask plugins`: what the component beside it was built from.\n";

/// What a component was built from, and with what.
#[derive(Debug, PartialEq)]
pub struct Lock {
    /// The compiler, with its host.
    pub rustc: String,
    /// The SHA-256 of the component.
    pub component: String,
    /// The SHA-256 over everything that it is made from.
    pub inputs: String,
}

impl Lock {
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = String::from_utf8_lossy(&files::read(path)?).into_owned();
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
            line.and_then(|rest| rest.strip_suffix('"'))
                .map(str::to_owned)
                .ok_or_else(|| format!("{} has no `{key}`", path.display()))
        };
        Ok(Self {
            rustc: value("rustc")?,
            component: value("component")?,
            inputs: value("inputs")?,
        })
    }

    pub fn write(&self, path: &Path) -> Result<(), String> {
        let Self { rustc, component, inputs } = self;
        let text = format!(
            "{HEAD}rustc = \"{rustc}\"\ncomponent = \"{component}\"\ninputs = \"{inputs}\"\n"
        );
        files::write(path, text.as_bytes())
    }
}
