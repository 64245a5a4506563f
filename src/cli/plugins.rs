//! Loads the plugins of a config for those commands that only look at them.

use super::{Complaint, Exports, Failure};
use crate::config::Config;
use crate::plugin::{Decision, Host};

/// What each plugin of the config exports, or why it can't be loaded.
///
/// # Errors
///
/// If plugins can't be run on this machine at all.
pub(super) fn exports(config: &Config) -> Result<Vec<Result<Exports, Complaint>>, Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::from(Complaint::new(format!("plugins can't be run: {error}")))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot(&error))?;
    let _inside = runtime.enter();
    let host = Host::new(config).map_err(|error| cannot(&error))?;
    Ok(runtime.block_on(async {
        let mut all = Vec::new();
        for plugin in &config.plugins {
            all.push(match host.load(plugin).await {
                Ok(loaded) => Ok(exported(&loaded.decisions())),
                Err(error) => Err(Complaint::new(error.to_string())),
            });
        }
        all
    }))
}

fn exported(decisions: &[Decision]) -> Exports {
    Exports {
        lifecycle: decisions.contains(&Decision::Lifecycle),
        readiness: decisions.contains(&Decision::Readiness),
        gate: decisions.contains(&Decision::Gate),
        idleness: decisions.contains(&Decision::Idleness),
    }
}
