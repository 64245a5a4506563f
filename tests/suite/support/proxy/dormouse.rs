//! The program itself, as it runs in a scene.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::stage::share_cache;

use super::{MARK, Scene};

/// A running Dormouse. It is killed when it is dropped.
pub(crate) struct Dormouse<'a> {
    scene: &'a Scene,
    child: Child,
    readers: Vec<thread::JoinHandle<()>>,
    log: Arc<Mutex<Vec<String>>>,
    /// How far [`Dormouse::await_line`] has read.
    read: Cell<usize>,
}

impl<'a> Dormouse<'a> {
    /// Runs `command`, which is Dormouse or becomes it, in the scene's folder.
    pub(crate) fn run(scene: &'a Scene, command: &mut Command) -> Dormouse<'a> {
        share_cache(&scene.path("state"));
        let mut child = command
            .current_dir(scene.path(""))
            .env(MARK, scene.path(""))
            .env("HOME", scene.path(""))
            .env("STATE_DIRECTORY", scene.path("state"))
            // One for all scenes, so that the shell plugin is compiled once.
            .env("CACHE_DIRECTORY", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dormouse");
        let log = Arc::clone(&scene.log);
        let read = Cell::new(log.lock().expect("no reader panics").len());
        let readers = vec![follow(child.stdout.take(), &log), follow(child.stderr.take(), &log)];
        Dormouse { scene, child, readers, log, read }
    }

    /// What it has said so far, without the time: `INFO listening service=web …`.
    pub(crate) fn log(&self) -> Vec<String> {
        let log = self.log.lock().expect("no reader panics");
        log.iter().map(|line| without_time(line).to_owned()).collect()
    }

    /// Whether it has logged a message that begins so.
    pub(crate) fn has_logged(&self, message: &str) -> bool {
        self.log().iter().any(|line| begins(line, message))
    }

    /// Waits for a message that begins so, behind the last one that was waited for.
    pub(crate) fn await_line(&self, message: &str) -> String {
        self.scene.find(&format!("the message `{message}`"), || {
            let (log, read) = (self.log(), self.read.get());
            let place = read + log[read..].iter().position(|line| begins(line, message))?;
            self.read.set(place + 1);
            Some(log[place].clone())
        })
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("a process");
    }

    /// Waits for its end, and for everything that it has said.
    pub(crate) fn await_end(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let status =
            self.scene.find("Dormouse ends", || child.try_wait().expect("a child of ours"));
        let readers = std::mem::take(&mut self.readers);
        self.scene.until("Dormouse's output ends", || {
            readers.iter().all(thread::JoinHandle::is_finished)
        });
        status
    }

    /// Sends SIGTERM, and expects an end in good order.
    pub(crate) fn terminate(&mut self) {
        self.signal(Signal::TERM);
        let status = self.await_end();
        assert_eq!(status.code(), Some(0), "ended by signal {:?}", status.signal());
    }

    /// Kills it, as the kernel does when memory is short.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }
}

impl Drop for Dormouse<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Puts each line of a pipe into the log.
fn follow(
    pipe: Option<impl Read + Send + 'static>,
    log: &Arc<Mutex<Vec<String>>>,
) -> thread::JoinHandle<()> {
    let (pipe, log) = (pipe.expect("a pipe"), Arc::clone(log));
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            log.lock().expect("no reader panics").push(line);
        }
    })
}

/// Whether the message behind the level is this one.
fn begins(line: &str, message: &str) -> bool {
    line.split_once(' ').is_some_and(|(_, text)| text.starts_with(message))
}

/// `2026-05-04T09:30:00Z  INFO listening …` without its first word.
fn without_time(line: &str) -> &str {
    match line.split_once("Z ") {
        Some((time, rest)) if time.starts_with("20") && !time.contains(' ') => rest.trim_start(),
        _ => line,
    }
}
