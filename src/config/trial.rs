//! A config for a plugin alone, as its author tries it: one service, for which the plugin makes
//! every decision.
//!
//! Settings, grants and limits are those of `[plugins.NAME]`, read by the same functions: from
//! flags ([`from_flags`]), from a config that somebody runs ([`from_config`]), or from a script
//! (`super::script`).

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use toml::de::DeTable;

use super::fault::{Fault, Problem};
use super::flags::of_one;
use super::reader::Table;
use super::values::{self, Folder};
use super::{
    Config, Decider, Faults, Grants, Limits, Plugin, PluginId, PluginSource, Target, addresses,
    grants, judged, limits, plugin, service, settings, syntax,
};

/// The service of a plugin that is tried, if nobody names one.
pub(super) const SERVICE: &str = "try";

/// An address where nobody listens: that of the service, and of its target if nobody names one.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// What flags say about a plugin that is tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialFlags {
    /// `--target`: the address of the service's target.
    pub target: Option<String>,
    /// `--allow`: lines of `[plugins.NAME.allow]`.
    pub allow: Vec<String>,
    /// `--limits`: lines of `[plugins.NAME.limits]`.
    pub limits: Vec<String>,
    /// `--settings`: lines of `[plugins.NAME.settings]`, or a JSON object.
    pub settings: Option<String>,
}

/// Where a component is that somebody names on the command line: a file, or `builtin:NAME`.
///
/// # Errors
///
/// If there is no built-in plugin of that name, or the name can't be that of a file.
pub fn source(text: &str) -> Result<PluginSource, Faults> {
    let problem = match text.strip_prefix("builtin:") {
        Some(name) => match plugin::BUILTINS.iter().find(|known| **known == name) {
            Some(known) => return Ok(PluginSource::Builtin(known)),
            None => Problem::UnknownBuiltin { name: name.to_owned(), known: plugin::BUILTINS },
        },
        None => match Folder::new(Path::new(".")) {
            Ok(folder) => return Ok(PluginSource::File(folder.path(text))),
            Err(reason) => Problem::BadFolder { reason },
        },
    };
    Err(Faults::without_file(vec![Fault::of(problem)]))
}

/// The config of a plugin without grants, with the default limits.
pub fn bare(source: PluginSource) -> Config {
    let name = match &source {
        PluginSource::Builtin(name) => (*name).to_owned(),
        PluginSource::File(file) => {
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let good = values::is_good_name(stem);
            if good { stem.to_owned() } else { "plugin".to_owned() }
        }
    };
    let plugin = Plugin {
        name,
        hooks_of: None,
        source,
        settings: settings::none(),
        allow: Grants::default(),
        limits: Limits::default(),
        ca: None,
        sha256: None,
    };
    let target = Target { host: NOWHERE.ip().to_string(), port: NOWHERE.port() };
    let cooldown = service::Defaults::COOLDOWN;
    let service = service::plain(SERVICE, NOWHERE, target, PluginId(0), cooldown);
    let mut config = of_one(service, plugin);
    decides_all(&mut config, PluginId(0));
    config
}

/// The config that the flags mean, for the component at `source`.
///
/// # Errors
///
/// What is wrong with the first flag in which something is, with the place in its text.
pub fn from_flags(source: PluginSource, flags: &TrialFlags) -> Result<Config, Faults> {
    let mut config = bare(source);
    if let Some(text) = &flags.target {
        config.services[0].target = addresses::target(text).map_err(|mistake| {
            let (key, text) = ("--target", text.clone());
            Faults::without_file(vec![Fault::of(Problem::BadAddress { key, text, mistake })])
        })?;
    }
    let plugin = &mut config.plugins[0];
    plugin.allow = lines("--allow", &flags.allow.join("\n"), |table, faults| {
        let folder = Folder::new(Path::new("."));
        let bad_folder = |reason| faults.push(Fault::of(Problem::BadFolder { reason }));
        let folder = folder.map_err(bad_folder).ok()?;
        Some(grants::read(table, &folder, faults))
    })?;
    plugin.limits = lines("--limits", &flags.limits.join("\n"), limits::read)?;
    if let Some(text) = &flags.settings {
        plugin.settings = of_settings(text)?;
    }
    Ok(config)
}

/// The config in which the plugin `name` of `config` makes every decision for the first service
/// that it works for, with `source` as its component. `None` if no service has such a plugin.
pub fn from_config(config: &Config, name: &str, source: PluginSource) -> Option<Config> {
    let is_it = |plugin: &Plugin| plugin.hooks_of.is_none() && plugin.name == name;
    let id = PluginId(config.plugins.iter().position(is_it)?);
    let works_for = |service: &&super::Service| {
        let others = [service.readiness, service.gate, service.idleness];
        let is_it = |decider| decider == Decider::Plugin(id) || decider == Decider::IfExported(id);
        service.lifecycle == id || others.into_iter().any(is_it)
    };
    let service = config.services.iter().find(works_for)?.clone();
    let mut config = Config { services: vec![service], ..config.clone() };
    config.plugins[id.0].source = source;
    decides_all(&mut config, id);
    Some(config)
}

/// Lets a plugin make every decision for the only service.
fn decides_all(config: &mut Config, id: PluginId) {
    for service in &mut config.services {
        service.lifecycle = id;
        service.readiness = Decider::Plugin(id);
        service.gate = Decider::Plugin(id);
        service.idleness = Decider::Plugin(id);
    }
}

/// Reads the text of a flag, which is that of a table.
fn lines<T>(
    flag: &str,
    text: &str,
    read: impl FnOnce(Table<'_>, &mut Vec<Fault>) -> Option<T>,
) -> Result<T, Faults> {
    let mut faults = Vec::new();
    let (tree, errors) = DeTable::parse_recoverable(text);
    let understood = if errors.is_empty() {
        let mut table = Table::root(tree.get_ref());
        table.section = flag.to_owned();
        read(table, &mut faults)
    } else {
        faults = syntax::faults(errors, text);
        None
    };
    judged(understood, Faults::in_file(flag, text, faults)).map(|(understood, _)| understood)
}

/// `--settings`: a JSON object, an inline table, or the lines of a table.
fn of_settings(text: &str) -> Result<serde_json::Value, Faults> {
    if let Ok(object @ serde_json::Value::Object(_)) = serde_json::from_str(text) {
        return Ok(object);
    }
    if text.trim_start().starts_with('{') {
        return lines("--settings", &format!("settings = {text}"), |mut table, faults| {
            let value = table.take("settings")?;
            settings::read(&value, faults)
        });
    }
    lines("--settings", text, |table, faults| settings::read_all(&table, faults))
}
