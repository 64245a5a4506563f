//! The roles that this program has in other processes: hooks, targets, and helpers that act late.
//!
//! Each is started as `xtask chaos ROLE SERVICE FOLDER PORT …`.

mod hook;
mod late;
mod target;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::procfs::{Process, with_role};

/// Runs a role, if the arguments name one.
pub fn run(arguments: &[&str]) -> Option<Result<(), String>> {
    match arguments {
        ["hook", service, folder, port, hook] => {
            Some(Site::parse(service, folder, port).and_then(|site| hook::run(&site, hook)))
        }
        ["target", service, folder, port, delay, life] => Some(
            Site::parse(service, folder, port).and_then(|site| target::run(&site, delay, life)),
        ),
        ["late", service, folder, port, action, delay] => Some(
            Site::parse(service, folder, port).and_then(|site| late::run(&site, action, delay)),
        ),
        _ => None,
    }
}

/// Where a role plays: the service, the folder of the run, and the port of the target.
pub struct Site {
    pub service: String,
    pub folder: PathBuf,
    pub port: u16,
}

impl Site {
    fn parse(service: &str, folder: &str, port: &str) -> Result<Self, String> {
        let port = port.parse().map_err(|_| format!("`{port}` is not a port"))?;
        Ok(Site { service: service.to_owned(), folder: folder.into(), port })
    }

    /// The targets of the service that live.
    fn targets(&self) -> Vec<Process> {
        with_role("target", &self.service, &self.folder)
    }

    /// Starts a target, if none lives: it listens after `delay`, and dies `life` after that.
    fn launch(&self, delay: Duration, life: Option<Duration>) -> Result<(), String> {
        if !self.targets().is_empty() {
            return Ok(());
        }
        let life = life.map_or_else(|| "for-ever".to_owned(), |life| life.as_millis().to_string());
        self.spawn("target", &[&delay.as_millis().to_string(), &life])
    }

    /// Ends all targets of the service, frozen ones too, and returns when they are gone.
    fn end_targets(&self) {
        for target in self.targets() {
            target.signal(Signal::TERM);
            if !target.await_end(Duration::from_millis(300)) {
                target.kill();
            }
        }
    }

    /// Has a process do this later, after the hook has ended.
    fn later(&self, action: &str, delay: Duration) -> Result<(), String> {
        self.spawn("late", &[action, &delay.as_millis().to_string()])
    }

    /// Starts a role in a process group of its own: Dormouse ends the groups of its hooks.
    fn spawn(&self, role: &str, arguments: &[&str]) -> Result<(), String> {
        let own = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
        Command::new(own)
            .args(["chaos", role, &self.service])
            .arg(&self.folder)
            .arg(self.port.to_string())
            .args(arguments)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(drop)
            .map_err(|error| format!("can't start the {role}: {error}"))
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let number = text.parse().map_err(|_| format!("`{text}` is not a number of milliseconds"))?;
    Ok(Duration::from_millis(number))
}

/// The process that runs the chaos. What it started must not outlive it, even if it was killed.
fn keeper(folder: &Path) -> Option<Process> {
    let text = fs::read_to_string(folder.join("keeper")).ok()?;
    let (pid, born) = text.split_once(' ')?;
    Some(Process { pid: pid.parse().ok()?, born: born.parse().ok()? })
}
