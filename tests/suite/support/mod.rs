//! What the tests share.

pub mod command;
