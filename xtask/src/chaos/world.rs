//! The world around Dormouse: the folder of the run, the services, their config and their hooks.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use super::dice::Dice;
use super::disk::Disk;
use super::hostile;
use super::procfs::{self, Process};
use crate::files;

/// How the hooks and the target of a service behave while there is chaos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Honest and fast.
    Plain,
    /// Honest, but start, readiness and stop take their time.
    Slow,
    /// Hooks report a result that is not true.
    Liar,
    /// Hooks hang past their timeout, and ignore SIGTERM.
    Hanging,
    /// The target dies soon after it is up.
    Dying,
    /// Behind a name, with a `ready` hook that freezes.
    Freezing,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Plain, Kind::Slow, Kind::Liar, Kind::Hanging, Kind::Dying, Kind::Freezing];

    /// The word for it in arguments, which is the service's name, too.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Plain => "plain",
            Kind::Slow => "slow",
            Kind::Liar => "liar",
            Kind::Hanging => "hanging",
            Kind::Dying => "dying",
            Kind::Freezing => "freezing",
        }
    }

    /// Whether its target only ends when a stop was ordered, or the chaos has killed it.
    pub fn is_honest(self) -> bool {
        matches!(self, Kind::Plain | Kind::Slow)
    }

    fn cooldown(self) -> &'static str {
        match self {
            Kind::Plain => "300ms",
            Kind::Slow | Kind::Liar => "700ms",
            Kind::Hanging | Kind::Dying => "500ms",
            Kind::Freezing => "2s",
        }
    }
}

/// A service of the config.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    pub kind: Kind,
    /// Where clients connect, on 127.0.0.1.
    pub listen: u16,
    /// Where its target listens.
    pub target: u16,
}

impl Service {
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }
}

/// A folder that is removed with its content, unless it is kept.
pub struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    pub fn new() -> Result<Self, String> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dormouse-chaos-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        files::create_folder(&path)?;
        Ok(Folder { path, keep: false })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // It is a temporary folder: what can't be removed now is removed with the others.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The folder with everything that Dormouse needs. Dropping it ends every process of the run.
pub struct World {
    folder: Folder,
    pub disk: Disk,
    pub services: Vec<Service>,
    /// Where clients of the hostile service connect, on 127.0.0.1.
    pub hostile: u16,
    /// Where its target would listen.
    hostile_target: u16,
    /// Whether the binary knows `probe_while_asleep`.
    pub probes: bool,
}

