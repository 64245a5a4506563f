//! Writes down what is under way with the target of a service, before it is ordered (rule 10).
//!
//! A file of the service in `state_dir` has the phase, since when, the cause, and the process groups
//! that run on behalf of the start or the stop. The next Dormouse reads it at its beginning: after a
//! crash, an upgrade or a reboot in the middle of a start, it goes on with that start.
//!
//! ```text
//! { "version": 1, "target": "10.0.0.7:80", "phase": "starting", "since_ms": 1795750000000,
//!   "cause": "client", "cancelled": false, "mark": "5f0c…", "groups": [{ "pid": 4711, "started": 123456, "boot": "0a1b…" }] }
//! ```
//!
//! A target that is asleep has no file. Files are written by blocking threads, one after the other,
//! each with what is true by then. A start or a stop waits for its record, but not longer than
//! [`MAX_WRITE_TIME`]: a disk that hangs delays a wake, and doesn't prevent it.
//!
//! Nothing is synced to the disk. A crash of Dormouse loses nothing of what the kernel has; after a
//! power cut the processes of this machine are gone anyway, and a target elsewhere that was coming up
//! is found by the looks at a sleeping target.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::config::Target;
use crate::decide::{Leftover, ProcessGroup, ProcessJournal};
use crate::files;
use crate::lifecycle::{Record, UnderWay};

/// The version of the file's form.
const VERSION: u64 = 1;

/// How long a start or a stop waits for its record.
const MAX_WRITE_TIME: Duration = Duration::from_secs(2);

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// The largest number of process groups that are noted for one call: the last ones.
const MAX_GROUPS: usize = 64;

/// The record of one service.
pub(super) struct Recorder {
    service: String,
    /// The `target` of the config: a record of another one is not about this server.
    target: String,
    file: PathBuf,
    entry: Mutex<Entry>,
    /// The version of the entry that is on the disk, or that the disk has refused.
    written: watch::Sender<u64>,
    writers: TaskTracker,
    threads: Handle,
}

/// What is to be in the file.
#[derive(Clone, Debug, Default)]
struct Entry {
    /// Counts the changes.
    version: u64,
    /// `None` while the target is asleep.
    content: Option<Content>,
    /// Whether a thread writes. There is one at most: a disk that hangs keeps no second one.
    is_writing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    target: String,
    phase: RecordedPhase,
    /// Milliseconds since 1970.
    since_ms: u64,
    cause: String,
    leftover: Leftover,
}

/// The phases that have a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordedPhase {
    Starting,
    Up,
    Stopping,
}

impl RecordedPhase {
    const ALL: [RecordedPhase; 3] =
        [RecordedPhase::Starting, RecordedPhase::Up, RecordedPhase::Stopping];

    fn name(self) -> &'static str {
        match self {
            RecordedPhase::Starting => "starting",
            RecordedPhase::Up => "up",
            RecordedPhase::Stopping => "stopping",
        }
    }
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
enum RecordError {
    #[error("it can't be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is damaged")]
    Damaged,
    #[error("it was written by a newer version of Dormouse")]
    Newer,
    #[error("it is about the target `{0}`, and the config has another one now")]
    OtherTarget(String),
}

impl Recorder {
    /// A recorder for `service` and its `target`, with a file in `state_dir`. It writes on blocking
    /// threads of `threads`, which `writers` counts.
    pub(super) fn new(
        service: &str,
        target: &Target,
        state_dir: &Path,
        writers: TaskTracker,
        threads: Handle,
    ) -> Arc<Recorder> {
        Arc::new(Recorder {
            service: service.to_owned(),
            target: target.to_string(),
            file: state_dir.join(format!("{service}.phase")),
            entry: Mutex::default(),
            written: watch::Sender::new(0),
            writers,
            threads,
        })
    }

