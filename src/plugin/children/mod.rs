//! Processes that plugins keep beyond a call: the interface `children`.
//!
//! Each plugin has a space of names for each service. A child runs under its name until it ends, is
//! told to, or Dormouse exits. How the last ones have ended is remembered until then.
//!
//! What holds whatever a plugin, a child or a crash does:
//!
//! - There are never more children than `limits.children`.
//! - A child that runs is written down ([`record`]), before it is started and after. The next
//!   Dormouse finds it again, by its number and the time of its start, or by a mark in its
//!   environment if it was just being started. It ends it when it exits.
//! - A number that belongs to somebody else by then is left alone.
//! - Of two Dormice with one state folder, the second keeps its hands off the children of the first.

mod record;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Signal;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use self::record::{Record, Trace};
use super::process::{Command, Exit, Identity, InputError, Kept, Runner, SpawnError, leader_with};
use super::state_store::file_name;

/// The variable by which a child is found whose number was not written down yet.
pub(super) const MARK: &str = "DORMOUSE_CHILD";

/// Why something was not done with a child. Displays as a sentence for people.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildError {
    /// A child of this name runs already, under this number.
    #[error("it runs already")]
    Runs(u32),
    /// No child of this name runs.
    #[error("it does not run")]
    RunsNot,
    /// There are as many as there may be.
    #[error(
        "{0} children run already, and there may not be more (`limits.children`). End one of them \
         first, or raise the limit"
    )]
    TooMany(usize),
    /// It did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It did not take its input.
    #[error(transparent)]
    Input(#[from] InputError),
    /// It could not be written down.
    #[error("it is not started, because it can't be written down in `{}`: {error}", file.display())]
    Record {
        /// Where.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another Dormouse has its children there.
    #[error(
        "another Dormouse (process {0}) keeps children for the same plugin and service in the same \
         folder. Give each Dormouse a `state_dir` of its own"
    )]
    Shared(u32),
}

/// What is known of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// There is none of this name, or it is forgotten.
    Unknown,
    /// It runs under this number.
    Runs(u32),
    /// It has ended, in this way if that is known.
    Ended(Option<Exit>),
}

/// All spaces of a process.
#[derive(Debug)]
pub(super) struct ChildStore {
    folder: PathBuf,
    runner: Runner,
    spaces: Mutex<HashMap<String, Arc<Children>>>,
}

impl ChildStore {
    /// A store that writes down in `folder` what `runner` runs.
    pub(super) fn new(folder: &Path, runner: Runner) -> ChildStore {
        ChildStore { folder: folder.to_owned(), runner, spaces: Mutex::default() }
    }

    /// The children of a plugin for a service; `hooks` is as in the store of state. Finds again those
    /// that an earlier Dormouse has left.
    pub(super) async fn space(
        &self,
        plugin: &str,
        hooks: bool,
        service: &str,
        limit: usize,
    ) -> Arc<Children> {
        let name = file_name(plugin, hooks, service, "children");
        let children = {
            let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
            let space = spaces.entry(name).or_insert_with_key(|name| {
                Arc::new(Children {
                    file: self.folder.join(name),
                    plugin: plugin.to_owned(),
                    service: service.to_owned(),
                    limit,
                    runner: self.runner.clone(),
                    known: Arc::default(),
                })
            });
            Arc::clone(space)
        };
        children.find_again().await;
        children
    }
}

/// The children of one plugin for one service.
#[derive(Debug)]
pub(super) struct Children {
    file: PathBuf,
    plugin: String,
    service: String,
    /// How many may run at once.
    limit: usize,
    runner: Runner,
    known: Arc<AsyncMutex<Known>>,
}

/// The children by their names.
#[derive(Debug, Default)]
struct Known {
    /// Whether those of an earlier Dormouse have been looked for.
    is_complete: bool,
    /// The Dormouse that had children here when this one came.
    other: Option<Identity>,
    running: BTreeMap<String, Running>,
    /// How many have been started.
    starts: u64,
    /// How the last ones have ended, the latest at the end.
    ended: Vec<(String, Option<Exit>)>,
}

#[derive(Debug)]
struct Running {
    process: Arc<Kept>,
    /// Whether the plugin has sent it a signal, so that its end is no surprise.
    is_signalled: bool,
}

