//! Folders that a plugin may change, and what else lies in them.
//!
//! A plugin that may write to the folder of the config, of another plugin or of a hook can give
//! itself whatever it wants: these are errors. What lets it act on another plugin alone may be
//! meant, and is a warning.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::fault::{Fault, Problem, Severity, Span};
use super::hooks;
use super::reader::Table;
use super::values::Folder;
use super::{Config, HttpServer, Plugin, PluginSource};

/// How many links one path may lead through.
const MAX_LINKS: usize = 40;

/// A `write` grant.
struct Grant<'c> {
    /// Of which plugin of the config.
    plugin: usize,
    name: &'c str,
    /// Without links.
    path: PathBuf,
    written: &'c Path,
    place: Option<Span>,
}

/// Something that a plugin should not be able to change.
struct Precious {
    /// In words.
    what: String,
    path: PathBuf,
    severity: Severity,
}

/// How a folder lies to something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// They are the same.
    Same,
    /// It is around the other.
    Around,
    /// It is inside of the other.
    Inside,
}

impl Overlap {
    /// How `folder` lies to `other`, if they have anything in common.
    fn of(folder: &Path, other: &Path) -> Option<Overlap> {
        if folder == other {
            Some(Overlap::Same)
        } else if other.starts_with(folder) {
            Some(Overlap::Around)
        } else if folder.starts_with(other) {
            Some(Overlap::Inside)
        } else {
            None
        }
    }
}

/// Finds `write` grants of `config`, which was read from `path`, that overlap with what a plugin
/// should not change. `tree` says where they stand.
pub(super) fn find(
    config: &Config,
    path: &Path,
    tree: &DeTable<'_>,
    folder: &Folder,
    faults: &mut Vec<Fault>,
) {
    let places = Places { tree, folder };
    let grants = grants(config, &places);
    if grants.is_empty() {
        return;
    }
    let common = common(config, path);
    for (number, grant) in grants.iter().enumerate() {
        // A grant around ten hooks is one mistake.
        let mut known: Vec<PathBuf> = Vec::new();
        for precious in &common {
            if !known.contains(&precious.path) && report(grant, precious, faults) {
                known.push(precious.path.clone());
            }
        }
        let others = others(config, &grants, number);
        for precious in others {
            report(grant, &precious, faults);
        }
    }
}

/// Reports it if `grant` overlaps with `precious`.
fn report(grant: &Grant<'_>, precious: &Precious, faults: &mut Vec<Fault>) -> bool {
    let Some(overlap) = Overlap::of(&grant.path, &precious.path) else { return false };
    let problem = Problem::Overlap {
        plugin: grant.name.to_owned(),
        folder: grant.written.display().to_string(),
        what: precious.what.clone(),
        path: precious.path.display().to_string(),
        overlap,
        severity: precious.severity,
    };
    faults.push(Fault { place: grant.place.clone(), problem });
    true
}

fn grants<'c>(config: &'c Config, places: &Places<'_>) -> Vec<Grant<'c>> {
    let mut grants = Vec::new();
    for (number, plugin) in config.plugins.iter().enumerate() {
        let places = places.of_grants(&plugin.name, "write");
        for folder in &plugin.allow.write {
            let place = places.iter().find(|(path, _)| *path == folder.path);
            grants.push(Grant {
                plugin: number,
                name: &plugin.name,
                path: resolved(&folder.path),
                written: &folder.path,
                place: place.map(|(_, place)| place.clone()),
            });
        }
    }
    grants
}

/// What no plugin should be able to change.
fn common(config: &Config, path: &Path) -> Vec<Precious> {
    let error = |what: String, path: &Path| Precious {
        what,
        path: resolved(path),
        severity: Severity::Error,
    };
    let mut all = vec![
        error("`state_dir`".into(), &config.state_dir),
        error("`cache_dir`".into(), &config.cache_dir),
        error("the config file".into(), path),
    ];
    for plugin in &config.plugins {
        if let PluginSource::File(file) = &plugin.source {
            all.push(error(format!("the file of plugin `{}`", plugin.name), file));
        }
        for grant in &plugin.allow.exec {
            if let Some(program) = hooks::program_file(&grant.program) {
                all.push(error(program_of(plugin, &grant.program), &program));
            }
        }
        for command in hooks_of(plugin) {
            if let Some(program) = hooks::program_file(command) {
                all.push(error(program_of(plugin, command), &program));
            }
        }
    }
    for plugin in &config.plugins {
        if let Some(ca) = &plugin.ca {
            let mut precious = error(format!("the `ca` file of plugin `{}`", plugin.name), ca);
            precious.severity = Severity::Warning;
            all.push(precious);
        }
        for grant in &plugin.allow.http {
            if let HttpServer::Socket { socket, .. } = &grant.server {
                let what = format!("a socket in `allow.http` of plugin `{}`", plugin.name);
                let mut precious = error(what, socket);
                precious.severity = Severity::Warning;
                all.push(precious);
            }
        }
    }
    all
}

