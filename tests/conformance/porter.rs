//! A stage for the example plugin, which is a gate and judges readiness.

use std::path::Path;

use dormouse::config::{PluginId, PluginSource};
use serde_json::{Value, json};

use super::stage::{Stage, plugin, share_cache};

/// A config in which `component` decides what it can, and the shell plugin the rest. It is compiled
/// once for all stages: in some languages that takes seconds.
pub(crate) fn stage(component: &[u8], settings: Value) -> Stage {
    let mut stage = Stage::new(component);
    stage.config.cache_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance");
    share_cache(&stage.config.state_dir);
    stage.plugin().settings = settings;
    let mut shell = plugin("shell", Path::new(""));
    shell.source = PluginSource::Builtin("shell");
    shell.settings = json!({ "start": "true", "stop": "true" });
    stage.config.plugins.push(shell);
    stage.service().lifecycle = PluginId(1);
    stage
}
