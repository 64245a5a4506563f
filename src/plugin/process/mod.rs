//! Runs commands outside the sandbox: hooks, for the shell plugin and every other that may.
//!
//! A hook is somebody's script, and scripts misbehave: they hang, ignore signals, leave children
//! behind, print without end, or start a server that keeps their output open for ever. What holds
//! whatever a hook does:
//!
//! - It runs in a process group of its own, with Dormouse's environment and a few variables more.
//!   A group rather than a session, so that it keeps the terminal's permissions and loses only the
//!   terminal's signals: Ctrl-C reaches Dormouse alone, which then ends the hook in order.
//! - It is over when its process has exited, whoever else still holds its output.
//! - If its time is up, nobody waits for it any more, or Dormouse exits, the whole group gets
//!   SIGTERM, and SIGKILL after a grace period (5 s) if anybody is left in it ([`group`]). Whoever
//!   is left in the group after an exit of its own accord is left alone: a daemon, most likely. A
//!   process that has left the group (`setsid`) is ended if its call is cancelled and has a mark ([`marked`]).
//! - A call that is cancelled, late or trapped waits until its groups are gone ([`scope`]).
//! - Each line that it prints is logged as it is printed, with control characters escaped, long
//!   lines cut and floods thinned out ([`lines`]). The last bytes are kept for whoever asked
//!   ([`capture`]).
//! - If a daemon holds its output after the exit, a small process takes over reading it, which
//!   outlives Dormouse: else the daemon would die of SIGPIPE when Dormouse does ([`drain`]).
//! - A command that can't be started says why, and what would help ([`spawn_error`]).
//!
//! A process that is to outlive the call that started it is kept ([`kept`]), told apart from others
//! that get its number later ([`identity`]). Groups of an earlier Dormouse are waited for and ended in
//! the same way ([`foreign`]). As the first process of a container, Dormouse reaps what hooks leave
//! behind ([`reaper`]).
//!
//! A hook is watched by a task of its own, so that a caller who loses interest (and drops the
//! future) costs nothing but that: the task ends the group and reaps the process all the same.

mod capture;
mod drain;
mod foreign;
mod group;
mod identity;
mod kept;
mod lines;
pub(in crate::plugin) mod log_rate;
mod marked;
pub mod reaper;
mod scope;
mod spawn_error;

use std::fmt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::capture::{Capture, Captured};
use self::group::Group;
pub use self::identity::{Identity, boot, leader_with};
pub use self::kept::{InputError, Kept};
use self::lines::{Lines, Origin, Stream};
pub(in crate::plugin) use self::scope::Member;
pub use self::scope::{Observer, Scope};
pub use self::spawn_error::SpawnError;

/// How long a process group may take to end after SIGTERM, before SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// The default number of commands that a runner may be starting at once.
const STARTS: usize = 64;

/// Runs commands, and owns them until they have ended.
///
/// Clones share what they own: [`Runner::shutdown`] on one of them is for all.
#[derive(Clone, Debug)]
pub struct Runner {
    /// Counts the tasks that watch a child or follow a daemon's output.
    tasks: TaskTracker,
    /// Cancelled when everything has to end.
    closing: CancellationToken,
    /// Cancelled when that can't wait.
    hurry: CancellationToken,
    grace: Duration,
    /// One permit for each command that is being started: that takes a thread, and hangs if the file
    /// system of the program does.
    starts: Arc<Semaphore>,
    /// Where commands are watched; that of the caller if there is none.
    home: Option<Handle>,
}

/// A command to run.
#[derive(Clone)]
pub struct Command {
    /// The program: a path, or a name that is found in `PATH`.
    pub program: String,
    /// Its arguments, without the program's name.
    pub arguments: Vec<String>,
    /// Variables to set beside those that Dormouse has itself.
    pub environment: Vec<(String, String)>,
    /// What it reads from its standard input; `/dev/null` if absent.
    pub stdin: Option<Vec<u8>>,
    /// The time after which it is ended with its group.
    pub timeout: Option<Duration>,
    /// How many bytes of each output stream are kept, counted from the end.
    pub output_limit: usize,
    /// How many bytes of each output stream are logged in a second.
    pub log_bytes: usize,
    /// The word for it in the log: the field `hook`.
    pub label: String,
    /// The plugin that runs it, for the log.
    pub plugin: String,
    /// The service that it is run for, for the log.
    pub service: String,
}