/// A program, and who runs it.
fn program_of(plugin: &Plugin, program: &str) -> String {
    match &plugin.hooks_of {
        Some(service) => format!("the hook `{program}` of service `{service}`"),
        None => format!("the program `{program}` of plugin `{}`", plugin.name),
    }
}

/// The programs of a shell plugin's hooks.
fn hooks_of(plugin: &Plugin) -> impl Iterator<Item = &str> {
    let is_shell = matches!(plugin.source, PluginSource::Builtin(_));
    let hooks = plugin.settings.as_object().filter(|_| is_shell);
    hooks.into_iter().flatten().filter_map(|(_, command)| command.as_array()?.first()?.as_str())
}

/// Folders of other grants. Of two `write` grants, the later one is reported.
fn others(config: &Config, grants: &[Grant<'_>], number: usize) -> Vec<Precious> {
    let grant = &grants[number];
    let warning =
        |what: String, path: PathBuf| Precious { what, path, severity: Severity::Warning };
    let mut all = Vec::new();
    for earlier in &grants[..number] {
        let is_same = earlier.plugin == grant.plugin && earlier.path == grant.path;
        if !is_same {
            let what = format!("a folder that plugin `{}` may write", earlier.name);
            all.push(warning(what, earlier.path.clone()));
        }
    }
    for (other, plugin) in config.plugins.iter().enumerate() {
        for folder in &plugin.allow.read {
            let path = resolved(&folder.path);
            // Of what it may read, a plugin may well be granted a part to write.
            let is_part = other == grant.plugin && grant.path.starts_with(&path);
            if !is_part {
                let what = format!("a folder that plugin `{}` may read", plugin.name);
                all.push(warning(what, path));
            }
        }
    }
    all
}

/// Where grants stand in the file.
struct Places<'t> {
    tree: &'t DeTable<'t>,
    folder: &'t Folder,
}

impl Places<'_> {
    /// The paths of a grant of `plugin`, as they are in the config.
    fn of_grants(&self, plugin: &str, key: &'static str) -> Vec<(PathBuf, Span)> {
        let mut ignored = Vec::new();
        let mut table = Table::root(self.tree);
        let found = table.take("plugins").and_then(|plugins| {
            let place = plugins.place.clone();
            let table = Table::of(&plugins, String::new(), place, "", &mut ignored)?;
            let (_, _, value) = table.entries().into_iter().find(|(name, ..)| *name == plugin)?;
            let place = value.place.clone();
            let mut table = Table::of(&value, String::new(), place.clone(), "", &mut ignored)?;
            let allow = table.take("allow")?;
            Table::of(&allow, String::new(), place, "", &mut ignored)?.take(key)
        });
        let values = found.map(|list| list.each()).unwrap_or_default();
        let path = |value: &super::reader::Value<'_>| {
            let text = value.text("", "", &mut Vec::new())?;
            Some((self.folder.path(text), value.place.clone()))
        };
        values.iter().filter_map(path).collect()
    }
}

/// `path` without links and `..`, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let mut left = Vec::new();
        let mut there = path.as_path();
        let canonical = loop {
            match there.canonicalize() {
                Ok(canonical) => break Some(canonical),
                Err(_) => match (there.parent(), there.file_name()) {
                    (Some(parent), Some(name)) => {
                        left.push(name.to_owned());
                        there = parent;
                    }
                    _ => break None,
                },
            }
        };
        let Some(mut canonical) = canonical else { return path };
        // A link to something that is not there leads there all the same.
        if let Some(first) = left.last()
            && let Ok(target) = canonical.join(first).read_link()
        {
            left.pop();
            canonical.push(target);
            canonical.extend(left.iter().rev());
            path = canonical;
            continue;
        }
        canonical.extend(left.iter().rev());
        return canonical;
    }
    path
}
