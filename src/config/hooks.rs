//! What can be the matter with a program that is to be run: told in the same words by
//! `dormouse check`, before anything runs, and by whoever could not start it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::wording::escaped;

/// Where programs are looked for without a `PATH`, as the C library has it.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// How much of a file tells what it is.
const HEAD: u64 = 512;

/// Why a program can't be run. The text of it is what is wrong; [`HookProblem::remedy`] is what to
/// do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookProblem {
    /// There is no such file.
    #[error("`{}` does not exist", escaped(program))]
    Missing {
        /// Its path.
        program: String,
    },
    /// There is no such file, but there is one with the name up to the first white space.
    #[error("`{}` does not exist", escaped(program))]
    Arguments {
        /// Its path, with the arguments behind it.
        program: String,
    },
    /// Nothing of that name is in `PATH`.
    #[error("there is no `{}` in PATH", escaped(program))]
    NotInPath {
        /// The name.
        program: String,
    },
    /// It is a folder.
    #[error("`{}` is a folder, not a program", escaped(program))]
    Folder {
        /// Its path.
        program: String,
    },
    /// It is a device, a socket or a pipe.
    #[error("`{}` is {kind}, not a program", escaped(program))]
    NotAFile {
        /// Its path.
        program: String,
        /// What it is.
        kind: &'static str,
    },
    /// The user may not run it.
    #[error("`{}` is not executable", escaped(program))]
    NotExecutable {
        /// Its path.
        program: String,
    },
    /// The user may not even look at it.
    #[error("`{}` can't be reached: {reason}", escaped(program))]
    OutOfReach {
        /// Its path.
        program: String,
        /// What the system says.
        reason: String,
    },
    /// There is nothing in it.
    #[error("`{}` is empty", escaped(program))]
    Empty {
        /// Its path.
        program: String,
    },
    /// It is a script that does not say who runs it.
    #[error("`{}` is a script without a shebang", escaped(program))]
    NoShebang {
        /// Its path.
        program: String,
    },
    /// Something stands before the `#!`, or its line ends as on Windows.
    #[error("`{}` was saved {how}", escaped(program))]
    Windows {
        /// Its path.
        program: String,
        /// What is wrong about that.
        how: &'static str,
    },
    /// The interpreter that the script names is not there.
    #[error(
        "`{}` is to be run by `{}`, which does not exist",
        escaped(program),
        escaped(interpreter)
    )]
    NoInterpreter {
        /// Its path.
        program: String,
        /// The interpreter.
        interpreter: String,
    },
}

impl HookProblem {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            HookProblem::Missing { .. } => "create it, or correct its path".into(),
            HookProblem::Arguments { program } => {
                let words: Vec<_> = program
                    .split_whitespace()
                    .map(|word| format!("\"{}\"", escaped(word)))
                    .collect();
                format!("write arguments as a list: [{}]", words.join(", "))
            }
            HookProblem::NotInPath { program } => format!(
                "install it, or write its path: a name without a slash is looked for in PATH alone, \
                 a file beside the config is \"./{}\"",
                escaped(program)
            ),
            HookProblem::Folder { .. } => "write the path of a program in it".into(),
            HookProblem::NotAFile { .. } => "write the path of a program".into(),
            HookProblem::NotExecutable { program } => {
                format!("make it executable: `chmod +x {}`", shell_word(program))
            }
            HookProblem::OutOfReach { .. } => {
                "let the user that Dormouse runs as enter the folders above it".into()
            }
            HookProblem::Empty { .. } => "write the commands into it, below `#!/bin/sh`".into(),
            HookProblem::NoShebang { .. } => {
                "make `#!/bin/sh`, or another interpreter, its first line".into()
            }
            HookProblem::Windows { program, .. } => format!(
                "convert it: `sed -i '1s/^\\xef\\xbb\\xbf//;s/\\r$//' {}`",
                shell_word(program)
            ),
            HookProblem::NoInterpreter { interpreter, .. } => {
                format!("install `{}`, or correct the script's first line", escaped(interpreter))
            }
        }
    }
}