    /// Reads what the last run has left, once, before anything else. Blocks on the disk.
    pub(super) fn load(&self) -> UnderWay {
        let content = match self.read() {
            Ok(content) => content,
            Err(error) => {
                self.put_aside(&error);
                None
            }
        };
        let known = content.as_ref().map(|content| (content.phase, content.leftover.cancelled));
        let under_way = match known {
            None | Some((RecordedPhase::Up, _)) => UnderWay::Nothing,
            Some((RecordedPhase::Starting, false)) => UnderWay::Start,
            Some((RecordedPhase::Starting, true)) => UnderWay::CancelledStart,
            Some((RecordedPhase::Stopping, _)) => UnderWay::Stop,
        };
        self.entry().content = content;
        under_way
    }

    /// What an earlier Dormouse has left of the start or the stop that was under way.
    pub(super) fn leftover(&self) -> Leftover {
        let entry = self.entry();
        entry.content.as_ref().map(|content| content.leftover.clone()).unwrap_or_default()
    }

    /// Notes what is under way; the file follows.
    pub(super) fn set(self: &Arc<Self>, record: Record) {
        let content = match record {
            Record::Asleep => None,
            Record::Starting(cause) => Some((RecordedPhase::Starting, cause.word(), new_mark())),
            Record::Up => Some((RecordedPhase::Up, "", String::new())),
            Record::Stopping(cause) => Some((RecordedPhase::Stopping, cause.word(), new_mark())),
        };
        {
            let mut entry = self.entry();
            if content.is_none() && entry.content.is_none() {
                return;
            }
            entry.version += 1;
            entry.content = content.map(|(phase, cause, mark)| Content {
                target: self.target.clone(),
                phase,
                since_ms: unix_millis(),
                cause: cause.to_owned(),
                leftover: Leftover { mark, ..Leftover::default() },
            });
        }
        self.write_soon();
    }

    /// Notes that the start or the stop that is under way is cancelled.
    pub(super) fn set_cancelled(self: &Arc<Self>) {
        {
            let mut entry = self.entry();
            let Some(content) = &mut entry.content else { return };
            content.leftover.cancelled = true;
            entry.version += 1;
        }
        self.write_soon();
    }

    /// Where the process groups of the call that is ordered now are noted.
    pub(super) fn journal(self: &Arc<Self>) -> Arc<dyn ProcessJournal> {
        let mark = self.leftover().mark;
        Arc::new(Journal { recorder: Arc::clone(self), mark })
    }

    /// Ends when everything that was noted so far is in the file, or after [`MAX_WRITE_TIME`].
    pub(super) async fn flushed(&self) {
        let version = self.entry().version;
        let mut written = self.written.subscribe();
        let flushed = written.wait_for(|written| *written >= version);
        if timeout(MAX_WRITE_TIME, flushed).await.is_err() {
            tracing::warn!(
                service = self.service,
                file = %self.file.display(),
                waited_ms = MAX_WRITE_TIME.as_millis() as u64,
                "the state file could not be written in time; going on without it. After a crash in \
                 this moment, what was under way would be forgotten. Check the disk of `state_dir`",
            );
        }
    }

    fn entry(&self) -> MutexGuard<'_, Entry> {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_soon(self: &Arc<Self>) {
        if !std::mem::replace(&mut self.entry().is_writing, true) {
            let recorder = Arc::clone(self);
            self.writers.spawn_blocking_on(move || recorder.write(), &self.threads);
        }
    }

    /// Brings the file up to date.
    fn write(&self) {
        loop {
            let entry = {
                let mut entry = self.entry();
                if *self.written.borrow() >= entry.version {
                    entry.is_writing = false;
                    return;
                }
                entry.clone()
            };
            self.write_entry(&entry);
            self.written.send_replace(entry.version);
        }
    }

    fn write_entry(&self, entry: &Entry) {
        let done = match &entry.content {
            Some(content) => files::replace_unsynced(&self.file, encode(content).as_bytes()),
            None => files::remove(&self.file),
        };
        if let Err(error) = done {
            tracing::error!(
                service = self.service,
                %error,
                "can't write the state file `{}`: after a restart, Dormouse would not know what was \
                 under way with the target. Let it write to `state_dir`",
                self.file.display(),
            );
        }
    }

    fn read(&self) -> Result<Option<Content>, RecordError> {
        let file = match fs::File::open(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
        let content = decode(&bytes)?;
        if content.target != self.target {
            return Err(RecordError::OtherTarget(content.target));
        }
        Ok(Some(content))
    }

    /// Renames a file that can't be used, so that it can be looked into.
    fn put_aside(&self, error: &RecordError) {
        let mut aside = self.file.as_os_str().to_owned();
        aside.push(".damaged");
        let kept = fs::rename(&self.file, &aside).is_ok();
        tracing::warn!(
            service = self.service,
            "the state file `{}` is ignored: {error}. The target is looked at in its place{}",
            self.file.display(),
            if kept { "; the file was renamed to `….damaged`" } else { "" },
        );
    }
}

