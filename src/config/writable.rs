//! Folders that a plugin may write, and what stands in them that it must not change.
//!
//! A plugin that may write the folder of `state_dir`, of its own file or of a hook can give itself what
//! the config denies it. That is an error. A folder around another granted one is a warning: the plugin
//! can replace it, and who has the other grant is served what the first one put there.

use std::path::{Path, PathBuf};

use super::fault::{Fault, Problem, Span};
use super::{FolderGrant, HttpServer, Plugin, PluginSource};

/// A folder of an `allow.write`, and where it is written.
pub(super) struct WriteGrant {
    pub(super) plugin: String,
    pub(super) path: PathBuf,
    pub(super) place: Span,
}

/// What a plugin must not change.
struct Protected {
    /// For people: `` `state_dir` ``.
    what: String,
    path: PathBuf,
    /// Whether a folder in it is as bad as one around it.
    is_whole: bool,
    is_fatal: bool,
    /// The plugin that may write it.
    writer: Option<String>,
}

/// The paths of a config that no plugin must write.
pub(super) struct Paths<'a> {
    pub(super) config: &'a Path,
    pub(super) state_dir: Option<&'a Path>,
    pub(super) cache_dir: Option<&'a Path>,
    pub(super) plugins: &'a [Plugin],
}

/// Complains of each grant that lets a plugin change what it must not.
pub(super) fn check(grants: &[WriteGrant], paths: &Paths<'_>, faults: &mut Vec<Fault>) {
    if grants.is_empty() {
        return;
    }
    let mut protected = protected(paths);
    protected.iter_mut().for_each(|protected| protected.path = real(&protected.path));
    for WriteGrant { plugin, path, place } in grants {
        let folder = real(path);
        let within = |is_fatal: bool| {
            let all = protected.iter().filter(|protected| protected.is_fatal == is_fatal);
            let mut within: Vec<String> = all
                .filter(|protected| protected.is_within(&folder, plugin))
                .map(|protected| protected.what.clone())
                .collect();
            within.dedup();
            within
        };
        let fatal = within(true);
        if !fatal.is_empty() {
            let problem = Problem::WritableByPlugin { plugin: plugin.clone(), what: fatal };
            faults.push(Fault::at(place.clone(), problem));
        }
        let others = within(false);
        if !others.is_empty() {
            let problem = Problem::ReplaceableByPlugin { plugin: plugin.clone(), what: others };
            faults.push(Fault::at(place.clone(), problem));
        }
    }
}

impl Protected {
    /// Whether `plugin`, which may write `folder`, could change it.
    fn is_within(&self, folder: &Path, plugin: &str) -> bool {
        // A plugin with the same folder shares it on purpose, and its own it may change anyway.
        if !self.is_fatal && (self.path == folder || self.writer.as_deref() == Some(plugin)) {
            return false;
        }
        self.path.starts_with(folder) || (self.is_whole && folder.starts_with(&self.path))
    }
}

fn protected(paths: &Paths<'_>) -> Vec<Protected> {
    let fatal = |what: String, path: &Path| Protected {
        what,
        path: path.to_owned(),
        is_whole: false,
        is_fatal: true,
        writer: None,
    };
    let mut all = vec![fatal("the config file".to_owned(), paths.config)];
    all.extend(paths.state_dir.map(|path| fatal("`state_dir`".to_owned(), path)));
    let cache_dir = paths.cache_dir.map(|path| fatal("`cache_dir`".to_owned(), path));
    all.extend(cache_dir.map(|cache| Protected { is_whole: true, ..cache }));
    for plugin in paths.plugins {
        if let PluginSource::File(file) = &plugin.source {
            all.push(fatal(format!("the file of the plugin `{}`", plugin.name), file));
        }
        if let Some(file) = &plugin.ca {
            all.push(fatal(format!("the file `ca` of the plugin `{}`", plugin.name), file));
        }
        for grant in &plugin.allow.exec {
            // A name without a slash is found in `PATH`, which is the operator's.
            if grant.program.contains('/') {
                let what = format!("the program `{}`", grant.program);
                all.push(fatal(what, Path::new(&grant.program)));
            }
        }
        let granted = |what: String, path: &Path, writer| Protected {
            what: format!("{what}, which is granted to the plugin `{}`", plugin.name),
            path: path.to_owned(),
            is_whole: false,
            is_fatal: false,
            writer,
        };
        let folder = |grant: &FolderGrant, writer| {
            granted(format!("the folder `{}`", grant.name), &grant.path, writer)
        };
        all.extend(plugin.allow.read.iter().map(|grant| folder(grant, None)));
        let writer = Some(plugin.name.clone());
        all.extend(plugin.allow.write.iter().map(|grant| folder(grant, writer.clone())));
        all.extend(plugin.allow.http.iter().filter_map(|grant| match &grant.server {
            HttpServer::Socket { socket, .. } => {
                Some(granted(format!("the socket `{}`", socket.display()), socket, None))
            }
            HttpServer::Host { .. } => None,
        }));
    }
    all
}

/// `path` without symbolic links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for there in absolute.ancestors() {
        if let Ok(real) = there.canonicalize() {
            let rest = absolute.strip_prefix(there).unwrap_or(Path::new(""));
            return real.join(rest);
        }
    }
    absolute
}
