//! Processes that a measurement starts: each the head of a process group of its own, ended when it
//! is no longer needed, whatever happened.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::accounting::{is_listening, is_there};

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// A process that runs, with its children.
pub struct Running {
    pub child: Child,
}

impl Running {
    pub fn start(command: &mut Command) -> io::Result<Self> {
        Ok(Running { child: command.process_group(0).spawn()? })
    }

    /// The process group, which has the number of its head.
    pub fn group(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it listens on `port`.
    pub fn await_listening(&mut self, port: u16, at_most: Duration) -> Result<(), String> {
        let begin = Instant::now();
        while !is_listening(port) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended before it listened ({status})"));
            }
            if begin.elapsed() > at_most {
                return Err(format!("it did not listen within {at_most:?}"));
            }
            sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    fn has_ended(&mut self) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let reaped = matches!(self.child.try_wait(), Ok(Some(_)));
            if reaped && !is_there(self.group()) {
                return true;
            }
            sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Ok(id) = i32::try_from(self.group()) else { return };
        let Some(group) = Pid::from_raw(id) else { return };
        for signal in [Signal::TERM, Signal::KILL] {
            // A group that is gone is what is wanted.
            let _ = kill_process_group(group, signal);
            if self.has_ended() {
                return;
            }
        }
    }
}
