//! The cache of compiled plugins: what is taken from it, and what is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use dormouse::plugin::{Compilations, Compiler, Decision, Host};
use tracing::Level;

use crate::support::guest::Guest;
use crate::support::stage::Stage;
use crate::support::told::Told;

const ONE_COMPILED: Compilations = Compilations { cached: 0, compiled: 1 };
const ONE_CACHED: Compilations = Compilations { cached: 1, compiled: 0 };

/// Loads the plugin by a new host, and says what was compiled and what was warned of.
async fn loaded(stage: &Stage) -> (Compilations, Vec<String>) {
    let told = Told::listen();
    let host = stage.host();
    host.load(&stage.config.plugins[0]).await.unwrap();
    let warnings = told.at(Level::WARN);
    (host.compilations(), warnings.iter().map(|line| stage.without_paths(line)).collect())
}

/// A stage whose plugin is in the cache, and its entry.
async fn kept() -> (Stage, PathBuf) {
    let stage = Stage::new(&Guest::new().build());
    assert_eq!(loaded(&stage).await, (ONE_COMPILED, Vec::new()));
    let [entry] = <[PathBuf; 1]>::try_from(files_in(&stage.config.cache_dir)).unwrap();
    (stage, entry)
}

/// The plugin is compiled anew with a warning that has `cause` in it, and kept again.
async fn is_refused(stage: &Stage, cause: &str) {
    let (compilations, warnings) = loaded(stage).await;
    assert_eq!(compilations, ONE_COMPILED);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains(cause), "{warnings:?}");
    assert_eq!(loaded(stage).await, (ONE_CACHED, Vec::new()));
}

/// Nothing is kept, and a warning has `cause` in it.
async fn is_not_kept(stage: &Stage, cause: &str) {
    let (compilations, warnings) = loaded(stage).await;
    assert_eq!(compilations, Compilations { cached: 0, compiled: 0 });
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("compiled plugins are not kept"), "{warnings:?}");
    assert!(warnings[0].contains(cause), "{warnings:?}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn what_is_in_the_cache_needs_no_compiler() {
    let (stage, _) = kept().await;
    let compiler = Compiler::at("/nonexistent", stage.config.compile);
    let host = Host::compiled_by(compiler, &stage.config).unwrap();
    host.load(&stage.config.plugins[0]).await.unwrap();
    assert_eq!(host.compilations(), ONE_CACHED);
}

#[tokio::test]
async fn an_entry_that_was_changed_is_refused() {
    let (stage, entry) = kept().await;
    let whole = fs::read(&entry).unwrap();
    for at in [0, 40, 62, whole.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&entry, changed).unwrap();
        is_refused(&stage, "is damaged").await;
    }
    for length in [0, 10, 61, whole.len() - 1] {
        fs::write(&entry, &whole[..length]).unwrap();
        is_refused(&stage, "is damaged").await;
    }
}

#[tokio::test]
async fn an_entry_of_another_component_is_refused() {
    let (stage, entry) = kept().await;
    let other = Guest::new().idleness("(call $sleep)").build();
    fs::write(stage.file(), other).unwrap();
    assert_eq!(loaded(&stage).await.0, ONE_COMPILED);
    let others = files_in(&stage.config.cache_dir);
    let second = others.iter().find(|file| **file != entry).unwrap();
    fs::copy(&entry, second).unwrap();
    is_refused(&stage, "is damaged, or was not written by this Dormouse").await;
}

#[tokio::test]
async fn another_key_has_entries_of_its_own() {
    let (mut stage, _) = kept().await;
    let first = stage.config.state_dir.clone();
    stage.config.state_dir = stage.folder.path().join("other");
    assert_eq!(loaded(&stage).await, (ONE_COMPILED, Vec::new()));
    assert_eq!(loaded(&stage).await, (ONE_CACHED, Vec::new()));
    stage.config.state_dir = first;
    assert_eq!(loaded(&stage).await, (ONE_CACHED, Vec::new()));
}

#[tokio::test]
async fn an_entry_that_was_written_under_another_key_is_refused() {
    let (mut stage, entry) = kept().await;
    let first = stage.config.state_dir.clone();
    stage.config.state_dir = stage.folder.path().join("other");
    loaded(&stage).await;
    let others = files_in(&stage.config.cache_dir);
    fs::copy(others.iter().find(|file| **file != entry).unwrap(), &entry).unwrap();
    stage.config.state_dir = first;
    is_refused(&stage, "is damaged, or was not written by this Dormouse").await;
}

#[tokio::test]
async fn an_entry_that_others_may_write_is_refused() {
    let (stage, entry) = kept().await;
    set_mode(&entry, 0o602);
    is_refused(&stage, "is open to other users").await;
    set_mode(&entry, 0o620);
    is_refused(&stage, "is open to other users").await;
}

#[tokio::test]
async fn a_link_and_a_folder_in_the_place_of_an_entry_are_refused() {
    let (stage, entry) = kept().await;
    let elsewhere = stage.folder.path().join("elsewhere");
    fs::rename(&entry, &elsewhere).unwrap();
    symlink(&elsewhere, &entry).unwrap();
    is_refused(&stage, "is a link").await;
}

#[tokio::test]
async fn an_entry_of_another_user_is_refused() {
    if !is_root() {
        return;
    }
    let (stage, entry) = kept().await;
    chown(&entry, Some(12345), None).unwrap();
    is_refused(&stage, "belongs to another user").await;
}

