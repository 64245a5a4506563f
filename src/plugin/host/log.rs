//! `log`: a line in Dormouse's log.

use crate::plugin::bindings::log;
use crate::plugin::guest::Guest;
use crate::plugin::voice::Loudness;

impl log::Host for Guest {
    async fn write(&mut self, level: log::Level, message: String) {
        let loudness = match level {
            log::Level::Debug => Loudness::Debug,
            log::Level::Info => Loudness::Info,
            log::Level::Warning => Loudness::Warning,
            log::Level::Error => Loudness::Error,
        };
        self.voice.say(loudness, &message);
    }
}
