//! A component that is loaded, in the version that decides by now.
//!
//! Calls take the version of the moment and keep it to their end; so does a conversation at the
//! gate. A new version takes the place of the old one for the calls that come: the old one is
//! dropped when the last of its calls is over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::error::LoadFault;
use super::exports::Loaded;
use super::interface::Decision;
use super::load::{Stamp, Sum};

/// One version of a component.
pub(super) struct Version {
    pub(super) loaded: Arc<Loaded>,
    /// The sum of its bytes.
    pub(super) sum: Sum,
    /// How its file looked when it was read, if it came from one.
    pub(super) stamp: Option<Stamp>,
}

/// A service relies on a plugin for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) plugin: String,
    pub(super) service: String,
    pub(super) decision: Decision,
}

/// A component in its newest version, and who needs what of it.
pub(super) struct Current {
    version: RwLock<Version>,
    needs: Mutex<Vec<Need>>,
}

impl Current {
    pub(super) fn new(version: Version) -> Current {
        Current { version: RwLock::new(version), needs: Mutex::default() }
    }

    /// The version for the next call.
    pub(super) fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.version.read().unwrap_or_else(PoisonError::into_inner).loaded)
    }

    /// The sum of the version of now.
    pub(super) fn sum(&self) -> Sum {
        self.version.read().unwrap_or_else(PoisonError::into_inner).sum
    }

    /// Notes that a service relies on it, if it makes that decision; false if it doesn't.
    pub(super) fn claim(&self, need: Need) -> bool {
        let mut needs = self.needs();
        let makes = self.loaded().makes(need.decision);
        if makes && !needs.contains(&need) {
            needs.push(need);
        }
        makes
    }

    /// The plugins of the config that are this component.
    pub(super) fn plugins(&self) -> Vec<String> {
        let mut plugins: Vec<_> = self.needs().iter().map(|need| need.plugin.clone()).collect();
        plugins.sort_unstable();
        plugins.dedup();
        plugins
    }

    /// Lets `version` decide from the next call on.
    ///
    /// # Errors
    ///
    /// If it lacks a decision that somebody relies on. Nothing is changed then.
    pub(super) fn replace(&self, version: Version) -> Result<(), LoadFault> {
        let needs = self.needs();
        if let Some(need) = needs.iter().find(|need| !version.loaded.makes(need.decision)) {
            return Err(LoadFault::LostDecision {
                service: need.service.as_str().into(),
                decision: need.decision,
            });
        }
        let mut current = self.version.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, version);
        // Its native code is freed, which takes longer than anybody should hold a lock.
        drop((current, needs));
        drop(old);
        Ok(())
    }

    fn needs(&self) -> MutexGuard<'_, Vec<Need>> {
        self.needs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