/// What keeps `program` from being run, if anything does: an absolute path, or a name that is
/// found in `PATH`.
///
/// It looks and does not run. A program may still fail to start: on a file system that is mounted
/// without execution, for another processor, without memory.
pub fn problem_with(program: &str) -> Option<HookProblem> {
    if program.contains('/') {
        return problem_with_file(Path::new(program), program);
    }
    if find_in_path(program).is_some() {
        return None;
    }
    Some(HookProblem::NotInPath { program: program.to_owned() })
}

/// The file that would be run as `program`: it may not be there, unless it is looked for in `PATH`.
pub(super) fn program_file(program: &str) -> Option<PathBuf> {
    if program.contains('/') { Some(program.into()) } else { find_in_path(program) }
}

/// The file in `PATH` that would be run.
fn find_in_path(program: &str) -> Option<PathBuf> {
    if program.is_empty() {
        return None;
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file() && may_execute(file))
}

fn problem_with_file(file: &Path, program: &str) -> Option<HookProblem> {
    let program = program.to_owned();
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return Some(unreachable_file(error, program)),
    };
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Some(HookProblem::Folder { program });
    }
    if !kind.is_file() {
        let kind = if kind.is_fifo() {
            "a pipe"
        } else if kind.is_socket() {
            "a socket"
        } else {
            "a device"
        };
        return Some(HookProblem::NotAFile { program, kind });
    }
    if !may_execute(file) {
        return Some(HookProblem::NotExecutable { program });
    }
    // A program that may be run and not read is left to the kernel.
    let mut head = Vec::new();
    File::open(file).and_then(|file| file.take(HEAD).read_to_end(&mut head)).ok()?;
    problem_with_head(&head, program)
}

fn unreachable_file(error: io::Error, program: String) -> HookProblem {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            let first = program.split_whitespace().next().unwrap_or_default();
            if first.len() < program.len() && Path::new(first).is_file() {
                HookProblem::Arguments { program }
            } else {
                HookProblem::Missing { program }
            }
        }
        _ => HookProblem::OutOfReach { program, reason: error.to_string() },
    }
}

/// Whether this process may run the file, by its effective user.
fn may_execute(file: &Path) -> bool {
    accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// What the first bytes of a file tell.
fn problem_with_head(head: &[u8], program: String) -> Option<HookProblem> {
    const MARK: &[u8] = b"\xef\xbb\xbf#!";
    if head.is_empty() {
        return Some(HookProblem::Empty { program });
    }
    if head.starts_with(MARK) {
        return Some(HookProblem::Windows { program, how: "with a mark before `#!`" });
    }
    let Some(rest) = head.strip_prefix(b"#!") else {
        return is_text(head).then_some(HookProblem::NoShebang { program });
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Some(HookProblem::Windows { program, how: "with the line ends of Windows" });
    }
    let line = String::from_utf8_lossy(line);
    let interpreter = line.split_whitespace().next().unwrap_or_default();
    if interpreter.is_empty() {
        return Some(HookProblem::NoShebang { program });
    }
    // A relative interpreter depends on the working directory of the run.
    let is_missing = interpreter.starts_with('/') && !Path::new(interpreter).exists();
    is_missing.then(|| HookProblem::NoInterpreter { program, interpreter: interpreter.to_owned() })
}

/// Whether a file that begins like that is text, and so no program that the kernel knows.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The head may end within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|letter| letter.is_control() && !letter.is_whitespace())
}

