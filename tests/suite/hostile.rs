//! Plugins that mean harm, against the whole program.
//!
//! Each test has one *ordeal* ([`ordeal`]): Dormouse with two services, of which `web` has its
//! decisions made by a plugin that misbehaves, and `other` carries traffic all along. What is
//! asserted everywhere:
//!
//! - no answer of `other` is lost, and none comes late;
//! - what happened is told in one line, and the log has neither many lines nor a control character;
//! - nothing is left behind: no descriptor, no process, no memory, no temporary file;
//! - `web` is served after it, and Dormouse ends in good order.
//!
//! What exactly is said of each limit, and that it ends the call, stands in `plugin_calls`; here it
//! is seen that nobody else pays for it.

mod asking;
mod crowding;
mod flooding;
mod greedy;
mod looping;
mod naming;
mod ordeal;
mod places;
mod reaching;
mod witness;

/// A loop that never ends, in a function with a result.
const LOOP: &str = "(loop $again (br $again)) (unreachable)";