impl Children {
    /// Starts `command` under its label, which no child that runs may have, and gives its number.
    ///
    /// Whoever drops this drops only the waiting: a start that has begun is carried through.
    pub(super) async fn start(self: &Arc<Self>, command: Command) -> Result<u32, ChildError> {
        let children = Arc::clone(self);
        match self.runner.spawn(async move { children.start_now(command).await }).await {
            Ok(started) => started,
            // The runtime ends, and this future with it.
            Err(_) => std::future::pending().await,
        }
    }

    async fn start_now(self: &Arc<Self>, mut command: Command) -> Result<u32, ChildError> {
        let mut known = self.known.lock().await;
        if let Some(other) = known.other.filter(|other| other.is_alive()) {
            return Err(ChildError::Shared(other.pid));
        }
        let name = command.label.clone();
        if let Some(child) = known.running.get(&name) {
            return Err(ChildError::Runs(child.process.identity().pid));
        }
        if known.running.len() >= self.limit {
            return Err(ChildError::TooMany(self.limit));
        }
        known.starts += 1;
        let mark = self.mark(&name, known.starts);
        let written =
            self.write_down(&known, Some((name.clone(), Trace::Mark(mark.clone())))).await;
        command.environment.push((MARK.to_owned(), mark));
        written.map_err(|error| ChildError::Record { file: self.file.clone(), error })?;
        // Its end waits for the lock, so it finds what is noted here.
        let started = self.runner.keep(&command, self.at_end(name.clone())).await;
        if let Ok(process) = &started {
            let pid = process.identity().pid;
            let (plugin, service) = (self.plugin.as_str(), self.service.as_str());
            tracing::info!(service, plugin, child = name, pid, "a child was started");
        }
        let started = started.map(|process| {
            let pid = process.identity().pid;
            known.ended.retain(|(ended, _)| *ended != name);
            known.running.insert(name, Running { process: Arc::new(process), is_signalled: false });
            pid
        });
        self.note(&known).await;
        Ok(started?)
    }

    /// Sends `signal` to a child and its group.
    pub(super) async fn signal(&self, name: &str, signal: Signal) -> Result<(), ChildError> {
        let process = {
            let mut known = self.known.lock().await;
            let child = known.running.get_mut(name).ok_or(ChildError::RunsNot)?;
            child.is_signalled = true;
            Arc::clone(&child.process)
        };
        if process.signal(signal).await { Ok(()) } else { Err(ChildError::RunsNot) }
    }

    /// Writes to a child's standard input, which may take until `deadline`.
    pub(super) async fn write(
        &self,
        name: &str,
        bytes: &[u8],
        deadline: Instant,
    ) -> Result<(), ChildError> {
        let process = {
            let known = self.known.lock().await;
            Arc::clone(&known.running.get(name).ok_or(ChildError::RunsNot)?.process)
        };
        Ok(process.write(bytes, deadline).await?)
    }

    /// Whether a child lives.
    pub(super) async fn status(&self, name: &str) -> Status {
        let known = self.known.lock().await;
        if let Some(child) = known.running.get(name) {
            return Status::Runs(child.process.identity().pid);
        }
        let ended = known.ended.iter().find(|(ended, _)| ended == name);
        ended.map_or(Status::Unknown, |(_, exit)| Status::Ended(*exit))
    }

    /// Looks for the children of an earlier Dormouse, once.
    async fn find_again(self: &Arc<Self>) {
        let mut known = self.known.lock().await;
        if std::mem::replace(&mut known.is_complete, true) {
            return;
        }
        let (plugin, service) = (self.plugin.as_str(), self.service.as_str());
        let Some(record) = self.read().await else { return };
        if record.owner.pid != std::process::id() && record.owner.is_alive() {
            let other = record.owner.pid;
            tracing::error!(
                service,
                plugin,
                "another Dormouse (process {other}) has children in `{}`. They are left to it, and \
                 this one can't have any. Give each Dormouse a `state_dir` of its own",
                self.file.display()
            );
            known.other = Some(record.owner);
            return;
        }
        for (child, trace) in record.children {
            let Some(identity) = trace.follow().await else {
                tracing::warn!(
                    service,
                    plugin,
                    child,
                    "a child was just being started when an earlier Dormouse ended unexpectedly, and \
                     is not found. If it runs under another user, look for it with `ps`, and end it"
                );
                continue;
            };
            let pid = identity.pid;
            match self.runner.find(identity, self.at_end(child.clone())) {
                Ok(Some(process)) => {
                    tracing::info!(
                        service,
                        plugin,
                        child,
                        pid,
                        "a child of an earlier Dormouse still runs, and is taken over. What it prints \
                         is not seen any more"
                    );
                    let process = Arc::new(process);
                    known.running.insert(child, Running { process, is_signalled: false });
                }
                Ok(None) => {
                    tracing::warn!(
                        service,
                        plugin,
                        child,
                        pid,
                        "a child of an earlier Dormouse has ended, in a way that is not known"
                    );
                    self.remember(&mut known, child, None);
                }
                Err(error) => tracing::warn!(
                    service,
                    plugin,
                    child,
                    pid,
                    "a child of an earlier Dormouse may still run, and can't be watched: {error}. End \
                     it if it should not be there"
                ),
            }
        }
        self.note(&known).await;
    }

