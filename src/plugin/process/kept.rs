//! Processes that are kept beyond the call that started them, and those that an earlier Dormouse
//! has left behind.
//!
//! A kept process is watched like a hook, and ends like one: it has a group of its own, which gets
//! SIGTERM when Dormouse exits, and SIGKILL after the grace period. What differs is its output. A
//! hook that prints into a pipe whose reader has crashed dies of it; a kept process has to survive
//! that, so its output goes through a [`drain`] from the beginning.
//!
//! A process that an earlier Dormouse has started is taken over as far as that is possible
//! ([`Foreign`]).

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::capture::Leftover;
use super::drain;
use super::foreign::Foreign;
use super::group::Group;
use super::lines::{Lines, Origin, Stream};
use super::{Command, Exit, Identity, Runner, SpawnError};

/// How long the last lines of a process that was ended may take on their way through the drain.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How many signals may be under way to one process.
const SIGNALS: usize = 16;

/// A process that outlives the call that started it.
#[derive(Debug)]
pub struct Kept {
    identity: Identity,
    /// Not there if somebody else has started it.
    input: Option<Mutex<ChildStdin>>,
    orders: mpsc::Sender<Order>,
}

/// A signal for a process, and where to say that it was sent.
#[derive(Debug)]
struct Order {
    signal: Signal,
    sent: oneshot::Sender<()>,
}

/// Why a process was not given its input.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// An earlier Dormouse has started it.
    #[error(
        "it was started before Dormouse was, and its input went with the Dormouse that started it. \
         Start it anew to write to it"
    )]
    Gone,
    /// It does not read, or not fast enough.
    #[error("it did not read its input in time: {written} of {length} bytes were written")]
    Late {
        /// How many bytes it can still read.
        written: usize,
        /// How many there were.
        length: usize,
    },
    /// It has closed its input.
    #[error("it does not read its input any more ({0})")]
    Closed(io::Error),
}

impl Runner {
    /// Starts `command`, which goes on when this returns; its `stdin`, `timeout` and `output_limit`
    /// mean nothing here. `ended` is told how it ended, and awaited.
    ///
    /// # Errors
    ///
    /// If it can't be started, and after [`Runner::shutdown`].
    pub async fn keep<Told: Future<Output = ()> + Send>(
        &self,
        command: &Command,
        ended: impl FnOnce(Option<Exit>) -> Told + Send + 'static,
    ) -> Result<Kept, SpawnError> {
        // As in `run`: a shutdown that begins after the look waits for the process.
        let counted = self.tasks.token();
        if self.closing.is_cancelled() {
            return Err(SpawnError::shutting_down(&command.program));
        }
        let explain = |error| SpawnError::explain(&command.program, error);
        // Never closed.
        let start = self.starts.acquire().await;
        let (mut group, output) = spawn(command).await.map_err(explain)?;
        drop(start);
        // It can't be gone: it is not reaped before somebody waits for it.
        let identity = Identity::of(group.pid()).map_err(explain)?;
        let input = group.take_stdin().map(Mutex::new);
        let (orders, received) = mpsc::channel(SIGNALS);
        let runner = self.clone();
        self.spawn(async move {
            ended(runner.watch_kept(group, output, received).await).await;
        });
        drop(counted);
        Ok(Kept { identity, input, orders })
    }

    /// Takes over a process that an earlier Dormouse has started; `None` if it is gone. `ended` is
    /// told when it has ended, and awaited.
    ///
    /// # Errors
    ///
    /// If the kernel can't watch it.
    pub fn find<Told: Future<Output = ()> + Send>(
        &self,
        identity: Identity,
        ended: impl FnOnce(Option<Exit>) -> Told + Send + 'static,
    ) -> io::Result<Option<Kept>> {
        let Some(found) = Foreign::find(identity)? else { return Ok(None) };
        let (orders, received) = mpsc::channel(SIGNALS);
        let runner = self.clone();
        self.spawn(async move {
            runner.watch_found(&found, received).await;
            ended(None).await;
        });
        Ok(Some(Kept { identity, input: None, orders }))
    }

    /// Sees a kept process to its end, and says how it ended, if the kernel does.
    async fn watch_kept(
        &self,
        mut group: Group,
        output: Leftover,
        mut orders: mpsc::Receiver<Order>,
    ) -> Option<Exit> {
        let enough = CancellationToken::new();
        let mut reading = self.spawn(drain::follow(output, enough.clone()));
        let exit = loop {
            tokio::select! {
                exit = group.finish(None, self.closing.cancelled(), self.grace, &self.hurry) => {
                    break exit.ok();
                }
                Some(order) = orders.recv() => {
                    group.signal(order.signal);
                    let _ = order.sent.send(());
                }
            }
        };
        // Whatever it has left behind may print on for as long as Dormouse runs.
        let closing = self.closing.clone();
        self.spawn(async move {
            let over = async {
                closing.cancelled().await;
                sleep(LAST_LINES).await;
            };
            tokio::select! {
                _ = &mut reading => {}
                () = over => enough.cancel(),
            }
        });
        exit
    }

    /// Sees a process to its end that an earlier Dormouse has started.
    async fn watch_found(&self, found: &Foreign, mut orders: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                biased;
                () = found.ended() => return,
                () = self.closing.cancelled() => return found.end(self.grace, &self.hurry).await,
                Some(order) = orders.recv() => {
                    found.signal(order.signal);
                    let _ = order.sent.send(());
                }
            }
        }
    }
}

impl Kept {
    /// Who it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Sends `signal` to its group; says whether it still ran.
    pub async fn signal(&self, signal: Signal) -> bool {
        let (sent, was_sent) = oneshot::channel();
        self.orders.send(Order { signal, sent }).await.is_ok() && was_sent.await.is_ok()
    }

    /// Writes `bytes` to its standard input, which may take until `deadline`.
    ///
    /// # Errors
    ///
    /// If it does not take all of them.
    pub async fn write(&self, bytes: &[u8], deadline: Instant) -> Result<(), InputError> {
        let Some(input) = &self.input else { return Err(InputError::Gone) };
        let mut written = 0;
        let writing = async {
            let mut input = input.lock().await;
            while written < bytes.len() {
                match input.write(&bytes[written..]).await? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    some => written += some,
                }
            }
            Ok(())
        };
        match timeout_at(deadline, writing).await {
            Ok(done) => done.map_err(InputError::Closed),
            Err(_) => Err(InputError::Late { written, length: bytes.len() }),
        }
    }
}

/// Both streams go into one pipe, so that their lines stay in order.
async fn spawn(command: &Command) -> io::Result<(Group, Leftover)> {
    let (reader, writer) = io::pipe()?;
    let origin = Origin {
        service: command.service.clone(),
        plugin: command.plugin.clone(),
        hook: command.label.clone(),
        stream: Stream::Output,
    };
    let mut process = tokio::process::Command::new(&command.program);
    process
        .args(&command.arguments)
        .envs(command.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let group = Group::spawn(process).await?;
    Ok((group, Leftover { pipe: reader.into(), lines: Lines::new(origin, command.log_bytes) }))
}
