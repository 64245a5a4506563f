//! `state`: what outlasts a call.

use crate::plugin::bindings::state;
use crate::plugin::grants;
use crate::plugin::guest::Guest;
use crate::plugin::state_store::StateError;

impl state::Host for Guest {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, state::StateError> {
        let answer = self.worker.state.get(&key).await;
        answer.map_err(|error| self.report(error))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), state::StateError> {
        let answer = self.worker.state.set(key, value).await;
        answer.map_err(|error| self.report(error))
    }

    async fn delete(&mut self, key: String) -> Result<(), state::StateError> {
        let answer = self.worker.state.delete(key).await;
        answer.map_err(|error| self.report(error))
    }
}

impl Guest {
    /// A limit that is reached and a disk that fails are the operator's business, whatever the plugin
    /// makes of it.
    fn report(&self, error: StateError) -> state::StateError {
        match error {
            StateError::TooLong => state::StateError::TooLarge,
            StateError::Full => {
                self.worker.warn(&grants::more_state(&self.worker.plugin));
                state::StateError::TooLarge
            }
            StateError::Storage { .. } => {
                let (plugin, service) = (&self.worker.plugin.name, &self.worker.service.name);
                tracing::error!(plugin, service, "{error}");
                state::StateError::Storage(error.to_string())
            }
        }
    }
}
