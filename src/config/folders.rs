//! Where state and compiled plugins are kept if the config does not say.
//!
//! systemd names the folders that it made for a unit; without it, root has those of the system and
//! everybody else those of the XDG base directories.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the folders depend on, apart from the config.
pub(super) struct Surroundings {
    variable: fn(&str) -> Option<OsString>,
    is_root: bool,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_process() -> Surroundings {
        Surroundings {
            variable: |name| std::env::var_os(name),
            is_root: rustix::process::geteuid().is_root(),
        }
    }

    /// The folder for the state of plugins.
    pub(super) fn state(&self) -> PathBuf {
        self.folder("STATE_DIRECTORY", "/var/lib/dormouse", "XDG_STATE_HOME", ".local/state")
    }

    /// The folder for compiled plugins.
    pub(super) fn cache(&self) -> PathBuf {
        self.folder("CACHE_DIRECTORY", "/var/cache/dormouse", "XDG_CACHE_HOME", ".cache")
    }

    fn folder(&self, systemd: &str, system: &str, xdg: &str, in_home: &str) -> PathBuf {
        if let Some(folder) = self.absolute(systemd) {
            return folder;
        }
        if self.is_root {
            return system.into();
        }
        if let Some(base) = self.absolute(xdg) {
            return base.join("dormouse");
        }
        match self.absolute("HOME") {
            Some(home) => home.join(in_home).join("dormouse"),
            None => system.into(),
        }
    }

    /// The first path of a variable (systemd writes a list with colons), if it is absolute: the
    /// XDG rules say to ignore others.
    fn absolute(&self, name: &str) -> Option<PathBuf> {
        let value = (self.variable)(name)?;
        std::env::split_paths(&value).next().filter(|path| Path::is_absolute(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(is_root: bool, variable: fn(&str) -> Option<OsString>) -> (PathBuf, PathBuf) {
        let surroundings = Surroundings { variable, is_root };
        (surroundings.state(), surroundings.cache())
    }

    #[test]
    fn the_folders_that_systemd_made_come_first() {
        let folders = both(true, |name| match name {
            "STATE_DIRECTORY" => Some("/var/lib/dm:/var/lib/other".into()),
            "CACHE_DIRECTORY" => Some("/var/cache/dm".into()),
            _ => None,
        });
        assert_eq!(folders, ("/var/lib/dm".into(), "/var/cache/dm".into()));
    }

    #[test]
    fn root_has_the_folders_of_the_system() {
        let folders = both(true, |name| (name == "HOME").then(|| "/root".into()));
        assert_eq!(folders, ("/var/lib/dormouse".into(), "/var/cache/dormouse".into()));
    }

    #[test]
    fn others_have_folders_at_home() {
        let folders = both(false, |name| (name == "HOME").then(|| "/home/me".into()));
        assert_eq!(
            folders,
            ("/home/me/.local/state/dormouse".into(), "/home/me/.cache/dormouse".into())
        );
    }

    #[test]
    fn xdg_folders_come_before_those_at_home() {
        let folders = both(false, |name| match name {
            "HOME" => Some("/home/me".into()),
            "XDG_STATE_HOME" => Some("/data/state".into()),
            "XDG_CACHE_HOME" => Some("relative".into()),
            _ => None,
        });
        assert_eq!(folders, ("/data/state/dormouse".into(), "/home/me/.cache/dormouse".into()));
    }

    #[test]
    fn without_a_home_the_folders_of_the_system_are_all_there_is() {
        let folders = both(false, |_| None);
        assert_eq!(folders, ("/var/lib/dormouse".into(), "/var/cache/dormouse".into()));
    }
}
