//! `allow.read` and `allow.write`.

use std::os::unix::fs::symlink;

use dormouse::config::FolderGrant;

use super::*;
use crate::support::process::until;
use crate::support::reach::code;

/// Cases of the errors of `wasi:filesystem`.
const NO_ENTRY: u8 = 20;
const NOT_PERMITTED: u8 = 31;

/// Flags of opening.
const CREATE: u8 = 1;
const TRUNCATE: u8 = 8;

/// Flags of a descriptor.
const READ: u8 = 1;
const WRITE: u8 = 2;

/// A stage with a folder `inside` that has a file, and a file beside it that nobody may see.
fn stage(guest: &Guest) -> Stage {
    let stage = Stage::new(&guest.build());
    let folder = stage.folder.path();
    fs::create_dir_all(folder.join("inside/deep")).unwrap();
    fs::create_dir(folder.join("inside too")).unwrap();
    fs::write(folder.join("inside/file"), "content").unwrap();
    fs::write(folder.join("inside/deep/file"), "deep content").unwrap();
    fs::write(folder.join("inside too/file"), "secret").unwrap();
    fs::write(folder.join("secret"), "secret").unwrap();
    symlink("../secret", folder.join("inside/link")).unwrap();
    symlink(folder.join("secret"), folder.join("inside/absolute link")).unwrap();
    symlink("..", folder.join("inside/up")).unwrap();
    symlink("deep/file", folder.join("inside/good link")).unwrap();
    stage
}

fn inside(stage: &Stage) -> Vec<FolderGrant> {
    vec![FolderGrant { path: stage.folder.path().join("inside"), name: "inside".to_owned() }]
}

/// What a guest says that opens `path` in the folder, and then does what `then` does.
async fn opening(path: &str, flags: (u8, u8), then: &str, may_write: bool) -> (Stage, String) {
    let body = format!(
        "(local $opened i32)
         (local.set $opened (call $open))
         (if (i32.load8_u (local.get $opened)) (then (return (local.get $opened))))
         {then}"
    );
    let guest = Guest::bare().opens(path, flags.0, flags.1).lifecycle(&body, "(call $done)");
    let mut stage = stage(&guest);
    let folders = inside(&stage);
    if may_write {
        stage.plugin().allow.write = folders;
    } else {
        stage.plugin().allow.read = folders;
    }
    let told = match start(&stage.deciders().await).await {
        Ok(()) => "done".to_owned(),
        Err(failure) => failure.message.trim_start_matches("the plugin `p`: ").to_owned(),
    };
    (stage, told)
}

async fn reading(path: &str) -> String {
    opening(path, (0, READ), "(call $read_file)", false).await.1
}

#[tokio::test]
async fn what_is_in_a_granted_folder_can_be_read() {
    assert_eq!(reading("file").await, "content");
    assert_eq!(reading("deep/file").await, "deep content");
    assert_eq!(reading("deep/../file").await, "content");
    assert_eq!(reading("good link").await, "deep content");
}

#[tokio::test]
async fn nothing_leads_out_of_a_granted_folder() {
    for path in [
        "../secret",
        "deep/../../secret",
        "..",
        "../inside too/file",
        "link",
        "absolute link",
        "up/secret",
        "/etc/hostname",
        "/",
    ] {
        assert_eq!(reading(path).await, code(NOT_PERMITTED), "{path}");
    }
    // These are names, and no file has them.
    for path in ["..%2fsecret", "%2e%2e/secret", "..\\secret"] {
        assert_eq!(reading(path).await, code(NO_ENTRY), "{path}");
    }
}

