//! Dormouse with a hostile plugin behind `web`, a witness at `other`, and an account of what there
//! was before and what is left.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::guest::Guest;
use crate::support::process::{children_of, zombies_of};
use crate::support::proxy::{Client, Dormouse, Ending, PATIENCE, Scene};

use super::witness::Witness;

/// The name of the hostile plugin.
pub(super) const NAME: &str = "hostile";

/// What a plugin may have, if the test says nothing else: enough to do harm with.
const LIMITS: [(&str, &str); 3] = [("cpu", "100ms"), ("call", "10s"), ("memory", "16MiB")];

/// How much memory may be in use for a moment: what an instance may have, the copies of it that
/// cross into Dormouse, and Dormouse's own.
const MOMENTARY: u64 = 96 << 20;

/// How much memory may stay in use: less than one instance had. The first call brings pages of
/// Dormouse's own code with it, and what is freed is not given back to the last page.
const LASTING: u64 = 12 << 20;

/// The most lines that one ordeal may put into the log.
const LINES: usize = 60;

/// The longest that the end may take, with nothing to wait for.
const LAST_MOMENTS: Duration = Duration::from_secs(10);

/// An ordeal to be: who decides what.
pub(super) struct Ordeal {
    scene: Scene,
    limits: toml::Table,
    momentary: u64,
}

impl Ordeal {
    /// `guest` has this role for `web`, a key of the service; hooks have the others.
    pub(super) fn new(role: &str, guest: &Guest) -> Ordeal {
        let scene = Scene::new().service("other").plugin(NAME, guest.build()).set(role, NAME);
        // Who starts and stops is either hooks or a plugin.
        let scene = if role == "lifecycle" { scene.unset_of("web", "hooks") } else { scene };
        let limits = LIMITS.map(|(key, limit)| (key.to_owned(), limit.into()));
        Ordeal { scene, limits: limits.into_iter().collect(), momentary: MOMENTARY }
    }

    /// Sets a key of `web`.
    pub(super) fn set(mut self, key: &str, value: &str) -> Ordeal {
        self.scene = self.scene.set(key, value);
        self
    }

    /// Sets a limit of the plugin.
    pub(super) fn limit(mut self, key: &str, value: impl Into<toml::Value>) -> Ordeal {
        self.limits.insert(key.to_owned(), value.into());
        self
    }

    /// Grants the plugin something.
    pub(super) fn allow(mut self, grant: &str, value: impl Into<toml::Value>) -> Ordeal {
        self.scene = self.scene.allow(NAME, grant, value);
        self
    }

    /// Goes through it: `provoke` is the client or the operator who meets the plugin. Gives
    /// everything that was logged.
    pub(super) fn endure(self, provoke: impl FnOnce(&Trial<'_>)) -> Vec<String> {
        let Ordeal { scene, limits, momentary } = self;
        let scene = scene.set_of_plugin(NAME, "limits", limits);
        let temporary = scene.path("temporary");
        fs::create_dir(&temporary).expect("a folder");
        scene.write_config();
        let variables = [("TMPDIR", temporary.to_str().expect("a plain path"))];
        let mut dormouse = scene.run_with(&["run"], &variables);
        scene.until("both services wait for clients", || {
            let log = dormouse.log();
            log.iter().filter(|line| line.contains("waiting for a client")).count() == 2
        });

        scene.client_of("other").ask("wake up");
        dormouse.await_line("no client is left");
        let before = Traces::of(dormouse.pid());
        let witness = Witness::call(&scene);
        forget_peak(dormouse.pid());
        provoke(&Trial { scene: &scene, dormouse: &dormouse, told: Cell::new(0) });
        let peak = memory(dormouse.pid(), "VmHWM");
        assert!(
            peak <= before.memory + momentary,
            "{} MiB were in use for a moment, and {} MiB before",
            peak >> 20,
            before.memory >> 20
        );
        witness.dismiss();
        let began = Instant::now();
        loop {
            let left = Traces::of(dormouse.pid());
            if left.are_within(&before) {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "there was {before:?}, and {left:?} is left");
            std::thread::sleep(Duration::from_millis(5));
        }

        let began = Instant::now();
        dormouse.terminate();
        assert!(began.elapsed() < LAST_MOMENTS, "the end took {:?}", began.elapsed());
        let log = dormouse.log();
        assert!(log.len() < LINES, "{} lines in the log", log.len());
        let loud = log.iter().find(|line| line.contains(char::is_control));
        assert_eq!(loud, None, "a control character in the log");
        // Nothing that a plugin does is blamed on Dormouse.
        let defect = log.iter().find(|line| line.contains("defect"));
        assert_eq!(defect, None);
        assert_eq!(files(&temporary), [""; 0], "temporary files");
        let strange: Vec<_> = files(&scene.path("state"))
            .into_iter()
            .filter(|name| !name.ends_with(".state") && !name.ends_with(".phase"))
            .filter(|name| name != "cache.key")
            .collect();
        assert_eq!(strange, [""; 0], "files beside the state of plugins and services");
        let left = scene.processes();
        // The servers: a Dormouse that ends lets them run.
        let left: Vec<_> =
            left.iter().filter(|process| !process.command.contains("echo-target")).collect();
        assert!(left.is_empty(), "processes are left: {left:?}");
        log
    }
}

/// An ordeal that goes on.
pub(super) struct Trial<'a> {
    pub(super) scene: &'a Scene,
    dormouse: &'a Dormouse<'a>,
    told: Cell<usize>,
}

