//! Commands to run, the log that they leave, and a look at who is alive.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dormouse::plugin::process::Command;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// How long a test waits for what has to happen, on a machine with other things to do.
const DEADLINE: Duration = Duration::from_secs(30);

/// A command that runs `script` in a shell, as the hook `start` of the service `web`.
pub(crate) fn shell(script: &str) -> Command {
    Command {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: Vec::new(),
        stdin: None,
        timeout: None,
        output_limit: 16 << 10,
        log_bytes: 256 << 10,
        label: "start".into(),
        plugin: "shell".into(),
        service: "web".into(),
    }
}

/// Waits until `condition` holds; fails, saying `what` it waited for, if that takes too long.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < DEADLINE, "waited in vain for this: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Awaits `future`, which has to be done in time.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for this: {what}"),
    }
}

/// The state of a process as in `/proc/PID/stat` (`Z` for a zombie), and its parent.
fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

/// Whether a process runs. A zombie doesn't.
pub(crate) fn is_alive(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != 'Z')
}

fn all_processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc can be read");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The zombies that wait for this process to reap them.
pub(crate) fn zombies_of_ours() -> Vec<u32> {
    zombies_of(std::process::id())
}

/// The zombies that wait for a process to reap them.
pub(crate) fn zombies_of(parent: u32) -> Vec<u32> {
    all_processes().filter(|&pid| state_and_parent(pid) == Some(('Z', parent))).collect()
}

/// The living children of a process.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    all_processes()
        .filter(|&pid| {
            state_and_parent(pid).is_some_and(|(state, of)| state != 'Z' && of == parent)
        })
        .collect()
}

/// The children of this process whose command line has `text` in it.
pub(crate) fn children_with(text: &str) -> Vec<u32> {
    let has_text = |pid: &u32| {
        let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command_line).contains(text)
    };
    children_of(std::process::id()).into_iter().filter(has_text).collect()
}

/// Ends a process that a test has started.
pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().expect("a pid is small"));
    let _ = rustix::process::kill_process(
        pid.expect("a pid is not zero"),
        rustix::process::Signal::KILL,
    );
}

/// Ends a process when the test is over, however it ends.
pub(crate) struct KillAtEnd(pub(crate) u32);

impl Drop for KillAtEnd {
    fn drop(&mut self) {
        kill(self.0);
    }
}

/// One event of the log.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) level: tracing::Level,
    /// All fields, `message` among them.
    pub(crate) fields: BTreeMap<&'static str, String>,
}

impl Event {
    pub(crate) fn message(&self) -> &str {
        self.fields.get("message").map_or("", String::as_str)
    }
}

/// Everything that is logged on this thread while this value lives.
pub(crate) struct Log {
    events: Arc<Mutex<Vec<Event>>>,
    _guard: DefaultGuard,
}

impl Log {
    pub(crate) fn capture() -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::registry().with(Recorder(events.clone()));
        Self { events, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().expect("no test panics while it logs").clone()
    }

    /// The lines that hooks have printed.
    pub(crate) fn lines(&self) -> Vec<String> {
        let is_line = |event: &Event| {
            event.fields.contains_key("stream") && event.level == tracing::Level::INFO
        };
        self.events().iter().filter(|event| is_line(event)).map(|e| e.message().into()).collect()
    }

    /// Waits for the first line, and takes it for a number.
    pub(crate) async fn number_in_first_line(&self) -> u32 {
        until("a line in the log", || !self.lines().is_empty()).await;
        self.lines()[0].parse().expect("the line is a number")
    }
}

struct Recorder(Arc<Mutex<Vec<Event>>>);

impl<S: tracing::Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let event = Event { level: *event.metadata().level(), fields: fields.0 };
        self.0.lock().expect("no test panics while it logs").push(event);
    }
}

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.into());
    }
}
