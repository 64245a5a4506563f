//! Why a command could not be started, and what would help.
//!
//! The system's own words ("No such file or directory" for a missing interpreter, say) send people
//! the wrong way, so the file is looked at once more to find out what is wrong with it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::text;

/// Why a command could not be started. Displays as a sentence for people: what, why, and what would
/// help.
#[derive(Debug, thiserror::Error)]
#[error("cannot run `{program}`: {reason}")]
pub struct SpawnError {
    program: String,
    reason: String,
    #[source]
    source: Option<io::Error>,
}

impl SpawnError {
    /// The runner takes no more commands.
    pub(super) fn shutting_down(program: &str) -> Self {
        let reason = "Dormouse is shutting down".to_owned();
        Self { program: shown(program), reason, source: None }
    }

    /// The call on whose behalf it was to run is over.
    pub(super) fn unwanted(program: &str) -> Self {
        let reason = "the call that it was for is over".to_owned();
        Self { program: shown(program), reason, source: None }
    }

    /// It was started, and the system doesn't say how it ended.
    pub(super) fn lost(program: &str, error: io::Error) -> Self {
        let reason = format!(
            "it was started, but the system does not say how it ended ({error}). Start Dormouse \
             with SIGCHLD not ignored"
        );
        Self { program: shown(program), reason, source: Some(error) }
    }

    /// Finds out why `program` could not be started.
    pub(super) fn explain(program: &str, error: io::Error) -> Self {
        let reason = match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR) => not_found(program),
            Some(Errno::ACCESS | Errno::PERM) => not_allowed(program),
            Some(Errno::NOEXEC) => no_format(program),
            Some(Errno::TXTBSY) => {
                "somebody is writing to it. Try again when the file is complete".to_owned()
            }
            Some(Errno::LOOP) => "its path is a circle of symbolic links".to_owned(),
            Some(Errno::TOOBIG) => "its arguments and environment are too long".to_owned(),
            Some(Errno::AGAIN) => "the system allows no more processes. Raise the limit (`ulimit \
                                   -u`, or `TasksMax=` in the systemd unit) or end some"
                .to_owned(),
            Some(Errno::NOMEM) => "the system has no memory left for it".to_owned(),
            Some(Errno::MFILE | Errno::NFILE) => {
                "too many files and connections are open. Raise the limit (`ulimit -n`, or \
                 `LimitNOFILE=` in the systemd unit)"
                    .to_owned()
            }
            _ if error.kind() == ErrorKind::InvalidInput => {
                "its name, an argument or a variable has a NUL character".to_owned()
            }
            _ => error.to_string(),
        };
        Self { program: shown(program), reason, source: Some(error) }
    }
}

/// A program's name as it may stand in a message.
fn shown(program: &str) -> String {
    text::bytes(program.as_bytes())
}

/// A path as it may be pasted into a shell.
fn pasteable(path: &Path) -> String {
    let path = text::bytes(path.as_os_str().as_encoded_bytes());
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// The files that the system may have tried: the path itself, or one for each folder of `PATH`.
fn candidates(program: &str) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![PathBuf::from(program)];
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder| folder.join(program)).collect()
}

/// The first candidate that is there.
fn found(program: &str) -> Option<PathBuf> {
    candidates(program).into_iter().find(|path| path.exists())
}

fn not_found(program: &str) -> String {
    if program.is_empty() {
        return "its name is empty".to_owned();
    }
    let Some(path) = found(program) else {
        return missing(program);
    };
    match Interpreter::of(&path) {
        Interpreter::Named(name) => match name.strip_suffix('\r') {
            Some(_) => format!(
                "its first line ends like a line of Windows (CR LF), so its interpreter is not \
                 found. Convert it with `sed -i 's/\\r$//' {}`",
                pasteable(&path)
            ),
            None => format!(
                "its first line asks for the interpreter `{}`, which does not exist",
                shown(&name)
            ),
        },
        Interpreter::None | Interpreter::Unreadable => {
            "the file is there, but the loader or interpreter that it needs is not. It may be \
             built for another system"
                .to_owned()
        }
    }
}

fn missing(program: &str) -> String {
    if !program.contains('/') {
        return "no folder in `PATH` has a program of this name. Write its whole path".to_owned();
    }
    let path = Path::new(program);
    if path.is_relative()
        && let Err(error) = std::env::current_dir()
    {
        return format!(
            "the folder that Dormouse was started in is gone ({error}). Start it in one that exists"
        );
    }
    if let Ok(destination) = fs::read_link(path) {
        return format!(
            "it is a symbolic link to `{}`, which does not exist",
            shown(&destination.to_string_lossy())
        );
    }
    match path.ancestors().skip(1).find(|folder| folder.exists()) {
        Some(file) if file.is_file() => {
            format!("`{}` is a file and not a folder", shown(&file.to_string_lossy()))
        }
        _ => "there is no such file".to_owned(),
    }
}

fn not_allowed(program: &str) -> String {
    // In `PATH` the search goes on after a file that can't be executed, and ends with its error.
    let Some(path) = found(program) else {
        return format!("{} may not look into one of its folders", whoami());
    };
    let Ok(metadata) = fs::metadata(&path) else {
        return format!("{} may not look at it", whoami());
    };
    if metadata.is_dir() {
        return "it is a folder".to_owned();
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return format!(
            "the file is not executable. Make it so with `chmod +x {}`",
            pasteable(&path)
        );
    }
    format!(
        "{} may not execute it. Look at the permissions of the file, its folders and its \
         interpreter, and whether its file system is mounted with `noexec`",
        whoami()
    )
}

fn no_format(program: &str) -> String {
    let path = found(program).unwrap_or_else(|| PathBuf::from(program));
    match beginning(&path) {
        Ok(bytes) if bytes.starts_with(b"\x7fELF") => {
            "it is a program for another kind of processor".to_owned()
        }
        Ok(bytes) if bytes.is_empty() => "the file is empty".to_owned(),
        Ok(bytes) if bytes.starts_with(b"\xef\xbb\xbf") => {
            "its first line begins with a byte order mark (EF BB BF), so the system does not see \
             `#!`. Save it as UTF-8 without one"
                .to_owned()
        }
        _ => "the system does not know how to run this file. If it is a shell script, add \
              `#!/bin/sh` as its first line"
            .to_owned(),
    }
}

fn whoami() -> String {
    format!("the user that Dormouse runs as (number {})", rustix::process::geteuid().as_raw())
}

/// What the first line of a script says.
enum Interpreter {
    /// `#!` and this path, with a carriage return if one ends it.
    Named(String),
    /// No `#!`.
    None,
    /// The file can't be read.
    Unreadable,
}

impl Interpreter {
    fn of(path: &Path) -> Self {
        let Ok(bytes) = beginning(path) else {
            return Self::Unreadable;
        };
        let Some(line) = bytes.strip_prefix(b"#!") else {
            return Self::None;
        };
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let is_separator = |c: char| c == ' ' || c == '\t';
        let name = line.trim_start_matches(is_separator).split(is_separator).next();
        Self::Named(name.unwrap_or_default().to_owned())
    }
}

/// The first bytes of a file: as many as the system looks at.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(256).read_to_end(&mut bytes)?;
    Ok(bytes)
}