fn encode(content: &Content) -> String {
    let groups = content.leftover.groups.iter();
    let groups = groups
        .map(|group| json!({ "pid": group.pid, "started": group.started, "boot": group.boot }));
    json!({
        "version": VERSION,
        "target": content.target,
        "phase": content.phase.name(),
        "since_ms": content.since_ms,
        "cause": content.cause,
        "cancelled": content.leftover.cancelled,
        "mark": content.leftover.mark,
        "groups": groups.collect::<Vec<_>>(),
    })
    .to_string()
}

fn decode(bytes: &[u8]) -> Result<Content, RecordError> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| RecordError::Damaged)?;
    match value["version"].as_u64() {
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => return Err(RecordError::Newer),
        Some(_) | None => return Err(RecordError::Damaged),
    }
    content_of(&value).ok_or(RecordError::Damaged)
}

fn content_of(value: &Value) -> Option<Content> {
    let name = value["phase"].as_str()?;
    let phase = RecordedPhase::ALL.into_iter().find(|phase| phase.name() == name)?;
    let group = |group: &Value| {
        let pid = u32::try_from(group["pid"].as_u64()?).ok()?;
        let boot = group["boot"].as_str()?.to_owned();
        Some(ProcessGroup { pid, started: group["started"].as_u64()?, boot })
    };
    let groups: Option<Vec<_>> = value["groups"].as_array()?.iter().map(group).collect();
    Some(Content {
        target: value["target"].as_str()?.to_owned(),
        phase,
        since_ms: value["since_ms"].as_u64()?,
        cause: value["cause"].as_str()?.to_owned(),
        leftover: Leftover {
            mark: value["mark"].as_str()?.to_owned(),
            groups: groups?,
            cancelled: value["cancelled"].as_bool()?,
        },
    })
}

