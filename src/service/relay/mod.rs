//! Passes bytes between a connected client and a connected target until both directions have
//! ended.
//!
//! ```text
//!            ┌────────────── Relay (one future, one task) ──────────────┐
//!  client ── Socket ── Direction "to target": read, carry, write ── Socket ── target
//!            Socket ── Direction "to client": write, carry, read ── Socket
//!            └───────────────────────────────────────────────────────────┘
//! ```
//!
//! What both sides may rely on, whichever path the bytes take:
//!
//! - Bytes arrive unchanged, in order, and all of them, also those that were read from the client
//!   before there was a target (`early`).
//! - The end of one direction is passed on once everything before it is delivered, and the other
//!   direction goes on. When both have ended, the sockets are closed.
//! - A reset is passed on as a reset, at any moment. So is any other failure of a socket: a stream
//!   that was cut off must not look as if it had been finished.
//! - A side that doesn't read stops the other from being read. What Dormouse holds meanwhile is
//!   bounded for each connection, and for all of them by the limit given to [`Paths::new`].
//! - A connection without bytes under way owns no buffer and no pipe, only its two sockets and a
//!   future of some 200 bytes.
//!
//! Two paths do the carrying, behind the same few functions; a [`Direction`](direction) picks one
//! of them for each read:
//!
//! - [`copy`] reads into a buffer that belongs to the thread and writes from it at once. Only what
//!   the writer refused is kept. It costs one `recv` and one `send` for a message, runs anywhere,
//!   and is the best there is for small messages.
//! - [`splice`] (Linux) moves pages through a pipe without looking at them, which costs half of a
//!   copy for large reads. A direction changes to it after a large read and leaves it after a
//!   small one.

mod buffers;
mod connection;
mod copy;
mod counted;
mod direction;
#[cfg(target_os = "linux")]
mod pipes;
mod pool;
mod read;
mod socket;
#[cfg(target_os = "linux")]
mod splice;

use std::io;

use tokio::net::TcpStream;

pub use connection::Relay;
pub use pool::{Mode, Paths, Usage};

/// Passes bytes both ways until both have ended. `early`: bytes already read from the client,
/// which reach the target first.
///
/// Dropping the future closes both connections where they are.
pub fn relay(client: TcpStream, target: TcpStream, early: Vec<u8>, paths: &Paths) -> Relay {
    Relay::new(client, target, early, paths.clone())
}

/// What a connection came to.
#[derive(Debug)]
pub struct Outcome {
    /// How many bytes were passed to the target, early ones included.
    pub to_target: u64,
    /// How many bytes were passed to the client.
    pub to_client: u64,
    /// How it ended.
    pub end: End,
}

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// Both sides finished what they had to send.
    Finished,
    /// This side reset the connection, and the other was reset for it.
    Reset(Side),
    /// The connection to this side failed otherwise (it timed out, say), and the other was reset
    /// for it.
    Failed(Side, io::Error),
}

/// One of the two that are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Whoever connected to Dormouse.
    Client,
    /// Whom Dormouse connected to.
    Target,
}
