//! A contender that runs: with a target of its own, in a folder of its own, on ports that no
//! earlier one used, so that sockets in TIME_WAIT don't pile up against the next one.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::accounting;
use super::contenders::{Contender, Role, SPARE_FILES};
use super::machine::Machine;
use super::place::{Folder, free_address};
use super::process::Running;
use super::program::Programs;
use super::samples::Sample;

/// How long anything may take to listen, or to answer its first client.
const PATIENCE: Duration = Duration::from_secs(20);

/// A contender, ready to be started.
pub struct Stage<'a> {
    pub contender: &'a Contender,
    pub machine: &'a Machine,
    programs: &'a Programs,
    proxy: Option<Running>,
    backend: Option<Running>,
    listen: SocketAddr,
    target: SocketAddr,
    /// Where the start hook tells that it runs.
    tell: SocketAddr,
    folder: Folder,
}

impl<'a> Stage<'a> {
    pub fn new(
        contender: &'a Contender,
        programs: &'a Programs,
        machine: &'a Machine,
    ) -> Result<Self, String> {
        let folder = Folder::new()?;
        let (target, listen, tell) = (free_address()?, free_address()?, free_address()?);
        let (proxy, backend) = (None, None);
        Ok(Stage { contender, machine, programs, proxy, backend, listen, target, tell, folder })
    }

    /// Starts target and proxy, and waits until the first clients got through and what a proxy does
    /// after its start is done.
    pub fn start(&mut self) -> Result<(), String> {
        self.start_backend()?;
        self.write_files(false)?;
        self.start_proxy(self.contender.command)?;
        for _ in 0..20 {
            self.exchange()?;
        }
        self.settle();
        Ok(())
    }

    /// Starts the proxy with a target that is down.
    pub fn start_asleep(&mut self) -> Result<(), String> {
        let command = self.contender.waking.ok_or("it can't start a target")?;
        self.write_files(true)?;
        self.start_proxy(command)?;
        self.settle();
        Ok(())
    }