/// A text that no other call has, in this run or another.
fn new_mark() -> String {
    let random = || RandomState::new().hash_one(unix_millis());
    format!("{:016x}{:016x}", random(), random())
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Notes the process groups of one call.
struct Journal {
    recorder: Arc<Recorder>,
    mark: String,
}

impl ProcessJournal for Journal {
    fn mark(&self) -> &str {
        &self.mark
    }

    fn started(&self, group: &ProcessGroup) {
        {
            let mut entry = self.recorder.entry();
            let Some(content) = &mut entry.content else { return };
            if content.leftover.mark != self.mark {
                // Another call has been ordered since.
                return;
            }
            let groups = &mut content.leftover.groups;
            if groups.len() >= MAX_GROUPS {
                groups.remove(0);
            }
            groups.push(group.clone());
            entry.version += 1;
        }
        self.recorder.write_soon();
    }

    /// The group stays in the record: its start time tells it from another process with its number,
    /// and a call without any group would be looked for by its mark, which a server has as well that
    /// the hook has put into the background.
    fn ended(&self, _: &ProcessGroup) {}
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use super::*;
    use crate::lifecycle::Cause;

    fn recorder(folder: &Path) -> Arc<Recorder> {
        of("web.example:80", folder)
    }

    fn of(target: &str, folder: &Path) -> Arc<Recorder> {
        let target = Target::parse(target).unwrap();
        Recorder::new("web.1", &target, folder, TaskTracker::new(), Handle::current())
    }

    fn group(pid: u32) -> ProcessGroup {
        ProcessGroup { pid, started: 99, boot: "boot".to_owned() }
    }

    const PHASES: [(Record, UnderWay); 3] = [
        (Record::Starting(Cause::Cooldown), UnderWay::Start),
        (Record::Up, UnderWay::Nothing),
        (Record::Stopping(Cause::Cooldown), UnderWay::Stop),
    ];

    #[tokio::test]
    async fn rule_10_what_was_under_way_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        assert_eq!(recorder(&state).load(), UnderWay::Nothing);
        for (record, under_way) in PHASES {
            let before = recorder(&state);
            before.set(record);
            before.flushed().await;
            assert_eq!(recorder(&state).load(), under_way, "{record:?}");
        }
        let before = recorder(&state);
        before.load();
        before.set(Record::Asleep);
        before.flushed().await;
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0, "nothing is left behind");
    }

    #[tokio::test]
    async fn rule_10_the_process_groups_of_a_call_are_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let before = recorder(folder.path());
        before.set(Record::Starting(Cause::Cooldown));
        let journal = before.journal();
        assert_eq!(journal.mark().len(), 32);
        for pid in 7..8 + MAX_GROUPS as u32 {
            journal.started(&group(pid));
            journal.ended(&group(pid));
        }
        before.flushed().await;
        let after = recorder(folder.path());
        assert_eq!(after.load(), UnderWay::Start);
        let groups = (8..8 + MAX_GROUPS as u32).map(group).collect();
        let leftover = Leftover { mark: journal.mark().to_owned(), groups, cancelled: false };
        assert_eq!(after.leftover(), leftover);
        // A call that was ordered later has a mark of its own, and no groups yet.
        after.set(Record::Stopping(Cause::Cooldown));
        journal.started(&group(9));
        assert_ne!(after.journal().mark(), journal.mark());
        assert_eq!(after.leftover().groups, []);
    }

    #[tokio::test]
    async fn rule_17_that_a_call_was_cancelled_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let before = recorder(folder.path());
        before.set(Record::Stopping(Cause::Cooldown));
        assert!(!before.leftover().cancelled);
        before.set_cancelled();
        before.flushed().await;
        let after = recorder(folder.path());
        assert_eq!(after.load(), UnderWay::Stop);
        assert!(after.leftover().cancelled);
        after.set(Record::Starting(Cause::Cooldown));
        assert!(!after.leftover().cancelled);
        after.set_cancelled();
        after.flushed().await;
        assert_eq!(recorder(folder.path()).load(), UnderWay::CancelledStart);
    }

    #[tokio::test]
    async fn what_was_under_way_with_another_target_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let before = recorder(folder.path());
        before.set(Record::Starting(Cause::Cooldown));
        before.flushed().await;
        assert_eq!(of("other.example:80", folder.path()).load(), UnderWay::Nothing);
    }

    #[tokio::test]
    async fn a_damaged_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let before = recorder(folder.path());
        before.set(Record::Starting(Cause::Cooldown));
        before.flushed().await;
        let file = folder.path().join("web.1.phase");
        let whole = fs::read_to_string(&file).unwrap();
        let damages = [
            String::new(),
            "{}".to_owned(),
            whole[..40].to_owned(),
            whole.replace("starting", "flying"),
            whole.replace("\"version\":1", "\"version\":2"),
            whole.replace("\"groups\":[]", "\"groups\":[{\"pid\":-1}]"),
        ];
        for damage in damages {
            fs::write(&file, &damage).unwrap();
            assert_eq!(recorder(folder.path()).load(), UnderWay::Nothing, "{damage}");
            assert!(!file.exists(), "{damage}");
            let aside = fs::read_to_string(folder.path().join("web.1.phase.damaged")).unwrap();
            assert_eq!(aside, damage);
        }
        fs::write(&file, whole).unwrap();
        assert_eq!(recorder(folder.path()).load(), UnderWay::Start);
    }

    #[tokio::test]
    async fn a_disk_that_refuses_costs_the_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("state");
        fs::write(&in_the_way, "").unwrap();
        let recorder = recorder(&in_the_way);
        recorder.set(Record::Starting(Cause::Cooldown));
        recorder.flushed().await;
        assert_eq!(fs::read(&in_the_way).unwrap(), b"");
    }
}