#[tokio::test]
async fn a_cache_below_a_folder_of_another_user_is_not_used() {
    if !is_root() {
        return;
    }
    let mut stage = Stage::new(&Guest::new().build());
    let theirs = stage.folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(12345), None).unwrap();
    let link = stage.folder.path().join("link");
    symlink(&theirs, &link).unwrap();
    for folder in [theirs.join("cache"), link.join("cache")] {
        stage.config.cache_dir = folder;
        is_not_kept(&stage, "belongs to another user").await;
    }
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
    stage.config.cache_dir = stage.folder.path().join("cache");
    stage.config.state_dir = theirs.join("state");
    is_not_kept(&stage, "belongs to another user").await;
}

#[tokio::test]
async fn the_key_is_made_once_and_for_this_user_alone() {
    let (stage, _) = kept().await;
    let key = stage.config.state_dir.join("cache.key");
    let made = fs::read(&key).unwrap();
    assert_eq!((made.len(), fs::metadata(&key).unwrap().mode() & 0o777), (32, 0o600));
    assert_eq!(loaded(&stage).await, (ONE_CACHED, Vec::new()));
    assert_eq!(fs::read(&key).unwrap(), made);
    let other = Stage::new(&Guest::new().build());
    loaded(&other).await;
    assert_ne!(fs::read(other.config.state_dir.join("cache.key")).unwrap(), made);
}

#[tokio::test]
async fn a_key_that_others_may_read_is_not_used() {
    let (stage, _) = kept().await;
    let key = stage.config.state_dir.join("cache.key");
    set_mode(&key, 0o640);
    is_not_kept(&stage, "`[FOLDER]/state/cache.key` is open to other users").await;
    set_mode(&key, 0o600);
    fs::write(&key, "short").unwrap();
    is_not_kept(&stage, "`[FOLDER]/state/cache.key` is damaged").await;
    if is_root() {
        fs::write(&key, [7; 32]).unwrap();
        chown(&key, Some(12345), None).unwrap();
        is_not_kept(&stage, "`[FOLDER]/state/cache.key` belongs to another user").await;
    }
}

#[tokio::test]
async fn a_state_folder_keeps_its_mode() {
    let stage = Stage::new(&Guest::new().build());
    fs::create_dir(&stage.config.state_dir).unwrap();
    set_mode(&stage.config.state_dir, 0o755);
    assert_eq!(loaded(&stage).await, (ONE_COMPILED, Vec::new()));
    assert_eq!(fs::metadata(&stage.config.state_dir).unwrap().mode() & 0o7777, 0o755);
}

#[tokio::test]
async fn the_second_start_compiles_nothing() {
    let stage = Stage::new(&Guest::new().build());
    stage.host().load(&stage.config.plugins[0]).await.unwrap();
    let second = stage.host();
    second.load(&stage.config.plugins[0]).await.unwrap();
    assert_eq!(second.compilations(), Compilations { cached: 1, compiled: 0 });
}

#[tokio::test]
async fn a_changed_file_is_compiled_anew() {
    let stage = Stage::new(&Guest::new().build());
    stage.host().load(&stage.config.plugins[0]).await.unwrap();
    fs::write(stage.file(), Guest::new().idleness("(call $sleep)").build()).unwrap();
    let second = stage.host();
    let loaded = second.load(&stage.config.plugins[0]).await.unwrap();
    assert_eq!(loaded.decisions(), [Decision::Lifecycle, Decision::Idleness]);
    assert_eq!(second.compilations(), Compilations { cached: 0, compiled: 1 });
}

#[tokio::test]
async fn a_damaged_cache_is_compiled_anew() {
    let stage = Stage::new(&Guest::new().build());
    stage.host().load(&stage.config.plugins[0]).await.unwrap();
    let entries = files_in(&stage.config.cache_dir);
    assert!(!entries.is_empty());
    for entry in entries {
        fs::write(entry, "garbage").unwrap();
    }
    let second = stage.host();
    second.load(&stage.config.plugins[0]).await.unwrap();
    assert_eq!(second.compilations(), Compilations { cached: 0, compiled: 1 });
}

#[tokio::test]
async fn the_cache_is_for_its_owner_alone() {
    let stage = Stage::new(&Guest::new().build());
    stage.host().load(&stage.config.plugins[0]).await.unwrap();
    let mode = fs::metadata(&stage.config.cache_dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_cache_folder_that_others_may_write_is_not_used() {
    let stage = Stage::new(&Guest::new().build());
    fs::create_dir(&stage.config.cache_dir).unwrap();
    fs::set_permissions(&stage.config.cache_dir, fs::Permissions::from_mode(0o777)).unwrap();
    let told = Told::listen();
    stage.host().load(&stage.config.plugins[0]).await.unwrap();
    assert_eq!(files_in(&stage.config.cache_dir), Vec::<PathBuf>::new());
    let warnings = told.at(Level::WARN);
    assert_eq!(warnings.len(), 1);
    insta::assert_snapshot!(stage.without_paths(&warnings[0]), @"compiled plugins are not kept, so that each start of Dormouse compiles them anew: other users may write to `[FOLDER]/cache`, and could put other code there. Empty `cache_dir` and run `chmod o-w [FOLDER]/cache`, or set `cache_dir` to another folder");
}

#[tokio::test]
async fn a_cache_folder_that_cannot_be_made_is_done_without() {
    let stage = Stage::new(&Guest::new().build());
    fs::write(&stage.config.cache_dir, "").unwrap();
    let told = Told::listen();
    stage.host().load(&stage.config.plugins[0]).await.unwrap();
    let warnings = told.at(Level::WARN);
    assert_eq!(warnings.len(), 1);
    insta::assert_snapshot!(stage.without_paths(&warnings[0]), @"compiled plugins are not kept, so that each start of Dormouse compiles them anew: `[FOLDER]/cache` is not a folder. Set `cache_dir` to a folder that Dormouse may write");
}

/// The compiled components in a cache.
fn files_in(cache: &Path) -> Vec<PathBuf> {
    let mut folders = vec![cache.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    files
}