    fn start_backend(&mut self) -> Result<(), String> {
        let mut command = Command::new(&self.programs.load);
        command.args(["bench-load", "backend", "--listen", &self.target.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let backend = Running::start(&mut command).map_err(|error| format!("target: {error}"))?;
        self.backend.insert(backend).await_listening(self.target.port(), PATIENCE)
    }

    /// Starts the proxy, and returns once it listens.
    fn start_proxy(&mut self, template: &[&str]) -> Result<(), String> {
        if !self.spawn_proxy(template)? {
            return Ok(());
        }
        let port = self.listen.port();
        let listens = match &mut self.proxy {
            Some(proxy) => proxy.await_listening(port, PATIENCE),
            None => Ok(()),
        };
        listens.map_err(|error| self.with_last_words(error))
    }

    /// Starts the proxy, and returns at once. Whether there is one.
    fn spawn_proxy(&mut self, template: &[&str]) -> Result<bool, String> {
        let Some(mut command) = self.command(template)? else { return Ok(false) };
        self.proxy = Some(Running::start(&mut command).map_err(|error| error.to_string())?);
        Ok(true)
    }

    /// Starts the proxy, whose target is up, and measures how long it takes until it accepts a
    /// client, and until that client has its answer.
    pub fn time_start(&mut self) -> Result<(Duration, Duration), String> {
        let begin = Instant::now();
        self.spawn_proxy(self.contender.command)?;
        let client = loop {
            match TcpStream::connect(self.address()) {
                Ok(client) => break client,
                Err(_) if begin.elapsed() < PATIENCE => sleep(Duration::from_micros(50)),
                Err(error) => return Err(self.with_last_words(error.to_string())),
            }
        };
        let listening = begin.elapsed();
        exchange(client).map_err(|error| format!("no client got through: {error}"))?;
        Ok((listening, begin.elapsed()))
    }

    /// Ends the proxy.
    pub fn stop_proxy(&mut self) {
        self.proxy = None;
    }

    fn command(&self, template: &[&str]) -> Result<Option<Command>, String> {
        let mut words = template.iter().map(|word| self.fill(word));
        let Some(program) = words.next() else { return Ok(None) };
        let log = fs::File::create(self.folder.path().join("stderr"))
            .map_err(|error| format!("can't write into the folder for temporary files: {error}"))?;
        let mut command = Command::new(program);
        command.args(words).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(Some(command))
    }

    /// An error with what the proxy said last.
    fn with_last_words(&self, error: String) -> String {
        let text = fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
        match text.lines().rev().find(|line| !line.trim().is_empty()) {
            Some(words) => format!("{error}: {words}"),
            None => error,
        }
    }

    /// Writes what the contender reads, and the start hook.
    fn write_files(&self, waking: bool) -> Result<(), String> {
        let write = |name: &str, text: &str| {
            let path = self.folder.path().join(name);
            fs::write(&path, text)
                .map_err(|error| format!("can't write {}: {error}", path.display()))
        };
        for (name, template) in self.contender.files {
            write(name, &self.fill(template))?;
        }
        let load = self.programs.load.display();
        let hook = match waking {
            true => format!("exec {load} bench-load hook --tell {} \"$@\"\n", self.tell),
            false => "exit 0\n".to_owned(),
        };
        write("hook", &format!("#!/bin/sh\n{hook}"))?;
        fs::set_permissions(self.hook(), fs::Permissions::from_mode(0o755))
            .map_err(|error| error.to_string())
    }

    fn hook(&self) -> PathBuf {
        self.folder.path().join("hook")
    }

    fn fill(&self, template: &str) -> String {
        const MOST: usize = 50_000;
        let files = self.machine.open_files;
        let pairs = [
            // First: it has placeholders itself.
            ("{services}", self.further_services()),
            ("{listen}", self.listen.to_string()),
            ("{listen_port}", self.listen.port().to_string()),
            ("{target}", self.target.to_string()),
            ("{dir}", self.folder.path().display().to_string()),
            ("{hook}", self.hook().display().to_string()),
            ("{dormouse}", self.programs.dormouse.display().to_string()),
            ("{connections}", (self.contender.fitting(MOST, files)).to_string()),
            ("{files}", files.saturating_sub(SPARE_FILES).min(MOST).to_string()),
        ];
        pairs.iter().fold(template.to_owned(), |text, (placeholder, value)| {
            text.replace(placeholder, value)
        })
    }

    /// Further services of the same target, on addresses that no other contender has.
    fn further_services(&self) -> String {
        let count = self.contender.further_services;
        let host = if count < 500 { "127.0.0.2" } else { "127.0.0.3" };
        (0..count)
            .map(|number| {
                format!(
                    "\n[services.further-{number}]\nlisten = \"{host}:{}\"\ntarget = \
                     \"{{target}}\"\ncooldown = \"1h\"\nhooks = {{ start = \"{{hook}}\", stop = \
                     \"/bin/true\" }}\n",
                    14_000 + number
                )
            })
            .collect()
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        if self.contender.role == Role::Direct { self.target } else { self.listen }
    }

    /// One client with one byte each way. A proxy that is not done with its start holds it.
    pub fn exchange(&self) -> Result<(), String> {
        TcpStream::connect(self.address())
            .and_then(exchange)
            .map_err(|error| format!("no client got through: {error}"))
    }

    /// Waits until the proxy has nothing left to do, some seconds at most.
    pub fn settle(&self) {
        const PAUSE: Duration = Duration::from_millis(150);
        let begin = Instant::now();
        let mut before = self.proxy_cpu();
        while begin.elapsed() < Duration::from_secs(5) {
            sleep(PAUSE);
            let after = self.proxy_cpu();
            if after == before {
                return;
            }
            before = after;
        }
    }

    /// The process group of the proxy.
    pub fn proxy_group(&self) -> Option<u32> {
        self.proxy.as_ref().map(Running::group)
    }

    /// The process groups that belong to this stage.
    pub fn groups(&self) -> Vec<u32> {
        [&self.proxy, &self.backend].into_iter().flatten().map(Running::group).collect()
    }

    /// CPU time of the proxy.
    pub fn proxy_cpu(&self) -> Duration {
        self.proxy_group().map_or(Duration::ZERO, accounting::cpu)
    }

    /// The program of the loads, with these arguments.
    pub fn load(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.programs.load);
        command.arg("bench-load").args(arguments);
        command.args(["--connect", &self.address().to_string()]);
        command
    }

    /// The addresses of a wake, as arguments of its load.
    pub fn wake_addresses(&self) -> [String; 4] {
        let (target, tell) = (self.target.to_string(), self.tell.to_string());
        ["--target".to_owned(), target, "--hear".to_owned(), tell]
    }
}

/// One byte each way.
fn exchange(mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(b"e")?;
    client.read_exact(&mut [0])
}

/// Runs a load to its end, and returns its numbers.
pub fn run_load(command: &mut Command) -> Result<Sample, String> {
    let output = command
        .process_group(0)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("the load can't run: {error}"))?;
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        return Err(format!("the load failed: {words}"));
    }
    let sample = Sample::parse(&String::from_utf8_lossy(&output.stdout));
    match sample.get("errors") {
        Some(errors) if errors > 0.0 => Err(format!("{errors} connections failed: {words}")),
        _ => Ok(sample),
    }
}
