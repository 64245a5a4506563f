//! Runs `dormouse` as a person would: in a folder of its own, with a clean environment.

#![allow(clippy::expect_used, reason = "a test that fails here should fail loudly")]

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that a command may take which is over at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder in which commands run, gone when it is dropped.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Folder {
        Folder { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// One with this config in `dormouse.toml`.
    pub(crate) fn with_config(config: &str) -> Folder {
        let folder = Folder::new();
        folder.write("dormouse.toml", config);
        folder
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Folder {
        fs::write(self.path().join(name), content).expect("a file in a temporary folder");
        self
    }

    /// Writes a file that may be executed.
    pub(crate) fn program(&self, name: &str, content: impl AsRef<[u8]>) -> &Folder {
        self.write(name, content);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path().join(name), mode).expect("a mode");
        self
    }

    /// Runs `dormouse` here until it ends, and gives everything that it said in one text, in which
    /// this folder is `[FOLDER]`.
    pub(crate) fn dormouse<A: AsRef<OsStr>>(&self, arguments: &[A]) -> String {
        let said = self.outcome(arguments, &[]).to_string();
        let said = said.replace(&self.path().display().to_string(), "[FOLDER]");
        let lines = said.split_inclusive('\n').map(|line| {
            // The machine's, and not the config's.
            let is_about_limit = line.contains(" clients fit at once, over all services");
            if is_about_limit { "[CLIENTS] clients fit at once\n" } else { line }
        });
        lines.collect()
    }

    /// Runs `dormouse` here until it ends, with these variables.
    pub(crate) fn outcome<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        variables: &[(&str, &str)],
    ) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dormouse"));
        self.outcome_of(command.args(arguments), variables)
    }

    /// The same with a limit of open files.
    pub(crate) fn outcome_with_open_files(&self, limit: u32, arguments: &str) -> Outcome {
        let script = format!("ulimit -n {limit} && exec \"$0\" {arguments}");
        let mut command = Command::new("/bin/sh");
        self.outcome_of(command.args(["-c", &script, env!("CARGO_BIN_EXE_dormouse")]), &[])
    }

    fn outcome_of(&self, command: &mut Command, variables: &[(&str, &str)]) -> Outcome {
        let mut child = command
            .current_dir(self.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dormouse");
        let stdout = reader(child.stdout.take());
        let stderr = reader(child.stderr.take());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            if Instant::now() > deadline {
                child.kill().expect("a child that can be killed");
                child.wait().expect("a child that was killed");
                panic!("dormouse did not end within {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(2));
        };
        Outcome {
            status: status.code(),
            stdout: stdout.join().expect("stdout"),
            stderr: stderr.join().expect("stderr"),
        }
    }
}

/// How a command ended.
pub(crate) struct Outcome {
    /// Its exit status; `None` if a signal ended it.
    pub(crate) status: Option<i32>,
    /// What it wrote to stdout.
    pub(crate) stdout: String,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.status.map_or("signal".into(), |status| status.to_string());
        write!(
            f,
            "exit status: {status}\n----- stdout -----\n{}----- stderr -----\n{}",
            self.stdout, self.stderr
        )
    }
}

/// Reads a pipe to its end, so that the command never waits for a reader.
fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    let mut pipe = pipe.expect("a pipe");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe that can be read");
        String::from_utf8(bytes).expect("UTF-8")
    })
}