impl Trial<'_> {
    /// Waits for a line that has all of this in it, behind the last one that was waited for.
    pub(super) fn told(&self, texts: &[&str]) -> String {
        self.scene.find(&format!("a line with {texts:?}"), || {
            let (log, from) = (self.dormouse.log(), self.told.get());
            let place = log[from..].iter().position(|line| has_all(line, texts))?;
            self.told.set(from + place + 1);
            Some(log[from + place].clone())
        })
    }

    /// The same for a line that is the only one of its kind so far.
    pub(super) fn told_once(&self, texts: &[&str]) -> String {
        let line = self.told(texts);
        assert_eq!(self.times(texts), 1, "{texts:?}");
        line
    }

    /// How many lines have all of this in them.
    pub(super) fn times(&self, texts: &[&str]) -> usize {
        self.dormouse.log().iter().filter(|line| has_all(line, texts)).count()
    }

    /// A client of `web` that is closed without a word.
    pub(super) fn client_is_closed(&self) {
        assert_eq!(self.scene.client().expect_end(), Ending::Closed);
    }

    /// A client of `web` that is served.
    pub(super) fn client_is_served(&self) -> Client {
        let client = self.scene.client();
        client.ask("hello");
        client
    }
}

fn has_all(line: &str, texts: &[&str]) -> bool {
    texts.iter().all(|text| line.contains(text))
}

/// What a process has.
#[derive(Debug)]
struct Traces {
    /// What they lead to.
    descriptors: Vec<PathBuf>,
    children: Vec<u32>,
    memory: u64,
}

impl Traces {
    fn of(pid: u32) -> Traces {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
        let mut children = children_of(pid);
        children.extend(zombies_of(pid));
        let descriptors = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        // What the memory of a plugin's instances begins with: one for each plugin that was loaded.
        let descriptors =
            descriptors.filter(|path| !path.starts_with("/memfd:wasm-memory-image (deleted)"));
        Traces { descriptors: descriptors.collect(), children, memory: memory(pid, "VmRSS") }
    }

    fn are_within(&self, before: &Traces) -> bool {
        self.descriptors.len() <= before.descriptors.len()
            && self.children.iter().all(|child| before.children.contains(child))
            && self.memory <= before.memory + LASTING
    }
}

/// A figure of a process's memory, in bytes.
fn memory(pid: u32, figure: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(figure));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)).expect("a figure");
    kibibytes.parse::<u64>().expect("a number") << 10
}

/// Lets the peak of a process's memory begin anew: compiling plugins has its own.
fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of ours");
}

/// The names of the files in a folder, if it is there.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect()
}
