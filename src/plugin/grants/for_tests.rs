//! What the tests of grants share.

use crate::config::{Grants, Limits, Plugin, PluginSource};

/// A plugin without grants.
pub(super) fn plugin() -> Plugin {
    Plugin {
        name: "docker".to_owned(),
        hooks_of: None,
        source: PluginSource::Builtin("shell"),
        settings: serde_json::json!({}),
        allow: Grants::default(),
        limits: Limits::default(),
        ca: None,
        sha256: None,
    }
}