/// A path as it can be pasted into a shell.
fn shell_word(path: &str) -> String {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'+');
    if path.bytes().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", escaped(path).replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A folder, and a file in it with these bytes and this mode.
    fn file(bytes: &[u8], mode: u32) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hook");
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let program = file.to_str().unwrap().to_owned();
        (folder, program)
    }

    fn problem_with_bytes(bytes: &[u8]) -> Option<HookProblem> {
        let (_folder, program) = file(bytes, 0o755);
        problem_with(&program)
    }

    #[test]
    fn a_script_with_a_shebang_is_fine() {
        assert_eq!(problem_with_bytes(b"#!/bin/sh\nexit 0\n"), None);
        assert_eq!(problem_with_bytes(b"#! /usr/bin/env sh\nexit 0\n"), None);
    }

    #[test]
    fn a_binary_is_fine() {
        assert_eq!(problem_with_bytes(b"\x7fELF\x02\x01\x01\0\0"), None);
        assert_eq!(problem_with("/bin/sh"), None);
    }

    #[test]
    fn a_name_in_path_is_fine() {
        assert_eq!(problem_with("sh"), None);
    }

    #[test]
    fn a_missing_file_is_told() {
        let program = "/nowhere/start.sh".to_owned();
        assert_eq!(problem_with(&program), Some(HookProblem::Missing { program }));
    }

    #[test]
    fn arguments_in_a_path_are_told_from_a_missing_file() {
        let (_folder, program) = file(b"#!/bin/sh\n", 0o755);
        let program = format!("{program} --fast");
        let problem = problem_with(&program).unwrap();
        assert_eq!(problem, HookProblem::Arguments { program });
        assert!(problem.remedy().ends_with("hook\", \"--fast\"]"), "{}", problem.remedy());
    }

    #[test]
    fn a_name_that_is_not_in_path_is_told() {
        let program = "no-such-program-anywhere".to_owned();
        assert_eq!(problem_with(&program), Some(HookProblem::NotInPath { program }));
    }

    #[test]
    fn a_folder_is_no_program() {
        assert_eq!(problem_with("/usr/"), Some(HookProblem::Folder { program: "/usr/".into() }));
    }

    #[test]
    fn a_device_is_no_program() {
        let program = "/dev/null".to_owned();
        assert_eq!(
            problem_with(&program),
            Some(HookProblem::NotAFile { program, kind: "a device" })
        );
    }

    #[test]
    fn a_file_without_the_bit_is_not_executable() {
        let (_folder, program) = file(b"#!/bin/sh\n", 0o644);
        let problem = problem_with(&program).unwrap();
        assert_eq!(problem, HookProblem::NotExecutable { program: program.clone() });
        assert_eq!(problem.remedy(), format!("make it executable: `chmod +x {program}`"));
    }

    #[test]
    fn text_without_a_shebang_is_told() {
        for text in [&b"echo hello\n"[..], b"\n#!/bin/sh\n", b"#!\n", "sch\u{f6}n\n".as_bytes()] {
            let problem = problem_with_bytes(text);
            assert!(matches!(problem, Some(HookProblem::NoShebang { .. })), "{problem:?}");
        }
    }

    #[test]
    fn text_that_is_cut_within_a_character_is_still_text() {
        let mut text = vec![b'a'; HEAD as usize - 1];
        text.extend("ä".as_bytes());
        assert!(matches!(problem_with_bytes(&text), Some(HookProblem::NoShebang { .. })));
    }

    #[test]
    fn an_empty_file_is_told() {
        assert!(matches!(problem_with_bytes(b""), Some(HookProblem::Empty { .. })));
    }

    #[test]
    fn a_script_from_windows_is_told() {
        for text in [&b"#!/bin/sh\r\nexit 0\r\n"[..], b"\xef\xbb\xbf#!/bin/sh\n"] {
            let problem = problem_with_bytes(text);
            assert!(matches!(problem, Some(HookProblem::Windows { .. })), "{problem:?}");
        }
    }

    #[test]
    fn the_remedy_for_a_script_from_windows_works() {
        let (_folder, program) = file(b"\xef\xbb\xbf#!/bin/sh\r\nexit 0\r\n", 0o755);
        let remedy = problem_with(&program).unwrap().remedy();
        let command = remedy.strip_prefix("convert it: `").unwrap().strip_suffix('`').unwrap();
        let status = std::process::Command::new("sh").args(["-c", command]).status().unwrap();
        assert!(status.success());
        assert_eq!(fs::read(&program).unwrap(), b"#!/bin/sh\nexit 0\n");
    }

    #[test]
    fn a_missing_interpreter_is_told() {
        let problem = problem_with_bytes(b"#!/nowhere/python3 -u\n").unwrap();
        assert!(problem.to_string().contains("to be run by `/nowhere/python3`"), "{problem}");
    }

    #[test]
    fn remedies_quote_what_a_shell_would_split() {
        assert_eq!(shell_word("/a/b.sh"), "/a/b.sh");
        assert_eq!(shell_word("/a b/it's"), "'/a b/it'\\''s'");
    }
}
