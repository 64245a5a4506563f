//! What breaks things: ends and freezes of Dormouse and of targets, a log that is not read, a full disk;
//! and the weather, which says when the clients of a service stay away, so that its target falls asleep.

mod on_dormouse;
mod on_surroundings;
mod on_targets;
mod weather;

pub use on_dormouse::OnDormouse;
pub use on_surroundings::OnSurroundings;
pub use on_targets::OnTargets;
pub use weather::Weather;