impl fmt::Debug for Command {
    /// Without the values of variables and without the input, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("label", &self.label)
            .field("plugin", &self.plugin)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How its process ended.
    pub exit: Exit,
    /// The last bytes of its standard output.
    pub stdout: Vec<u8>,
    /// The last bytes of its standard error.
    pub stderr: Vec<u8>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It was ended because its time was up.
    TimedOut,
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}

impl Runner {
    /// A runner that gives a process group 5 seconds between SIGTERM and SIGKILL.
    ///
    /// It watches its commands on the tokio runtime in which it is made, whatever runtime a command
    /// is run from.
    pub fn new() -> Self {
        Self::with_grace(GRACE)
    }

    /// A runner that gives a process group `grace` between SIGTERM and SIGKILL.
    pub fn with_grace(grace: Duration) -> Self {
        Self {
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            hurry: CancellationToken::new(),
            grace,
            starts: Arc::new(Semaphore::new(STARTS)),
            home: Handle::try_current().ok(),
        }
    }

    /// The same runner for one of several users, who can have at most `starts` commands being started
    /// at once.
    pub fn starting_at_most(&self, starts: usize) -> Self {
        Self { starts: Arc::new(Semaphore::new(starts)), ..self.clone() }
    }

    /// Spawns a task that is waited for at the exit.
    pub(in crate::plugin) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.home {
            Some(home) => self.tasks.spawn_on(task, home),
            None => self.tasks.spawn(task),
        }
    }

    /// Runs `command` and waits until its process has exited.
    ///
    /// Dropping the future ends the process group in the background.
    ///
    /// # Errors
    ///
    /// If the command can't be started, and after [`Runner::shutdown`]. A command that was started
    /// and failed is no error here: see [`Output::exit`].
    pub async fn run(&self, command: Command) -> Result<Output, SpawnError> {
        self.run_in(&Scope::default(), command).await
    }

    /// The same for a call: its `scope` counts the process group until it is gone, or until its leader
    /// has ended by itself, and can end it.
    ///
    /// # Errors
    ///
    /// As [`Runner::run`], and after [`Scope::end`].
    pub async fn run_in(&self, scope: &Scope, command: Command) -> Result<Output, SpawnError> {
        // Counted before the look at `closing`: a shutdown that begins after that look waits for
        // the child.
        let counted = self.tasks.token();
        if self.closing.is_cancelled() {
            return Err(SpawnError::shutting_down(&command.program));
        }
        let unwanted = scope.unwanted().child_token();
        // The scope counts the task, and not this future: that may be kept by an instance which nobody
        // polls any more.
        let watching = Hook::carry_out(self.clone(), scope.enter(), command, unwanted.clone());
        let watching = self.spawn(watching);
        drop(counted);

        let _ends_it_when_dropped = unwanted.drop_guard();
        match watching.await {
            Ok(output) => output,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and this future with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Ends the processes that have the variable `name` set to `value`, and waits for their end: those
    /// that have left the process groups of a call that was cancelled.
    pub async fn end_marked(&self, name: &'static str, value: &str) {
        if !value.is_empty() {
            marked::end(name, value, self.grace, &self.hurry).await;
        }
    }

    /// Whether everything has to end.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Ends all children that still run, and waits until they have ended. Commands are refused from
    /// here on. Daemons that hooks left behind live on.
    pub async fn shutdown(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The same without the time between SIGTERM and SIGKILL, for those that have had a part of it
    /// as well.
    pub async fn kill(&self) {
        self.hurry.cancel();
        self.shutdown().await;
    }
}

/// A command that runs.
struct Hook {
    command: Command,
    group: Group,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
}

impl Hook {
    /// Starts `command` as `member` of its scope, and sees it to its end. `unwanted` is cancelled when
    /// nobody waits for it any more.
    async fn carry_out(
        runner: Runner,
        member: Member,
        command: Command,
        unwanted: CancellationToken,
    ) -> Result<Output, SpawnError> {
        let program = command.program.clone();
        let hook = {
            let _start = tokio::select! {
                biased;
                () = unwanted.cancelled() => return Err(SpawnError::unwanted(&program)),
                () = runner.closing.cancelled() => return Err(SpawnError::shutting_down(&program)),
                // Never closed.
                permit = runner.starts.acquire() => permit,
            };
            let started = tokio::select! {
                started = Self::start(command) => started,
                () = given_up(&runner) => return Err(SpawnError::shutting_down(&program)),
            };
            started.map_err(|error| SpawnError::explain(&program, error))?
        };
        hook.watch(runner, member, unwanted).await
    }

    /// Starts the command. What has begun is carried through: a process that was started and is not
    /// watched would outlive its call.
    async fn start(command: Command) -> std::io::Result<Self> {
        tracing::debug!(
            service = command.service,
            hook = command.label,
            plugin = command.plugin,
            "runs {:?} with the arguments {:?}",
            command.program,
            command.arguments
        );
        let (stdout_reader, stdout_writer) = std::io::pipe()?;
        let (stderr_reader, stderr_writer) = std::io::pipe()?;
        let stdin = if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        let capture = |reader: std::io::PipeReader, stream| {
            let origin = Origin {
                service: command.service.clone(),
                plugin: command.plugin.clone(),
                hook: command.label.clone(),
                stream,
            };
            Capture::new(reader.into(), command.output_limit, Lines::new(origin, command.log_bytes))
        };
        let stdout = capture(stdout_reader, Stream::Stdout)?;
        let stderr = capture(stderr_reader, Stream::Stderr)?;
        let mut process = tokio::process::Command::new(&command.program);
        process
            .args(&command.arguments)
            .envs(command.environment.iter().map(|(name, value)| (name, value)))
            .stdin(stdin)
            .stdout(stdout_writer)
            .stderr(stderr_writer);
        let mut group = Group::spawn(process).await?;
        let stdin = group.take_stdin();
        Ok(Self { command, group, stdin, stdout, stderr })
    }

    /// Sees the hook to its end.
    async fn watch(
        mut self,
        runner: Runner,
        mut member: Member,
        unwanted: CancellationToken,
    ) -> Result<Output, SpawnError> {
        member.started(self.group.pid());
        let exited = CancellationToken::new();
        let ending = async {
            let timeout = self.command.timeout;
            let not_wanted = async {
                tokio::select! {
                    () = unwanted.cancelled() => {}
                    () = runner.closing.cancelled() => {}
                }
            };
            let exit = self.group.finish(timeout, not_wanted, runner.grace, &runner.hurry).await;
            member.ended();
            exited.cancel();
            exit
        };
        let (exit, (), stdout, stderr) = tokio::join!(
            ending,
            feed(self.stdin, self.command.stdin, &exited),
            self.stdout.read_until(&exited),
            self.stderr.read_until(&exited),
        );
        let exit = exit.map_err(|error| SpawnError::lost(&self.command.program, error))?;
        let keep = |captured: Captured| {
            if let Some(leftover) = captured.leftover {
                runner.spawn(drain::follow(leftover, runner.closing.clone()));
            }
            captured.tail
        };
        Ok(Output { exit, stdout: keep(stdout), stderr: keep(stderr) })
    }
}

/// Ends when Dormouse exits and can't wait any longer for a program that the kernel has not loaded.
async fn given_up(runner: &Runner) {
    runner.closing.cancelled().await;
    let _ = runner.hurry.run_until_cancelled(tokio::time::sleep(runner.grace)).await;
}

/// Writes `bytes` to a hook's standard input and closes it. A hook needn't read them: what is left
/// when it has `exited` is dropped.
async fn feed(stdin: Option<ChildStdin>, bytes: Option<Vec<u8>>, exited: &CancellationToken) {
    if let (Some(mut stdin), Some(bytes)) = (stdin, bytes) {
        // An error means that the hook has closed its end, which is its own affair.
        let _ = exited.run_until_cancelled(stdin.write_all(&bytes)).await;
    }
}
