//! The threads of one plugin.
//!
//! The code of a guest runs on a thread that belongs to its plugin, and whatever waits for a file
//! system, a pipe or a name server on its behalf runs on a bounded number of further threads. So a
//! guest that computes, a folder that hangs and a pipe that nobody reads cost calls of that plugin.
//! They take no thread from the services, from other plugins, or from what Dormouse keeps itself.
//!
//! The plugins behind `hooks` share one set of threads ([`PluginThreads::shared`]): their guest is
//! Dormouse's own, has no folders, and computes for microseconds.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;
use tracing::instrument::WithSubscriber as _;

/// How much less than others a plugin's threads count for the scheduler of the kernel (nice). On a
/// machine that is busy, connections and decisions go before what a plugin computes.
const NICE: i32 = 5;

/// How many threads the plugins behind `hooks` have for what blocks. Nothing of them should.
const SHARED_BLOCKING: usize = 2;

/// How long all blocking threads of a plugin may be busy before its calls are refused.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// The threads of one plugin. They end when this is dropped; one that hangs in the kernel ends when
/// it comes back.
#[derive(Debug)]
pub(super) struct PluginThreads {
    handle: Handle,
    max_blocking: usize,
    /// Since when a probe waits for a free blocking thread.
    probed: Arc<Mutex<Option<Instant>>>,
    _end: DropGuard,
}

impl PluginThreads {
    /// Starts the thread of the plugin `name`, with at most `max_blocking` threads for what blocks.
    ///
    /// # Errors
    ///
    /// There are no threads or descriptors to be had.
    pub(super) fn start(name: &str, max_blocking: usize) -> io::Result<PluginThreads> {
        Self::start_with(format!("plugin-{name}"), max_blocking, Some(NICE))
    }

    /// Starts the threads that the plugins behind `hooks` share.
    ///
    /// # Errors
    ///
    /// As for [`start`](PluginThreads::start).
    pub(super) fn shared() -> io::Result<PluginThreads> {
        Self::start_with("hooks".to_owned(), SHARED_BLOCKING, None)
    }

    fn start_with(name: String, max_blocking: usize, nice: Option<i32>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(max_blocking)
            .thread_name(format!("{name}-files"))
            .build()?;
        let handle = runtime.handle().clone();
        let end = CancellationToken::new();
        let guard = end.clone().drop_guard();
        let log = tracing::dispatcher::get_default(Clone::clone);
        thread::Builder::new().name(name).spawn(move || {
            // For what libraries spawn here; it is the process's own log, but in tests.
            let _log = tracing::dispatcher::set_default(&log);
            if let Some(nice) = nice {
                // On Linux this is for the calling thread, and for those that it starts. It is not
                // worth an error: it only matters on a busy machine.
                let _ = setpriority_process(None, nice);
            }
            runtime.block_on(end.cancelled());
            // A thread that hangs is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(PluginThreads { handle, max_blocking, probed: Arc::default(), _end: guard })
    }

    /// Runs `work` on the plugin's thread, with the log of the caller. Dropping the future ends it
    /// there.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match AbortOnDropHandle::new(self.handle.spawn(work.with_current_subscriber())).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The thread ends with its host, and this future with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Runs `work`, which may block, on one of the plugin's blocking threads.
    pub(super) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let handle = self.handle.clone();
        match handle.spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Drops `value` on the plugin's thread: freeing an instance takes time.
    pub(super) fn drop_on_thread(&self, value: impl Send + 'static) {
        drop(self.handle.spawn(async move { drop(value) }));
    }

    /// Drops `value` on a blocking thread: closing a file may hang. It should be small: it is kept for as
    /// long as all these threads hang.
    pub(super) fn drop_blocking(&self, value: impl Send + 'static) {
        drop(self.handle.spawn_blocking(move || drop(value)));
    }

    /// A call had no answer in time: looks whether a blocking thread is free.
    ///
    /// What a call has asked for stays in the queue of these threads when the call is over. So calls
    /// are refused while all threads hang, or the queue would grow without end.
    pub(super) fn probe(&self) {
        let mut probed = self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        if probed.is_none() {
            *probed = Some(Instant::now());
            let probed = Arc::clone(&self.probed);
            drop(self.handle.spawn_blocking(move || {
                *probed.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }));
        }
    }

    /// How many blocking threads there are, if all of them hang.
    pub(super) fn stuck(&self) -> Option<usize> {
        let probed = *self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_stuck = probed.is_some_and(|since| since.elapsed() >= STUCK_AFTER);
        is_stuck.then_some(self.max_blocking)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn until(what: &str, condition: impl Fn() -> bool) {
        let begin = Instant::now();
        while !condition() {
            assert!(begin.elapsed() < PATIENCE, "waited unsuccessfully for this: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[tokio::test]
    async fn work_runs_on_the_thread_of_its_plugin() {
        let threads = PluginThreads::start("a", 1).unwrap();
        let name = || thread::current().name().map(str::to_owned);
        assert_eq!(threads.run(async move { name() }).await.as_deref(), Some("plugin-a"));
        assert_eq!(threads.block(name).await.as_deref(), Some("plugin-a-files"));
    }

    #[tokio::test]
    async fn calls_are_refused_while_all_blocking_threads_hang_and_no_longer() {
        let threads = PluginThreads::start("a", 2).unwrap();
        let (first, held) = mpsc::channel::<()>();
        drop(threads.handle.spawn_blocking(move || held.recv()));
        threads.probe();
        until("the probe found the second thread", || threads.probed.lock().unwrap().is_none());

        let (second, held) = mpsc::channel::<()>();
        drop(threads.handle.spawn_blocking(move || held.recv()));
        threads.probe();
        assert_eq!(threads.stuck(), None, "not at once");
        until("both threads count as hanging", || threads.stuck() == Some(2));
        drop(first);
        until("one of them is back", || threads.stuck().is_none());
        drop(second);
    }

    #[test]
    fn the_threads_end_with_their_plugin() {
        let threads = PluginThreads::start("a", 1).unwrap();
        let (alive, gone) = mpsc::channel::<()>();
        drop(threads.handle.spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        }));
        drop(threads);
        assert_eq!(gone.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[tokio::test]
    async fn work_that_is_dropped_is_ended() {
        let threads = PluginThreads::start("a", 1).unwrap();
        let (alive, gone) = mpsc::channel::<()>();
        let work = threads.run(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        let late = tokio::time::timeout(Duration::from_millis(20), work).await;
        assert!(late.is_err());
        assert_eq!(gone.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
