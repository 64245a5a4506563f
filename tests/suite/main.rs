//! Everything that needs more than one module, in one binary. See `docs/architecture.md`, "Tests".
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

mod commands;
mod components;
mod config;
mod demo;
mod documents;
mod examples;
mod flags;
mod hostile;
mod messages;
mod plugin_calls;
mod plugin_examples;
mod plugin_load;
mod plugin_reload;
mod plugin_tools;
mod process;
mod proxy;
mod relay;
mod runtime_messages;
mod shell;
mod structure;
mod support;