    /// What the earlier Dormouse has written down.
    async fn read(&self) -> Option<Record> {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || {
            Record::read(&file).map_err(|error| match record::put_aside(&file) {
                Ok(aside) => format!("{error}. It is put aside as `{}`", aside.display()),
                Err(_) => error.to_string(),
            })
        });
        match read.await {
            Ok(Ok(record)) => record,
            Ok(Err(reason)) => {
                let (plugin, service) = (self.plugin.as_str(), self.service.as_str());
                tracing::error!(
                    service,
                    plugin,
                    "what is written about children in `{}` can't be read: {reason}. If some were \
                     left behind, they are not found again: look for them with `ps`",
                    self.file.display()
                );
                None
            }
            // The runtime ends.
            Err(_) => None,
        }
    }

    /// What is done when the child `name` has ended.
    fn at_end(
        self: &Arc<Self>,
        name: String,
    ) -> impl FnOnce(Option<Exit>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static
    {
        let children = Arc::clone(self);
        move |exit| Box::pin(async move { children.end(name, exit).await })
    }

    async fn end(&self, name: String, exit: Option<Exit>) {
        let mut known = self.known.lock().await;
        let Some(Running { process, is_signalled }) = known.running.remove(&name) else { return };
        let (plugin, service, child) = (&*self.plugin, &*self.service, name.as_str());
        let pid = process.identity().pid;
        let how = match exit {
            Some(Exit::Status(status)) => format!("exited with status {status}"),
            Some(Exit::Signal(signal)) => format!("was ended by signal {signal}"),
            Some(Exit::TimedOut) | None => "has ended".to_owned(),
        };
        let is_in_order = exit == Some(Exit::Status(0));
        if is_in_order || is_signalled || self.runner.is_closing() {
            tracing::info!(service, plugin, child, pid, "a child {how}");
        } else {
            tracing::warn!(service, plugin, child, pid, "a child {how}");
        }
        self.remember(&mut known, name, exit);
        self.note(&known).await;
    }

    /// Remembers how a child has ended; of all others, the last ones.
    fn remember(&self, known: &mut Known, name: String, exit: Option<Exit>) {
        if known.ended.len() >= self.limit {
            known.ended.remove(0);
        }
        known.ended.push((name, exit));
    }

    /// Writes down who runs. A disk that refuses it costs no child.
    async fn note(&self, known: &Known) {
        if let Err(error) = self.write_down(known, None).await {
            let (plugin, service) = (self.plugin.as_str(), self.service.as_str());
            tracing::error!(
                service,
                plugin,
                "`{}` can't be written: {error}. Should Dormouse crash, children are not found again",
                self.file.display()
            );
        }
    }

    /// A text that no other child has, of whatever Dormouse.
    fn mark(&self, name: &str, number: u64) -> String {
        let started = Identity::own().map_or(0, |own| own.started);
        let (plugin, service, pid) = (&self.plugin, &self.service, std::process::id());
        format!("{plugin}/{service}/{name}/{pid}/{started}/{number}")
    }

    /// Writes down who runs, and who is about to be started.
    async fn write_down(&self, known: &Known, starting: Option<(String, Trace)>) -> io::Result<()> {
        let trace = |child: &Running| Trace::Process(child.process.identity());
        let running = known.running.iter().map(|(name, child)| (name.clone(), trace(child)));
        let children = running.chain(starting).collect();
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || Record::new(children)?.write(&file));
        written.await.map_err(io::Error::other)?
    }
}

impl Trace {
    /// The process to which it leads, if one can be seen.
    async fn follow(self) -> Option<Identity> {
        match self {
            Trace::Process(process) => Some(process),
            Trace::Mark(mark) => {
                let looking = tokio::task::spawn_blocking(move || leader_with(MARK, &mark));
                looking.await.ok().flatten()
            }
        }
    }
}
