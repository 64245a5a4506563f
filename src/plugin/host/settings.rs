//! `settings`: the plugin's table as JSON.

use crate::plugin::bindings::settings;
use crate::plugin::guest::Guest;

impl settings::Host for Guest {
    async fn get(&mut self) -> String {
        self.worker.settings.clone()
    }
}