#[tokio::test]
async fn a_folder_to_read_can_not_be_changed() {
    for flags in [(0, WRITE), (CREATE, READ), (TRUNCATE, READ), (0, READ | WRITE)] {
        let (stage, told) = opening("file", flags, "(call $write_file)", false).await;
        assert_eq!(told, code(NOT_PERMITTED), "{flags:?}");
        let content = fs::read(stage.folder.path().join("inside/file")).unwrap();
        assert_eq!(content, b"content");
    }
    let (stage, told) = opening("new", (CREATE, WRITE), "(call $write_file)", false).await;
    assert_eq!(told, code(NOT_PERMITTED));
    assert!(!stage.folder.path().join("inside/new").exists());
    let (stage, _) = opening("file", (0, READ), "(call $write_file)", false).await;
    let content = fs::read(stage.folder.path().join("inside/file")).unwrap();
    assert_eq!(content, b"content");
}

#[tokio::test]
async fn a_folder_to_write_can_be_changed_and_read() {
    let (stage, told) = opening("new", (CREATE, WRITE), "(call $write_file)", true).await;
    assert_eq!(told, "done");
    assert_eq!(fs::read(stage.folder.path().join("inside/new")).unwrap(), b"x");
    let (_stage, told) = opening("file", (0, READ), "(call $read_file)", true).await;
    assert_eq!(told, "content");
}

#[tokio::test]
async fn nothing_leads_out_of_a_folder_to_write() {
    for path in ["../secret", "link", "absolute link", "up/secret", "../new", "up/new"] {
        let flags = (CREATE | TRUNCATE, WRITE);
        let (stage, told) = opening(path, flags, "(call $write_file)", true).await;
        assert_eq!(told, code(NOT_PERMITTED), "{path}");
        assert_eq!(fs::read(stage.folder.path().join("secret")).unwrap(), b"secret");
        assert!(!stage.folder.path().join("new").exists());
    }
}

