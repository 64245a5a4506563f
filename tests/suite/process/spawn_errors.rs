//! Commands that can't be started: each says why, and what would help.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use dormouse::plugin::process::{Command, Exit, Runner};

use crate::support::process::shell;

/// A folder with a file `hook` in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with_hook(content: &[u8], mode: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hook = folder.path().join("hook");
        fs::write(&hook, content).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(mode)).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// What is said about the program `name` in here, with `DIR` for the folder.
    async fn complaint(&self, name: &str) -> String {
        let program = self.path().join(name).display().to_string();
        complaint(&program).await.replace(&self.path().display().to_string(), "DIR")
    }
}

async fn complaint(program: &str) -> String {
    let command = Command { program: program.into(), arguments: vec![], ..shell("") };
    Runner::new().run(command).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_missing_file() {
    let folder = Folder::with_hook(b"", 0o755);
    assert_eq!(
        folder.complaint("missing.sh").await,
        "cannot run `DIR/missing.sh`: there is no such file"
    );
}

#[tokio::test]
async fn a_file_for_a_folder() {
    let folder = Folder::with_hook(b"", 0o755);
    assert_eq!(
        folder.complaint("hook/start.sh").await,
        "cannot run `DIR/hook/start.sh`: `DIR/hook` is a file and not a folder"
    );
}

#[tokio::test]
async fn a_name_that_is_not_in_path() {
    assert_eq!(
        complaint("no-program-has-this-name").await,
        "cannot run `no-program-has-this-name`: no folder in `PATH` has a program of this name. \
         Write its whole path"
    );
}

#[tokio::test]
async fn an_empty_name() {
    assert_eq!(complaint("").await, "cannot run ``: its name is empty");
}

#[tokio::test]
async fn a_name_with_a_nul_and_an_escape_sequence() {
    assert_eq!(
        complaint("/bin/\0\x1b[2J").await,
        "cannot run `/bin/\\u{0}\\u{1b}[2J`: its name, an argument or a variable has a NUL character"
    );
}

#[tokio::test]
async fn a_link_to_nowhere() {
    let folder = Folder::with_hook(b"", 0o755);
    symlink("/nowhere/start.sh", folder.path().join("link")).unwrap();
    assert_eq!(
        folder.complaint("link").await,
        "cannot run `DIR/link`: it is a symbolic link to `/nowhere/start.sh`, which does not exist"
    );
}

#[tokio::test]
async fn a_link_to_itself() {
    let folder = Folder::with_hook(b"", 0o755);
    symlink("link", folder.path().join("link")).unwrap();
    assert_eq!(
        folder.complaint("link").await,
        "cannot run `DIR/link`: its path is a circle of symbolic links"
    );
}

#[tokio::test]
async fn a_file_that_is_not_executable() {
    let folder = Folder::with_hook(b"#!/bin/sh\n", 0o644);
    assert_eq!(
        folder.complaint("hook").await,
        "cannot run `DIR/hook`: the file is not executable. Make it so with `chmod +x DIR/hook`"
    );
}

#[tokio::test]
async fn a_path_that_has_to_be_quoted_in_a_shell() {
    let folder = Folder::with_hook(b"", 0o755);
    fs::write(folder.path().join("it's a hook"), "#!/bin/sh\n").unwrap();
    assert_eq!(
        folder.complaint("it's a hook").await,
        "cannot run `DIR/it's a hook`: the file is not executable. Make it so with \
         `chmod +x 'DIR/it'\\''s a hook'`"
    );
}

#[tokio::test]
async fn a_folder() {
    let folder = Folder::with_hook(b"", 0o755);
    assert_eq!(folder.complaint("").await, "cannot run `DIR/`: it is a folder");
}

#[tokio::test]
async fn a_script_without_a_first_line_that_says_what_it_is() {
    let folder = Folder::with_hook(b"echo hello\n", 0o755);
    assert_eq!(
        folder.complaint("hook").await,
        "cannot run `DIR/hook`: the system does not know how to run this file. If it is a shell \
         script, add `#!/bin/sh` as its first line"
    );
}

#[tokio::test]
async fn an_empty_file() {
    let folder = Folder::with_hook(b"", 0o755);
    assert_eq!(folder.complaint("hook").await, "cannot run `DIR/hook`: the file is empty");
}

#[tokio::test]
async fn a_script_with_a_byte_order_mark() {
    let folder = Folder::with_hook(b"\xef\xbb\xbf#!/bin/sh\n", 0o755);
    assert_eq!(
        folder.complaint("hook").await,
        "cannot run `DIR/hook`: its first line begins with a byte order mark (EF BB BF), so the \
         system does not see `#!`. Save it as UTF-8 without one"
    );
}

#[tokio::test]
async fn a_script_whose_interpreter_is_missing() {
    let folder = Folder::with_hook(b"#! /no/such/interpreter -e\n", 0o755);
    assert_eq!(
        folder.complaint("hook").await,
        "cannot run `DIR/hook`: its first line asks for the interpreter `/no/such/interpreter`, \
         which does not exist"
    );
}

#[tokio::test]
async fn a_script_with_the_line_ends_of_windows() {
    let folder = Folder::with_hook(b"#!/bin/sh\r\necho hello\r\n", 0o755);
    assert_eq!(
        folder.complaint("hook").await,
        "cannot run `DIR/hook`: its first line ends like a line of Windows (CR LF), so its \
         interpreter is not found. Convert it with `sed -i 's/\\r$//' DIR/hook`"
    );
}

#[tokio::test]
async fn a_program_for_another_processor() {
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(64, 0);
    let folder = Folder::with_hook(&elf, 0o755);
    assert_eq!(
        folder.complaint("hook").await,
        "cannot run `DIR/hook`: it is a program for another kind of processor"
    );
}

#[tokio::test]
async fn a_file_that_somebody_writes_to() {
    let folder = Folder::with_hook(b"#!/bin/sh\n", 0o755);
    let _open = fs::OpenOptions::new().append(true).open(folder.path().join("hook")).unwrap();
    assert_eq!(
        folder.complaint("hook").await,
        "cannot run `DIR/hook`: somebody is writing to it. Try again when the file is complete"
    );
}

#[tokio::test]
async fn a_file_that_is_complete_after_some_milliseconds() {
    let folder = Folder::with_hook(b"#!/bin/sh\nexit 3\n", 0o755);
    let hook = folder.path().join("hook");
    let open = fs::OpenOptions::new().append(true).open(&hook).unwrap();
    let program = hook.display().to_string();
    let command = Command { program, arguments: vec![], ..shell("") };
    let close = async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        drop(open);
    };
    let runner = Runner::new();
    let (output, ()) = tokio::join!(runner.run(command), close);
    assert_eq!(output.unwrap().exit, Exit::Status(3));
}

#[tokio::test]
async fn arguments_that_are_too_long() {
    let arguments = vec!["x".repeat(4 << 20)];
    let error = Runner::new().run(Command { arguments, ..shell("") }).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot run `/bin/sh`: its arguments and environment are too long"
    );
}
