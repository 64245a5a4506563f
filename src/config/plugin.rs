//! Plugins: `[plugins.NAME]`, and the register in which services look them up.

use std::path::PathBuf;

use super::commands::Hooks;
use super::fault::{Fault, Problem, Span, closest};
use super::grants;
use super::limits;
use super::reader::{Table, Value};
use super::settings;
use super::values::{self, Folder};
use super::{Grants, Limits, Plugin, PluginId, PluginSource};

/// The components in the binary: `wasm = "builtin:NAME"`.
pub const BUILTINS: &[&str] = &["shell"];

/// The built-in plugin that runs hooks.
pub(super) const SHELL: &str = "shell";

const PLUGIN: &str = "`[plugins.NAME]` with `wasm = \"FILE.wasm\"`";

/// All plugins of a config: those that are declared, and of these the ones that are used.
pub(super) struct Plugins {
    declared: Vec<Declared>,
    used: Vec<Plugin>,
}

struct Declared {
    name: String,
    place: Span,
    /// `None` if it has faults of its own: then it is known, and nothing else is said about it.
    plugin: Option<Plugin>,
    /// The hooks of a shell plugin.
    hooks: Option<Hooks>,
    used_as: Option<PluginId>,
}

/// A plugin that a service refers to.
pub(super) struct Reference<'p> {
    pub(super) id: PluginId,
    /// The hooks that it has, if it is the shell plugin, which decides what it has hooks for.
    pub(super) hooks: Option<&'p Hooks>,
}

impl Plugins {
    /// Reads `[plugins]`.
    pub(super) fn read(
        value: Option<Value<'_>>,
        folder: &Folder,
        faults: &mut Vec<Fault>,
    ) -> Plugins {
        let mut plugins = Plugins { declared: Vec::new(), used: Vec::new() };
        let Some(value) = value else { return plugins };
        let table = Table::of(&value, "plugins".into(), value.place.clone(), PLUGIN, faults);
        for (name, place, value) in table.iter().flat_map(Table::entries) {
            if !values::is_good_name(name) {
                let name = name.to_owned();
                faults.push(Fault::at(place.clone(), Problem::BadName { what: "plugin", name }));
            }
            let section = format!("plugins.{name}");
            let read = Table::of(&value, section, place.clone(), PLUGIN, faults)
                .and_then(|table| plugin(name, table, folder, faults));
            let (plugin, hooks) = read.unzip();
            let (name, hooks) = (name.to_owned(), hooks.flatten());
            plugins.declared.push(Declared { name, place, plugin, hooks, used_as: None });
        }
        plugins
    }

    /// The plugin that `value` names.
    pub(super) fn refer(
        &mut self,
        key: &'static str,
        value: &Value<'_>,
        faults: &mut Vec<Fault>,
    ) -> Option<Reference<'_>> {
        let name = value.text("the name of a plugin", "a string, such as `\"docker\"`", faults)?;
        let Some(index) = self.declared.iter().position(|declared| declared.name == name) else {
            let known: Vec<_> = self.declared.iter().map(|known| known.name.clone()).collect();
            let meant = closest(name, known.iter().map(String::as_str)).map(str::to_owned);
            let builtin = BUILTINS.contains(&name);
            let name = name.to_owned();
            faults.push(value.fault(Problem::UnknownPlugin { key, name, meant, known, builtin }));
            return None;
        };
        let declared = &mut self.declared[index];
        let id = *declared.used_as.get_or_insert(PluginId(self.used.len()));
        // One with faults is counted as used; an id that leads nowhere is never seen, since the
        // faults are reported instead of the config.
        if let Some(plugin) = declared.plugin.take() {
            self.used.push(plugin);
        }
        Some(Reference { id, hooks: declared.hooks.as_ref() })
    }

    /// Adds the plugin that runs the hooks of one service.
    pub(super) fn add_hooks(&mut self, service: &str, hooks: &Hooks) -> PluginId {
        self.used.push(shell(service, hooks));
        PluginId(self.used.len() - 1)
    }

    /// Those that are used. Warns of the others, unless one of them may be what a reference meant
    /// that leads nowhere.
    pub(super) fn finish(self, faults: &mut Vec<Fault>) -> Vec<Plugin> {
        let is_lost = |fault: &Fault| matches!(fault.problem, Problem::UnknownPlugin { .. });
        if faults.iter().any(is_lost) {
            return self.used;
        }
        for declared in self.declared {
            if declared.used_as.is_none() {
                let name = declared.name;
                faults.push(Fault::at(declared.place, Problem::UnusedPlugin { name }));
            }
        }
        self.used
    }
}

