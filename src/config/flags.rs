//! The seven flags of the tool that this one grew from: one service, without a config file.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::addresses::{self, AddressMistake};
use super::commands::Hooks;
use super::fault::{Fault, Problem};
use super::folders::Surroundings;
use super::machine::Machine;
use super::routes::{self, Route};
use super::values::{self, Folder, YEAR};
use super::{
    CompileLimits, Config, DRAIN, Depth, Faults, Plugin, PluginId, Relay, Service, Target, plugin,
    service,
};

/// The name of the service that the flags describe.
const NAME: &str = "default";

/// The flags, as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags {
    /// `--proxy-ip`: the address to listen on.
    pub proxy_ip: String,
    /// `--proxy-port`: the port to listen on.
    pub proxy_port: String,
    /// `--target-ip`: the address of the target.
    pub target_ip: String,
    /// `--target-port`: the port of the target.
    pub target_port: String,
    /// `--cooldown-period`: minutes, or a time with a unit.
    pub cooldown_period: String,
    /// `--hook-start-svc`: the program that starts the target.
    pub hook_start_svc: String,
    /// `--hook-stop-svc`: the program that stops it.
    pub hook_stop_svc: String,
}

/// The config that the flags mean: one service named `default`, whose hooks are relative to the
/// working directory.
///
/// # Errors
///
/// All that is wrong with the flags at once.
pub fn from_flags(flags: &Flags) -> Result<Config, Faults> {
    let mut faults = Vec::new();
    let config = understand(flags, &mut faults);
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(Faults::without_file(faults)),
    }
}

fn understand(flags: &Flags, faults: &mut Vec<Fault>) -> Option<Config> {
    let proxy_ip = checked("--proxy-ip", &flags.proxy_ip, addresses::address, faults);
    let proxy_port = checked("--proxy-port", &flags.proxy_port, addresses::port, faults);
    let target_ip = checked("--target-ip", &flags.target_ip, addresses::host, faults);
    let target_port = checked("--target-port", &flags.target_port, addresses::port, faults);
    let cooldown = cooldown("--cooldown-period", &flags.cooldown_period, faults);
    let hooks = hooks(flags, faults);
    let listen = SocketAddr::new(proxy_ip?, proxy_port?);
    let target = Target { host: target_ip?, port: target_port? };
    let route = Route {
        service: NAME.to_owned(),
        listen: vec![(listen, None)],
        targets: vec![(target.clone(), None)],
    };
    routes::find_loops(&[route], &Machine::local(), faults);
    let service = service::plain(NAME, listen, target, PluginId(0), cooldown?);
    let config = of_one(service, plugin::shell(NAME, &hooks?));
    faults.extend(super::unsafe_folder(&config.state_dir, None, Depth::Text));
    Some(config)
}

/// The config of one service, whose only plugin is this one.
pub(super) fn of_one(service: Service, plugin: Plugin) -> Config {
    let surroundings = Surroundings::of_process();
    Config {
        drain: DRAIN,
        relay: Relay::default(),
        state_dir: surroundings.state(),
        cache_dir: surroundings.cache(),
        compile: CompileLimits::default(),
        services: vec![service],
        plugins: vec![plugin],
    }
}

fn checked<T>(
    key: &'static str,
    text: &str,
    check: impl Fn(&str) -> Result<T, AddressMistake>,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let bad = |mistake| Fault::of(Problem::BadAddress { key, text: text.to_owned(), mistake });
    check(text).map_err(|mistake| faults.push(bad(mistake))).ok()
}

/// A whole number of minutes, or a duration.
fn cooldown(flag: &'static str, text: &str, faults: &mut Vec<Fault>) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let duration = if is_number {
        // More than fits is out of range as well.
        let minutes = text.parse::<u64>().unwrap_or(u64::MAX);
        Ok(Duration::from_secs(minutes.saturating_mul(60)))
    } else {
        values::duration(text)
    };
    let problem = match duration {
        Ok(duration) if duration <= YEAR => return Some(duration),
        Ok(_) => Problem::OutOfRange { key: flag.to_owned(), bounds: "at most 365d" },
        Err(_) => Problem::BadMinutes { flag, text: text.to_owned() },
    };
    faults.push(Fault::of(problem));
    None
}

/// Two programs, without arguments.
fn hooks(flags: &Flags, faults: &mut Vec<Fault>) -> Option<Hooks> {
    let folder = Folder::new(Path::new("."))
        .map_err(|reason| faults.push(Fault::of(Problem::BadFolder { reason })))
        .ok()?;
    let mut hook = |flag: &str, text: &str| {
        let bad = |mistake| {
            let (key, text) = (flag.to_owned(), text.to_owned());
            Fault::of(Problem::BadProgram { key, text, mistake })
        };
        folder.program(text).map_err(|mistake| faults.push(bad(mistake))).ok()
    };
    let start = hook("--hook-start-svc", &flags.hook_start_svc);
    let stop = hook("--hook-stop-svc", &flags.hook_stop_svc);
    Some(Hooks::start_and_stop(start?, stop?))
}

#[cfg(test)]
mod fuzz;
