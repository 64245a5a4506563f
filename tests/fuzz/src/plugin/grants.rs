//! In the place of `src/plugin/grants/`, which needs WASI: denials alone, with the same text.

use crate::text;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    pub(super) wanted: String,
    pub(super) remedy: String,
}

impl Denial {
    pub(super) fn new(wanted: String, remedy: String) -> Denial {
        Denial { wanted, remedy }
    }

    pub(super) fn for_guest(&self) -> String {
        format!("the config does not let this plugin {}. {}", self.wanted, self.remedy)
    }
}

pub(super) fn toml_key(name: &str) -> String {
    name.to_owned()
}

pub(super) fn toml_string(value: &str) -> String {
    let escaped = value.chars().map(|letter| match letter {
        '"' | '\\' => format!("\\{letter}"),
        hidden if text::is_hostile(hidden) => format!("\\U{:08X}", u32::from(hidden)),
        shown => shown.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}