/// The plugin that runs the hooks of one service, with a grant for exactly these.
pub(super) fn shell(service: &str, hooks: &Hooks) -> Plugin {
    Plugin {
        name: SHELL.into(),
        hooks_of: Some(service.to_owned()),
        source: PluginSource::Builtin(SHELL),
        sha256: None,
        settings: hooks.settings(),
        allow: Grants { exec: hooks.grants(), ..Grants::default() },
        limits: Limits::default(),
        ca: None,
    }
}

/// One `[plugins.NAME]`, with its hooks if it is the shell plugin.
fn plugin(
    name: &str,
    mut table: Table<'_>,
    folder: &Folder,
    faults: &mut Vec<Fault>,
) -> Option<(Plugin, Option<Hooks>)> {
    let source = table.require(
        "wasm",
        "\"plugins/docker.wasm\"",
        |value, faults| source(value, folder, faults),
        faults,
    );
    let sha256 = table.take_or("sha256", None, sum, faults);
    let given = table.take("settings");
    let is_shell = source == Some(PluginSource::Builtin(SHELL));
    let (settings, hooks) = if is_shell {
        let hooks = given.and_then(|value| {
            let place = table.place_of("settings").unwrap_or(value.place.clone());
            let section = format!("{}.settings", table.section);
            let table = Table::of(&value, section, place, settings::EXAMPLE, faults)?;
            Some(Hooks::read(table, folder, faults))
        });
        let hooks = hooks.unwrap_or_default();
        (Some(hooks.settings()), Some(hooks))
    } else {
        (given.map_or(Some(settings::none()), |value| settings::read(&value, faults)), None)
    };
    let section = table.section.clone();
    let allow = table.take_or(
        "allow",
        Grants::default(),
        |value, faults| {
            let section = format!("{section}.allow");
            let table = Table::of(value, section, value.place.clone(), grants::EXAMPLE, faults)?;
            Some(grants::read(table, folder, faults))
        },
        faults,
    );
    let limits = table.take_or(
        "limits",
        Limits::default(),
        |value, faults| {
            let section = format!("{section}.limits");
            let table = Table::of(value, section, value.place.clone(), limits::EXAMPLE, faults)?;
            limits::read(table, faults)
        },
        faults,
    );
    let ca = table.take_or(
        "ca",
        None,
        |value, faults| certificates(value, folder, faults).map(Some),
        faults,
    );
    table.finish(faults);
    if let (Some(hooks), Some(allow)) = (&hooks, &allow) {
        hooks.warn_of_denials(name, &allow.exec, faults);
    }
    let plugin = Plugin {
        name: name.to_owned(),
        hooks_of: None,
        source: source?,
        sha256: sha256?,
        settings: settings?,
        allow: allow?,
        limits: limits?,
        ca: ca?,
    };
    Some((plugin, hooks))
}

/// `wasm`: a path, or `builtin:NAME`.
fn source(value: &Value<'_>, folder: &Folder, faults: &mut Vec<Fault>) -> Option<PluginSource> {
    let text = value.text("a path or \"builtin:NAME\"", "`\"plugins/docker.wasm\"`", faults)?;
    let Some(name) = text.strip_prefix("builtin:") else {
        if text.is_empty() || text.contains('\0') || text.starts_with("~/") {
            // The words for a program that is none fit a component as well.
            let mistake = folder.program(text).err()?;
            let (key, text) = (value.key.clone(), text.to_owned());
            faults.push(value.fault(Problem::BadProgram { key, text, mistake }));
            return None;
        }
        return Some(PluginSource::File(folder.path(text)));
    };
    let known = BUILTINS.iter().find(|known| **known == name);
    if known.is_none() {
        let problem = Problem::UnknownBuiltin { name: name.to_owned(), known: BUILTINS };
        faults.push(value.fault(problem));
    }
    known.copied().map(PluginSource::Builtin)
}

/// `ca`: a file of certificates.
fn certificates(value: &Value<'_>, folder: &Folder, faults: &mut Vec<Fault>) -> Option<PathBuf> {
    let text = value.text("a path", "a string, such as `\"./ca.pem\"`", faults)?;
    if let Some(mistake) = folder.program(text).err() {
        let (key, text) = (value.key.clone(), text.to_owned());
        faults.push(value.fault(Problem::BadProgram { key, text, mistake }));
        return None;
    }
    Some(folder.path(text))
}

/// `sha256`: the sum of the component.
fn sum(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<Option<[u8; 32]>> {
    let text = value.text("a SHA-256 sum", "a string of 64 hexadecimal digits", faults)?;
    let sum = values::sha256(text);
    if sum.is_none() {
        faults.push(value.fault(Problem::BadSum { text: text.to_owned() }));
    }
    sum.map(Some)
}
