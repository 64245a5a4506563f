//! The programs that a measurement needs: Dormouse, the loads, and the peers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::options::Options;
use crate::cargo::{self, announce, cargo};

/// The programs of this project.
pub struct Programs {
    pub dormouse: PathBuf,
    /// This program, optimised: what a load costs is not the proxy's.
    pub load: PathBuf,
}

impl Programs {
    /// Builds what is not there.
    pub fn find(options: &Options) -> Result<Self, String> {
        let mut build = cargo(["build", "--release", "--package", "xtask"]);
        let dormouse = match &options.dormouse {
            Some(given) => given
                .canonicalize()
                .map_err(|error| format!("there is no {}: {error}", given.display()))?,
            None => {
                build.args(["--package", "dormouse", "--bin", "dormouse", "--bin", "xtask"]);
                release_folder().join("dormouse")
            }
        };
        announce("building what is measured (release)");
        cargo::run(&mut build, "building it")?;
        Ok(Programs { dormouse, load: release_folder().join("xtask") })
    }

    /// The version of Dormouse, and the commit of this checkout.
    pub fn version(&self) -> String {
        let version = first_line(&self.dormouse, &["--version"]).unwrap_or_default();
        let mut git = Command::new("git");
        git.args(["describe", "--always", "--dirty"]).current_dir(cargo::root());
        match git.output() {
            Ok(output) if output.status.success() => {
                let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                format!("{version}, checkout {commit}")
            }
            _ => version,
        }
    }
}

fn release_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    cargo::root().join(target).join("release")
}

/// Whether a program can be found in `PATH`, or a path leads to a file.
pub fn is_installed(program: &Path) -> bool {
    if program.is_absolute() {
        return program.is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The line in which a program says its version: the first one with a digit.
pub fn first_line(program: impl AsRef<Path>, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program.as_ref()).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()))?;
    Some(line.trim().to_owned())
}
