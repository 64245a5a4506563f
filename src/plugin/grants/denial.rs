//! What the operator and the guest learn about a denial, and the words of TOML in it.

use crate::text;

/// A plugin wanted something that the config does not grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::plugin) struct Denial {
    /// What it wanted, for people: the end of the sentence "it wanted to …".
    pub(in crate::plugin) wanted: String,
    /// What would allow it: a sentence, or lines of TOML.
    pub(in crate::plugin) remedy: String,
}

impl Denial {
    /// It wanted to `wanted`; `remedy` would allow it.
    pub(in crate::plugin) fn new(wanted: String, remedy: String) -> Denial {
        Denial { wanted, remedy }
    }

    /// The text of the error that the guest gets.
    pub(in crate::plugin) fn for_guest(&self) -> String {
        format!("the config does not let this plugin {}. {}", self.wanted, self.remedy)
    }
}

/// `name` as a part of a TOML key.
pub(in crate::plugin) fn toml_key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { toml_string(name) }
}

/// `value` as a TOML string on one line, without a single raw control character.
pub(in crate::plugin) fn toml_string(value: &str) -> String {
    let mut written = String::with_capacity(value.len() + 2);
    written.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => written.extend(['\\', character]),
            hidden if text::is_hostile(hidden) => {
                written.push_str(&format!("\\U{:08X}", u32::from(hidden)));
            }
            shown => written.push(shown),
        }
    }
    written.push('"');
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_quoted_only_where_toml_wants_it() {
        for bare in ["web", "web-1", "_web", "8080"] {
            assert_eq!(toml_key(bare), bare);
        }
        for quoted in ["", "my docker", "a.b", "ä"] {
            assert_eq!(toml_key(quoted), format!("\"{quoted}\""));
        }
        assert_eq!(toml_key("a\n"), r#""a\U0000000A""#);
    }
}
