//! Dormouse: a TCP proxy that lets expensive servers sleep.
//!
//! Data goes one way: [`config`] → [`service`] → listener → client → relay. The [`lifecycle`]
//! decides beside it, without doing anything itself; plugins ([`plugin`]) answer behind a port
//! ([`decide`]); [`cli`] puts it all together. `docs/architecture.md` has the whole picture.

pub mod cli;
pub mod config;
pub mod decide;
pub mod files;
pub mod lifecycle;
pub mod plugin;
pub mod service;
pub mod telemetry;
pub mod text;