#[tokio::test]
async fn a_folder_appears_under_the_path_that_the_config_has() {
    let guest = starting(&format!(
        "(call $folders (i32.const {RETURNED}))
         (call $fail (i32.const 2)
            (i32.load offset=4 (i32.load (i32.const {RETURNED})))
            (i32.load offset=8 (i32.load (i32.const {RETURNED}))))"
    ))
    .sees_folders();
    let mut stage = stage(&guest);
    stage.plugin().allow.read = inside(&stage);
    let failure = start(&stage.deciders().await).await.unwrap_err();
    assert_eq!(failure.message, "the plugin `p`: inside");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told_when_the_plugin_is_loaded() {
    let mut stage = stage(&Guest::new());
    let path = stage.folder.path().join("nowhere");
    stage.plugin().allow.write = vec![FolderGrant { path, name: "nowhere".to_owned() }];
    let (_, message) = stage.load_error().await;
    insta::assert_snapshot!(message, @"the plugin `p` can't be used: the folder `[FOLDER]/nowhere` of its `allow.write` can't be opened: No such file or directory (os error 2). Make the folder, let Dormouse into it, or take it out of `allow.write`");
    stage.plugin().allow.write.clear();
    let path = stage.folder.path().join("secret");
    stage.plugin().allow.read = vec![FolderGrant { path, name: "secret".to_owned() }];
    let (_, message) = stage.load_error().await;
    assert!(message.contains("of its `allow.read` can't be opened: Not a directory"), "{message}");
}

/// A guest whose `start` opens `path` in the folder, and fails with what it reads there.
fn reader(path: &str) -> Guest {
    let body = "(local $opened i32)
         (local.set $opened (call $open))
         (if (i32.load8_u (local.get $opened)) (then (return (local.get $opened))))
         (call $read_file)";
    Guest::bare().opens(path, 0, READ).lifecycle(body, "(call $done)")
}

#[tokio::test]
async fn a_folder_that_is_replaced_stays_the_one_that_was_opened() {
    let mut stage = stage(&reader("file"));
    stage.plugin().allow.read = inside(&stage);
    let deciders = stage.deciders().await;
    let folder = stage.folder.path();
    fs::rename(folder.join("inside"), folder.join("moved")).unwrap();
    symlink("inside too", folder.join("inside")).unwrap();
    let failure = start(&deciders).await.unwrap_err();
    assert_eq!(failure.message, "the plugin `p`: content", "and not the secret");
}

#[tokio::test]
async fn a_link_in_the_place_of_a_folder_is_not_followed_if_a_plugin_could_have_made_it() {
    let mut stage = stage(&reader("file"));
    let folder = stage.folder.path().to_owned();
    let grant = |name: &str| FolderGrant { path: folder.join(name), name: name.to_owned() };
    stage.plugin().allow.read = vec![grant("inside/deep")];
    fs::rename(folder.join("inside/deep"), folder.join("inside/old")).unwrap();
    symlink("../inside too", folder.join("inside/deep")).unwrap();
    let failure = start(&stage.deciders().await).await.unwrap_err();
    assert_eq!(failure.message, "the plugin `p`: secret", "a link of the operator's");
    stage.plugin().allow.write = vec![grant("inside")];
    let (_, message) = stage.load_error().await;
    insta::assert_snapshot!(message, @"the plugin `p` can't be used: the folder `[FOLDER]/inside/deep` of its `allow.read` can't be opened: `[FOLDER]/inside/deep` is a symbolic link in a folder that a plugin may write, and is not followed. Make the folder, let Dormouse into it, or take it out of `allow.read`");
}

#[tokio::test]
async fn a_pipe_that_is_never_opened_costs_the_calls_of_its_plugin_until_it_is() {
    let mut stage = stage(&reader("console"));
    stage.plugin().allow.read = inside(&stage);
    stage.plugin().limits.threads = 2;
    let pipe = stage.folder.path().join("inside/console");
    let (folder, mode) = (rustix::fs::CWD, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(folder, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let host = stage.host();
    let deciders = host.deciders(&stage.config, &stage.config.services[0]).await.unwrap();
    let soon = Duration::from_millis(200);
    let start = async || {
        let cause = Cause::Client(client());
        deciders.lifecycle.start(cause, soon, CallContext::detached()).await.unwrap_err().message
    };
    for _ in 0..2 {
        let message = start().await;
        assert!(message.contains("did not return from `start`"), "{message}");
    }
    let begin = std::time::Instant::now();
    let message = loop {
        let message = start().await;
        if message.contains("limits.threads") {
            break message;
        }
        assert!(begin.elapsed() < LONG, "it is not refused: {message}");
    };
    insta::assert_snapshot!(message, @"the plugin `p` can't be called: all 2 threads that may wait for files on its behalf hang (`limits.threads`). Is there a file system that does not answer in its `allow.read` or `allow.write`, or a named pipe that no program opens?");
    // Nothing can be read from it, and opening it no longer waits.
    let _opened = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let begin = std::time::Instant::now();
    while start().await.contains("limits.threads") {
        assert!(begin.elapsed() < LONG, "its threads are free again");
    }
}

#[tokio::test]
async fn a_plugin_that_opens_files_without_end_ends_with_all_of_them_closed() {
    let guest = Guest::bare()
        .opens("file", 0, READ)
        .lifecycle("(loop $again (drop (call $open)) (br $again)) (unreachable)", "(call $done)");
    let mut stage = stage(&guest);
    stage.plugin().allow.read = inside(&stage);
    stage.plugin().limits.cpu = LONG;
    let deciders = stage.deciders().await;
    let failure = start(&deciders).await.unwrap_err();
    assert!(broken(&failure).contains("wanted more than 256 sockets, files"), "{failure}");
    let is_ours = |entry: std::io::Result<fs::DirEntry>| {
        // One that is being closed is no link any more.
        let file = entry.ok().and_then(|entry| fs::read_link(entry.path()).ok());
        file.is_some_and(|file| file.starts_with(stage.folder.path()))
    };
    let ours = || fs::read_dir("/proc/self/fd").unwrap().map(is_ours).filter(|ours| *ours).count();
    // Files are closed on another thread, since that may hang. The folder itself stays open.
    until("all files are closed", || ours() == 1).await;
}
