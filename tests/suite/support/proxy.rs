//! The whole program with a real server behind it: the stage for the stories in `suite/proxy`.
//!
//! A [`Scene`] is a folder with a config, with hooks, and with what they leave behind; everything
//! that runs in it is gone when it is dropped. [`Dormouse`] is the program, run there. The hooks
//! start and stop `echo-target` (`support/echo_target.rs`) as a process. [`Client`] is one
//! connection to Dormouse.
//!
//! Tests wait for what has to happen, by [`Scene::until`] and [`Dormouse::await_line`], and never
//! for time to pass. If it doesn't happen, they fail with everything that was logged.

mod client;
mod dormouse;
mod processes;
mod sockets;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) use client::{Client, Ending};
pub(crate) use dormouse::Dormouse;
pub(crate) use processes::Process;
pub(crate) use sockets::{Socket, sockets};

/// How long a test waits for what has to happen, on a machine with other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The variable by which the processes of a scene are known.
const MARK: &str = "DORMOUSE_SCENE";

/// What every hook of a scene begins with.
const WORDS: &str = include_str!("proxy/words.sh");

/// A folder in which Dormouse serves `web`, and perhaps more services.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    /// An address that no other scene has, so that no two compete for a port.
    address: Ipv4Addr,
    /// The ports that have been given out, and are not taken yet.
    ports: BTreeSet<u16>,
    config: toml::Table,
    log: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    /// A scene with the service `web`: its start hook launches an echo server, its stop hook ends
    /// it, and its cool-down is longer than a test.
    pub(crate) fn new() -> Scene {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut scene = Scene {
            address: address_for(folder.path()),
            folder,
            ports: BTreeSet::new(),
            config: toml::Table::new(),
            log: Arc::default(),
        };
        scene.config.insert("services".into(), toml::Table::new().into());
        scene.script("start", "launch");
        scene.script("stop", "halt");
        scene.service("web")
    }

    /// Adds a service with the same hooks and a server of its own.
    pub(crate) fn service(mut self, name: &str) -> Scene {
        let (listen, target) = (self.free_port().to_string(), self.free_port().to_string());
        self.set_of(name, "listen", listen)
            .set_of(name, "target", target)
            .set_of(name, "cooldown", "1h")
            .hook_of(name, "start")
            .hook_of(name, "stop")
    }

    /// Sets a key of `web`.
    pub(crate) fn set(self, key: &str, value: impl Into<toml::Value>) -> Scene {
        self.set_of("web", key, value)
    }

    /// Sets a key of a service.
    pub(crate) fn set_of(
        mut self,
        service: &str,
        key: &str,
        value: impl Into<toml::Value>,
    ) -> Scene {
        let services = self.config["services"].as_table_mut().expect("a table");
        let table = services.entry(service).or_insert_with(|| toml::Table::new().into());
        table.as_table_mut().expect("a table").insert(key.into(), value.into());
        self
    }

    /// Removes a key of a service.
    pub(crate) fn unset_of(mut self, service: &str, key: &str) -> Scene {
        self.config["services"][service].as_table_mut().expect("a table").remove(key);
        self
    }

    /// Adds a plugin with this content of its file.
    pub(crate) fn plugin(mut self, name: &str, component: impl AsRef<[u8]>) -> Scene {
        let file = format!("{name}.wasm");
        fs::write(self.path(&file), component).expect("a file");
        let plugins = self.config.entry("plugins").or_insert_with(|| toml::Table::new().into());
        let mut plugin = toml::Table::new();
        plugin.insert("wasm".into(), file.into());
        plugins.as_table_mut().expect("a table").insert(name.into(), plugin.into());
        self
    }

    /// Sets a key of a plugin.
    pub(crate) fn set_of_plugin(
        mut self,
        plugin: &str,
        key: &str,
        value: impl Into<toml::Value>,
    ) -> Scene {
        let table = self.config["plugins"][plugin].as_table_mut().expect("a table");
        table.insert(key.into(), value.into());
        self
    }

    /// Grants something to a plugin.
    pub(crate) fn allow(mut self, name: &str, key: &str, value: impl Into<toml::Value>) -> Scene {
        let plugin = self.config["plugins"][name].as_table_mut().expect("a table");
        let allow = plugin.entry("allow").or_insert_with(|| toml::Table::new().into());
        allow.as_table_mut().expect("a table").insert(key.into(), value.into());
        self
    }

    /// Sets a key at the top of the config.
    pub(crate) fn set_global(mut self, key: &str, value: impl Into<toml::Value>) -> Scene {
        self.config.insert(key.into(), value.into());
        self
    }

    /// Gives `web` this hook: the body of a script, after [`WORDS`].
    pub(crate) fn hook(self, name: &str, body: &str) -> Scene {
        self.script(name, body);
        self.hook_of("web", name)
    }

    fn hook_of(mut self, service: &str, name: &str) -> Scene {
        let services = self.config["services"].as_table_mut().expect("a table");
        let table = services[service].as_table_mut().expect("a table");
        let hooks = table.entry("hooks").or_insert_with(|| toml::Table::new().into());
        let hooks = hooks.as_table_mut().expect("a table");
        hooks.insert(name.into(), format!("./{name}.sh").into());
        self
    }

    /// Writes the script of a hook, in place of what it was.
    pub(crate) fn script(&self, name: &str, body: &str) {
        let folder = self.path("");
        let server = Path::new(env!("CARGO_BIN_EXE_dormouse")).with_file_name("examples");
        let server = server.join("echo-target");
        assert!(server.exists(), "{} is missing: `cargo build --examples`", server.display());
        let text = format!(
            "#!/bin/sh\ncd '{}' || exit\nhook={name}\nserver='{}'\n{WORDS}\n{body}\n",
            folder.display(),
            server.display(),
        );
        self.program(&format!("{name}.sh"), &text);
    }

    /// Writes a file that can be executed.
    ///
    /// A process of its own writes it: a child that another thread starts meanwhile would hold it
    /// open for writing, and such a file can't be executed.
    pub(crate) fn program(&self, name: &str, text: &str) {
        let mut writer = Command::new("/bin/sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(self.path(name))
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        writer.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("a script");
        assert!(writer.wait().expect("a child").success());
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes an empty file that a hook or the server waits for.
    pub(crate) fn touch(&self, name: &str) {
        fs::write(self.path(name), "").expect("a file");
    }

    /// What a file has in it; nothing if there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs Dormouse on the config as it is, and waits until it listens.
    pub(crate) fn run(&self) -> Dormouse<'_> {
        self.write_config();
        let dormouse = self.run_with(&["run"], &[]);
        self.await_listeners(&dormouse);
        dormouse
    }

    /// The same with a limit of open files, which can't be raised. It is that of a machine with two cores:
    /// each further one has a thread that takes some.
    pub(crate) fn run_with_open_files(&self, limit: usize) -> Dormouse<'_> {
        self.write_config();
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let limit = limit + 4 * cores.saturating_sub(2);
        self.run_limited(&format!("-n {limit}"))
    }

    /// The same with this soft limit of open files, below a hard one of 1,000.
    pub(crate) fn run_with_few_open_files_at_first(&self, limit: u32) -> Dormouse<'_> {
        self.write_config();
        self.run_limited(&format!("-Sn {limit} && ulimit -Hn 1000"))
    }

    fn run_limited(&self, limit: &str) -> Dormouse<'_> {
        let script = format!("ulimit {limit} && exec \"$0\" run");
        let mut shell = Command::new("/bin/sh");
        let shell = shell.args(["-c", &script, env!("CARGO_BIN_EXE_dormouse")]);
        let dormouse = Dormouse::run(self, shell);
        self.await_listeners(&dormouse);
        dormouse
    }

    /// The same with signals ignored that Dormouse inherits so, as under `nohup`.
    pub(crate) fn run_ignoring(&self, signals: &[&str]) -> Dormouse<'_> {
        self.write_config();
        let ignored = format!("--ignore-signal={}", signals.join(","));
        let mut env = Command::new("env");
        let dormouse =
            Dormouse::run(self, env.args([&ignored, env!("CARGO_BIN_EXE_dormouse"), "run"]));
        self.await_listeners(&dormouse);
        dormouse
    }

    /// The same as the first process of a PID namespace, whose parent [`Dormouse`] is then. `None`,
    /// after a message, where no namespace can be made.
    pub(crate) fn run_as_first_process(&self) -> Option<Dormouse<'_>> {
        let mut unshare = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        let mut trial = Command::new(unshare.get_program());
        let trial = trial.args(unshare.get_args()).arg("true").output();
        if !trial.is_ok_and(|output| output.status.success()) {
            #[allow(
                clippy::print_stderr,
                reason = "for the person who reads why nothing was tested"
            )]
            {
                eprintln!("skipped: `unshare --pid` can't make a PID namespace here");
            }
            return None;
        }
        self.write_config();
        let dormouse = Dormouse::run(self, unshare.args([env!("CARGO_BIN_EXE_dormouse"), "run"]));
        self.await_listeners(&dormouse);
        Some(dormouse)
    }

    fn await_listeners(&self, dormouse: &Dormouse<'_>) {
        for _ in self.config["services"].as_table().expect("a table") {
            dormouse.await_line("listening");
        }
    }

    /// Runs Dormouse with these arguments and variables, and waits for nothing.
    pub(crate) fn run_with<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        variables: &[(&str, &str)],
    ) -> Dormouse<'_> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dormouse"));
        Dormouse::run(self, command.args(arguments).envs(variables.iter().copied()))
    }

    /// Writes the config into the folder.
    pub(crate) fn write_config(&self) {
        let text = toml::to_string(&self.config).expect("a config");
        fs::write(self.path("dormouse.toml"), text).expect("a config");
    }

    /// Starts the server of `web` as if somebody else had.
    pub(crate) fn launch(&self) {
        let target = self.address_of("web", "target");
        let status = Command::new(self.path("start.sh"))
            .env("DORMOUSE_SERVICE", "web")
            .env("DORMOUSE_TARGET_HOST", target.ip().to_string())
            .env("DORMOUSE_TARGET_PORT", target.port().to_string())
            .env(MARK, self.path(""))
            .status();
        assert!(status.expect("a shell").success());
        self.until("the server listens", || self.journal() == ["listening"]);
        fs::remove_file(self.path("hooks.log")).expect("a file");
    }

    /// Where Dormouse listens for clients of `web`.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.address_of("web", "listen")
    }

    /// Where the server of `web` listens.
    pub(crate) fn target(&self) -> SocketAddr {
        self.address_of("web", "target")
    }

    pub(crate) fn address_of(&self, service: &str, key: &str) -> SocketAddr {
        let value = &self.config["services"][service][key];
        // Of several listeners it is the first.
        let address = value.get(0).unwrap_or(value).as_str();
        address.and_then(|address| address.parse().ok()).expect("an address")
    }

    /// A client of `web`.
    pub(crate) fn client(&self) -> Client {
        self.client_of("web")
    }

    /// A client of a service.
    pub(crate) fn client_of(&self, service: &str) -> Client {
        Client::connect(self.address_of(service, "listen"))
    }

    /// A client of `web` from this address of the loopback network.
    pub(crate) fn client_from(&self, source: Ipv4Addr) -> Client {
        Client::connect_from(source, self.address_of("web", "listen"))
    }

    /// The hooks of `web` that were run, with their causes: `start client`.
    pub(crate) fn hooks(&self) -> Vec<String> {
        self.hooks_of("web")
    }

    /// The hooks of a service that were run, with their causes.
    pub(crate) fn hooks_of(&self, service: &str) -> Vec<String> {
        let log = self.read("hooks.log");
        let of_service = |line: &str| Some(line.strip_prefix(service)?.trim().to_owned());
        log.lines().filter_map(of_service).collect()
    }

    /// What the server of `web` has seen, in all its lives.
    pub(crate) fn journal(&self) -> Vec<String> {
        self.read("web.journal").lines().map(str::to_owned).collect()
    }

    /// How many connections the server of `web` has seen.
    pub(crate) fn connections(&self) -> usize {
        self.journal().iter().filter(|line| line.starts_with("connected ")).count()
    }

    /// Whether the server of `web` listens.
    pub(crate) fn is_up(&self) -> bool {
        sockets().iter().any(|socket| socket.is_listener(self.target()))
    }

    /// Whether Dormouse has a connection to a client of `web`.
    pub(crate) fn has_clients(&self) -> bool {
        sockets().iter().any(|socket| socket.local == self.listen() && socket.is_open())
    }

    /// Kills the server of `web`.
    pub(crate) fn kill_target(&self) {
        let pid = self.read("web.pid").trim().parse().expect("a process");
        crate::support::process::kill(pid);
        self.until("the server is gone", || !self.is_up());
    }

    /// Everything that runs in this scene: Dormouse, hooks, servers, and what they have started.
    pub(crate) fn processes(&self) -> Vec<Process> {
        processes::marked(MARK, &self.path("").display().to_string())
    }

    /// Waits until `condition` holds.
    pub(crate) fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        self.find(what, || condition().then_some(()));
    }

    /// Waits until there is something to be found.
    pub(crate) fn find<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain for this: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// A port of this scene's address that nobody uses or will use.
    pub(crate) fn free_port(&mut self) -> SocketAddr {
        loop {
            let listener = TcpListener::bind((self.address, 0)).expect("a loopback address");
            let address = listener.local_addr().expect("an address");
            if self.ports.insert(address.port()) {
                return address;
            }
        }
    }

    /// What was logged, with what is different in each run replaced: for snapshots.
    pub(crate) fn stable(&self, text: &str) -> String {
        let folder = self.path("").display().to_string();
        text.replace(folder.trim_end_matches('/'), "[FOLDER]")
            .replace(&self.listen().to_string(), "[LISTEN]")
            .replace(&self.target().to_string(), "[TARGET]")
    }

    fn print(&self) {
        let mut said = String::from("=== what was logged\n");
        for line in self.log.lock().expect("no reader panics").iter() {
            said += &format!("{line}\n");
        }
        for name in ["dormouse.toml", "hooks.log", "web.journal"] {
            said += &format!("=== {name}\n{}", self.read(name));
        }
        for process in self.processes() {
            said += &format!("=== runs: {process:?}\n");
        }
        #[allow(clippy::print_stderr, reason = "for whoever reads why a test has failed")]
        {
            eprintln!("{said}");
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print();
        }
        // What is killed may have started something in between.
        for _ in 0..100 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.iter().for_each(|process| crate::support::process::kill(process.pid));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// One of the loopback addresses, chosen by the name of the folder.
fn address_for(folder: &Path) -> Ipv4Addr {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    let [a, b, c, ..] = hasher.finish().to_le_bytes();
    // Neither 127.0.x.y, where everybody is, nor a network's first or last address.
    Ipv4Addr::new(127, a | 1, b, c.clamp(1, 254))
}
