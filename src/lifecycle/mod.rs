//! The lifecycle of a target.
