//! The process of Dormouse: started, ended on purpose, and watched for ends of its own accord.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::clock::{self, Tick};
use super::log_reader;
use super::procfs::Process;
use super::tally::Tally;
use super::violations::{Kind, Violations};
use super::world::World;

/// How long Dormouse may take to end after SIGTERM: `drain`, a stop hook until its timeout, the
/// grace period of a hook that ignores SIGTERM, and time for a busy machine.
const EXIT_TIME: Duration = Duration::from_secs(20);

/// A process that ends so often within [`RESTART_WINDOW`] will not stay up: the run is over.
const MAX_DEATHS: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(30);

/// Dormouse.
pub struct Proxy<'a> {
    world: &'a World,
    violations: &'a Violations,
    tally: &'a Tally,
    state: Mutex<State>,
    /// Whether nothing reads its log.
    is_log_stalled: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    child: Option<Child>,
    /// It was asked to end, so that its end is no violation.
    asked: bool,
    /// When it was asked to end (or found dead), and when it had ended.
    ends: Vec<(Tick, Tick)>,
    deaths: Vec<Instant>,
}

impl<'a> Proxy<'a> {
    pub fn new(world: &'a World, violations: &'a Violations, tally: &'a Tally) -> Self {
        Proxy { world, violations, tally, state: Mutex::default(), is_log_stalled: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it, if it doesn't run.
    pub fn start(&self) -> Result<(), String> {
        let mut state = self.state();
        if state.child.is_none() {
            state.child = Some(self.spawn()?);
            state.asked = false;
            self.tally.count("Dormouse: started");
        }
        Ok(())
    }

    fn spawn(&self) -> Result<Child, String> {
        let path = self.world.log();
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| format!("can't open {}: {error}", path.display()))?;
        // The marks of starts and ends make the log readable; it does not depend on them.
        let _ = writeln!(log, "--- started at tick {}", clock::now());
        let cannot = |error: std::io::Error| format!("can't start Dormouse: {error}");
        let (reader, writer) = std::io::pipe().map_err(cannot)?;
        log_reader::read(reader, log, &self.is_log_stalled).map_err(cannot)?;
        self.world
            .dormouse("run")
            .process_group(0)
            .stdout(std::process::Stdio::null())
            .stderr(writer)
            .spawn()
            .map_err(cannot)
    }

    /// From here on, nothing reads its log, or it is read again.
    pub fn stall_log(&self, is_stalled: bool) {
        self.is_log_stalled.store(is_stalled, Ordering::Relaxed);
    }

    /// The process that runs now.
    pub fn process(&self) -> Option<Process> {
        let state = self.state();
        Process::of(state.child.as_ref()?.id())
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(process) = self.process() {
            process.signal(signal);
        }
    }

    /// SIGKILL; returns when it has ended.
    pub fn kill(&self) {
        self.tally.count("Dormouse: killed with SIGKILL");
        let mut state = self.state();
        let Some(mut child) = state.child.take() else { return };
        let asked_at = clock::now();
        // Both only fail if the process has ended already.
        let _ = child.kill();
        let _ = child.wait();
        state.ends.push((asked_at, clock::now()));
    }

    /// SIGTERM, and a second one after `hurry`; returns when it has ended.
    pub fn terminate(&self, hurry: Option<Duration>) {
        self.tally.count("Dormouse: ended with SIGTERM");
        let asked_at = clock::now();
        self.state().asked = true;
        self.signal(Signal::TERM);
        let begin = Instant::now();
        let mut second = hurry;
        loop {
            if second.is_some_and(|after| begin.elapsed() >= after) {
                self.signal(Signal::TERM);
                second = None;
            }
            let mut state = self.state();
            let Some(child) = &mut state.child else { return };
            if matches!(child.try_wait(), Ok(Some(_))) {
                state.child = None;
                state.ends.push((asked_at, clock::now()));
                return;
            }
            drop(state);
            if begin.elapsed() > EXIT_TIME {
                let text = format!("it still runs {EXIT_TIME:?} after SIGTERM");
                self.violations.record(Kind::SlowExit, "", &text);
                self.kill();
                return;
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Looks whether it has ended by itself: a violation, after which it is started again.
    /// An error means that it does not stay up.
    pub fn watch(&self) -> Result<(), String> {
        let mut state = self.state();
        if state.asked {
            return Ok(());
        }
        let Some(child) = &mut state.child else { return Ok(()) };
        let Ok(Some(status)) = child.try_wait() else { return Ok(()) };
        state.child = None;
        let now = clock::now();
        state.ends.push((now, now));
        state.deaths.push(Instant::now());
        let recent = state.deaths.iter().filter(|death| death.elapsed() < RESTART_WINDOW).count();
        drop(state);
        self.violations.record(Kind::Died, "", &describe(status));
        if recent >= MAX_DEATHS {
            return Err(format!("Dormouse ended {recent} times within {RESTART_WINDOW:?}"));
        }
        self.start()
    }

    /// Whether it ended, or was about to end, at some time from `from` to `to`.
    pub fn ended_within(&self, from: Tick, to: Tick) -> bool {
        let state = self.state();
        state.asked || state.ends.iter().any(|&(begin, end)| begin <= to && from <= end)
    }
}

impl Drop for Proxy<'_> {
    fn drop(&mut self) {
        let mut state = self.state();
        if let Some(mut child) = state.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn describe(status: ExitStatus) -> String {
    format!("it ended by itself: {status}")
}
