//! What one read of a direction comes to, whichever path it takes.

use std::io;

/// Why a direction failed.
pub(super) enum Fault {
    /// The side that is read from failed.
    Reading(io::Error),
    /// The side that is written to failed.
    Writing(io::Error),
}

/// What became of one read.
pub(super) enum Received<Rest> {
    /// There is nothing to read; the task will be woken.
    Nothing,
    /// Nothing more will come.
    End,
    /// `read` bytes came, `written` of them were written, the others are the rest.
    Bytes { read: usize, written: usize, rest: Option<Rest> },
}