impl World {
    /// Makes the folder, and a config that `binary` accepts.
    ///
    /// Both programs are copied into the folder: a build meanwhile must not replace them.
    pub fn new(binary: &Path, seed: u64) -> Result<Self, String> {
        let folder = Folder::new()?;
        let mut dice = Dice::of_part(seed, "ports");
        let disk = Disk::mount(&folder.path().join("state"))?;
        let (hostile, hostile_target) = (free_port(&mut dice)?, free_port(&mut dice)?);
        let services = Vec::new();
        let mut world = World { folder, disk, services, hostile, hostile_target, probes: true };
        for kind in Kind::ALL {
            let (listen, target) = (free_port(&mut dice)?, free_port(&mut dice)?);
            world.services.push(Service { kind, listen, target });
        }
        let own = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
        copy(&own, &world.tool())?;
        copy(binary, &world.binary())?;
        files::write(&world.path().join("seed"), seed.to_string().as_bytes())?;
        let keeper = Process::of(std::process::id()).ok_or("can't read /proc")?;
        let keeper = format!("{} {}", keeper.pid, keeper.born);
        files::write(&world.path().join("keeper"), keeper.as_bytes())?;
        world.write_hooks()?;
        hostile::prepare(&world)?;
        world.write_config()?;
        world.probes = world.check().is_ok();
        if !world.probes {
            world.write_config()?;
            world.check()?;
        }
        Ok(world)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Dormouse.
    pub fn binary(&self) -> PathBuf {
        self.path().join("dormouse")
    }

    /// This program, which is hooks and targets, too.
    fn tool(&self) -> PathBuf {
        self.path().join("chaos-tool")
    }

    pub fn log(&self) -> PathBuf {
        self.path().join("dormouse.log")
    }

    /// While this file is there, hooks and targets behave.
    pub fn set_calm(&self, calm: bool) -> Result<(), String> {
        let path = calm_file(self.path());
        if calm { files::write(&path, b"") } else { files::remove(&path) }
    }

    /// The targets of a service that live.
    pub fn targets(&self, service: &Service) -> Vec<Process> {
        procfs::with_role("target", service.name(), self.path())
    }

    /// The folder stays after the run.
    pub fn keep(&mut self) {
        self.folder.keep = true;
    }

    /// A command of Dormouse with the config of this world.
    pub fn dormouse(&self, subcommand: &str) -> Command {
        let mut command = Command::new(self.binary());
        command
            .args([subcommand, "--config", "dormouse.toml"])
            .current_dir(self.path())
            .env(procfs::MARK, self.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    fn check(&self) -> Result<(), String> {
        let output = self.dormouse("check").output();
        let output = output.map_err(|error| format!("can't run {:?}: {error}", self.binary()))?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(format!("the config is rejected:\n{text}"))
    }

    fn write_config(&self) -> Result<(), String> {
        let mut text = "drain = \"2s\"\nstate_dir = \"state\"\ncache_dir = \"cache\"\n".to_owned();
        for service in &self.services {
            text.push_str(&self.service_config(service));
        }
        text.push_str(&hostile::config(self.hostile, self.hostile_target));
        files::write(&self.path().join("dormouse.toml"), text.as_bytes())
    }

    fn service_config(&self, service: &Service) -> String {
        let Service { kind, listen, target } = *service;
        let name = kind.name();
        let host = if kind == Kind::Freezing { "localhost" } else { "127.0.0.1" };
        let mut hooks = Vec::from(
            ["start", "stop"].map(|hook| format!("{hook} = {}", self.hook(service, hook))),
        );
        if kind == Kind::Freezing {
            hooks.push(format!("ready = {}", self.hook(service, "ready")));
        }
        // Some services have it, so that the run sees targets with and without.
        let probe = match kind {
            Kind::Liar | Kind::Hanging if self.probes => "probe_while_asleep = \"2s\"\n",
            _ => "",
        };
        format!(
            "\n[services.{name}]\nlisten = \"127.0.0.1:{listen}\"\ntarget = \"{host}:{target}\"\n\
             cooldown = \"{}\"\nstart_timeout = \"4s\"\nstop_timeout = \"3s\"\n{probe}\
             hooks = {{ {} }}\n",
            kind.cooldown(),
            hooks.join(", "),
        )
    }

    /// A hook in the config: a script, or this program with arguments.
    fn hook(&self, service: &Service, hook: &str) -> String {
        if service.kind == Kind::Slow {
            let words = self.hook_words(service, hook);
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            return format!("[{}]", words.join(", "));
        }
        format!("\"./{}.{hook}\"", service.name())
    }

    fn hook_words(&self, service: &Service, hook: &str) -> Vec<String> {
        let tool = self.tool().to_string_lossy().into_owned();
        let folder = self.path().to_string_lossy().into_owned();
        let port = service.target.to_string();
        Vec::from([tool.as_str(), "chaos", "hook", service.name(), &folder, &port, hook])
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    fn write_hooks(&self) -> Result<(), String> {
        for service in &self.services {
            for hook in ["start", "stop", "ready"] {
                let words = self.hook_words(service, hook).join(" ");
                // One kind has a shell that stays, so that a hook has children.
                let body = match service.kind {
                    Kind::Hanging => format!("{words}\nexit $?\n"),
                    _ => format!("exec {words}\n"),
                };
                let path = self.path().join(format!("{}.{hook}", service.name()));
                files::write(&path, format!("#!/bin/sh\n{body}").as_bytes())?;
                make_executable(&path)?;
            }
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        procfs::end_all(self.path());
    }
}

/// The file that asks hooks and targets to behave.
pub fn calm_file(folder: &Path) -> PathBuf {
    folder.join("calm")
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to)
        .map_err(|error| format!("can't copy {} to {}: {error}", from.display(), to.display()))?;
    make_executable(to)
}

fn make_executable(path: &Path) -> Result<(), String> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("can't make {} executable: {error}", path.display()))
}

/// A free port below those that the kernel gives to clients: a target that is down for a while
/// must find it free again.
fn free_port(dice: &mut Dice) -> Result<u16, String> {
    const TRIES: usize = 1000;
    (0..TRIES)
        .filter_map(|_| u16::try_from(dice.within(20_000..=31_999)).ok())
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or_else(|| "no port from 20000 to 31999 is free".to_owned())
}
