//! What plugins keep between calls: the interface `state`.
//!
//! A file for each plugin and service, in a folder that is Dormouse's alone. A file is read once and
//! written as a whole ([`files::replace`]), and a value that was set is on the disk when the call
//! returns.
//!
//! ```text
//! dormouse state 1\n      what it is
//! SHA-256 of the rest     32 bytes
//! then for each key: length (u32, little endian), key, length, value
//! ```
//!
//! A file that is damaged all the same is put aside with the ending `.damaged`, which an error tells
//! the operator, and the plugin begins anew: a service that can't be woken for the sake of a lost
//! value would be the greater evil.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::files;

use crate::text;

const HEADER: &[u8] = b"dormouse state 1\n";
const CHECKSUM: usize = 32;

/// How many bytes a key may have.
const LONGEST_KEY: usize = 256;

/// How many bytes a value may have.
const LONGEST_VALUE: usize = 64 << 10;

/// What an entry takes beside the bytes of its key and value, in memory and in the file, and is
/// counted with: a million empty values are not nothing.
const ENTRY: usize = 64;

/// How many bytes the readable form of a file's name may have.
const LONGEST_NAME: usize = 200;

type Values = BTreeMap<String, Vec<u8>>;

/// Why a value was not read or kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    /// A key or a value is longer than any may be.
    #[error("too long")]
    TooLong,
    /// All of it together is beyond the plugin's limit.
    #[error("full")]
    Full,
    /// The disk refused it.
    #[error("the state in `{}` can't be {verb}: {error}", file.display())]
    Storage {
        /// Where.
        file: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// Why.
        error: io::Error,
    },
}

/// All spaces of a process.
#[derive(Debug)]
pub(super) struct StateStore {
    folder: PathBuf,
    /// Whose threads write: Dormouse's own, and not those of the plugin.
    threads: Handle,
    spaces: Mutex<HashMap<String, Arc<Space>>>,
}

impl StateStore {
    /// A store in `folder`, which is made when the first value is set. It is read and written on
    /// the blocking threads of `threads`: at most one at a time for each space.
    pub(super) fn new(folder: &Path, threads: Handle) -> StateStore {
        StateStore { folder: folder.to_owned(), threads, spaces: Mutex::default() }
    }

    /// A store in another folder, on the same threads.
    pub(super) fn in_folder(&self, folder: &Path) -> StateStore {
        StateStore::new(folder, self.threads.clone())
    }

    /// The space of a plugin for a service. `hooks` tells the plugin behind a service's hooks from
    /// one that has the same name in the config.
    pub(super) fn space(
        &self,
        plugin: &str,
        hooks: bool,
        service: &str,
        limit: usize,
    ) -> Arc<Space> {
        let name = file_name(plugin, hooks, service, "state");
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        let space = spaces.entry(name).or_insert_with_key(|name| {
            Arc::new(Space {
                file: self.folder.join(name),
                threads: self.threads.clone(),
                limit,
                values: Arc::new(AsyncMutex::new(None)),
            })
        });
        Arc::clone(space)
    }
}

/// The values of one plugin for one service.
#[derive(Debug)]
pub(super) struct Space {
    file: PathBuf,
    threads: Handle,
    /// How many bytes all entries may have together.
    limit: usize,
    /// As they are on the disk; `None` until they were read.
    values: Arc<AsyncMutex<Option<Values>>>,
}

impl Space {
    /// The value of `key`.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        let values = self.read().await?;
        Ok(values.as_ref().and_then(|values| values.get(key).cloned()))
    }

    /// Sets the value of `key`.
    pub(super) async fn set(&self, key: String, value: Vec<u8>) -> Result<(), StateError> {
        if key.len() > LONGEST_KEY || value.len() > LONGEST_VALUE {
            return Err(StateError::TooLong);
        }
        let limit = self.limit;
        self.change(move |values| {
            values.insert(key, value);
            let size = |(key, value): (&String, &Vec<u8>)| ENTRY + key.len() + value.len();
            let size: usize = values.iter().map(size).sum();
            if size > limit { Err(StateError::Full) } else { Ok(true) }
        })
        .await
    }

    /// Forgets `key`.
    pub(super) async fn delete(&self, key: String) -> Result<(), StateError> {
        self.change(move |values| Ok(values.remove(&key).is_some())).await
    }

    /// Changes the values, and writes them if `change` says that it has changed something.
    ///
    /// Whoever drops this drops only the waiting: a write that has begun is finished, and others
    /// wait for it.
    async fn change(
        &self,
        change: impl FnOnce(&mut Values) -> Result<bool, StateError> + Send + 'static,
    ) -> Result<(), StateError> {
        let mut values = self.read().await?;
        let file = self.file.clone();
        let done = self.threads.spawn_blocking(move || {
            let mut changed = values.clone().unwrap_or_default();
            if change(&mut changed)? {
                let content = encode_values(&changed);
                files::replace(&file, &content).map_err(|error| failed(&file, "written", error))?;
                *values = Some(changed);
            }
            Ok(())
        });
        self.wait(done).await
    }

    /// Takes the lock, and reads the file if that was not done before.
    async fn read(&self) -> Result<OwnedMutexGuard<Option<Values>>, StateError> {
        let mut values = Arc::clone(&self.values).lock_owned().await;
        if values.is_some() {
            return Ok(values);
        }
        let file = self.file.clone();
        let done = self.threads.spawn_blocking(move || {
            *values = Some(read(&file).map_err(|error| failed(&file, "read", error))?);
            Ok(values)
        });
        self.wait(done).await
    }

    async fn wait<T>(
        &self,
        done: tokio::task::JoinHandle<Result<T, StateError>>,
    ) -> Result<T, StateError> {
        match done.await {
            Ok(result) => result,
            // Only when the runtime shuts down.
            Err(error) => Err(failed(&self.file, "written", io::Error::other(error))),
        }
    }
}

fn failed(file: &Path, verb: &'static str, error: io::Error) -> StateError {
    StateError::Storage { file: file.to_owned(), verb, error }
}

/// A name that belongs to this plugin and service alone, and can't lead out of the folder: all but
/// letters, digits, `-` and `_` is written as `%XX`.
pub(super) fn file_name(plugin: &str, hooks: bool, service: &str, ending: &str) -> String {
    let kind = if hooks { "hooks" } else { "plugin" };
    let name = format!("{kind}+{}+{}", encode(plugin), encode(service));
    let name = if name.len() > LONGEST_NAME { text::hex(&Sha256::digest(name)) } else { name };
    format!("{name}.{ending}")
}

fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn read(file: &Path) -> io::Result<Values> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Values::new()),
        Err(error) => return Err(error),
    };
    if let Some(values) = decode(&bytes) {
        return Ok(values);
    }
    let mut aside = file.as_os_str().to_owned();
    aside.push(".damaged");
    fs::rename(file, &aside)?;
    tracing::error!(
        "the plugin state in `{}` is damaged. It is put aside as `{}`, and the plugin begins \
         without what it had kept",
        file.display(),
        Path::new(&aside).display(),
    );
    Ok(Values::new())
}

fn encode_values(values: &Values) -> Vec<u8> {
    let mut body = Vec::new();
    let mut put = |bytes: &[u8]| {
        // Both are far below 4 GiB: `set` has checked it.
        body.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        body.extend_from_slice(bytes);
    };
    for (key, value) in values {
        put(key.as_bytes());
        put(value);
    }
    [HEADER, Sha256::digest(&body).as_slice(), &body].concat()
}

fn decode(bytes: &[u8]) -> Option<Values> {
    let (checksum, mut body) = bytes.strip_prefix(HEADER)?.split_at_checked(CHECKSUM)?;
    if Sha256::digest(body).as_slice() != checksum {
        return None;
    }
    let mut values = Values::new();
    while !body.is_empty() {
        let key = take(&mut body)?;
        let value = take(&mut body)?;
        values.insert(String::from_utf8(key.to_vec()).ok()?, value.to_vec());
    }
    Some(values)
}

fn take<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *body = rest;
    Some(bytes)
}

#[cfg(test)]
#[path = "state_store/fuzz.rs"]
mod fuzz;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn space(folder: &Path) -> Arc<Space> {
        StateStore::new(folder, Handle::current()).space("p", false, "s", 1000)
    }

    #[test]
    fn file_names_do_not_lead_out_of_the_folder_and_do_not_meet() {
        let names = [
            file_name("../../etc", false, "/passwd", "state"),
            file_name("a+b", false, "c", "state"),
            file_name("a", false, "b+c", "state"),
            file_name("shell", true, "c", "state"),
            file_name("shell", false, "c", "state"),
            file_name(&"x".repeat(300), false, "c", "state"),
            file_name(&"x".repeat(301), false, "c", "state"),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(!name.contains(['/', '\0']) && !name.starts_with('.') && name.len() < 250);
            assert!(!names[..index].contains(name), "{name} is there twice");
        }
    }

    #[tokio::test]
    async fn values_are_there_after_a_restart_and_deleted_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let before = space(folder.path());
        before.set("a".to_owned(), vec![0, 255]).await.unwrap();
        before.set("b".to_owned(), vec![1]).await.unwrap();
        before.delete("b".to_owned()).await.unwrap();
        let after = space(folder.path());
        assert_eq!(after.get("a").await.unwrap(), Some(vec![0, 255]));
        assert_eq!(after.get("b").await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let space = space(folder.path());
        space.set("a".to_owned(), vec![0; 700]).await.unwrap();
        let room = 1000 - (ENTRY + 701) - (ENTRY + 1);
        let refused = space.set("b".to_owned(), vec![0; room + 1]).await;
        assert!(matches!(refused, Err(StateError::Full)));
        for (key, value) in [(&*"k".repeat(257), 1), ("b", LONGEST_VALUE + 1)] {
            let refused = space.set(key.to_owned(), vec![0; value]).await;
            assert!(matches!(refused, Err(StateError::TooLong)));
        }
        space.set("b".to_owned(), vec![0; room]).await.unwrap();
        assert_eq!(space.get("a").await.unwrap().unwrap().len(), 700);
    }

    #[tokio::test]
    async fn empty_values_are_counted_too() {
        let folder = tempfile::tempdir().unwrap();
        let space = space(folder.path());
        let room = 1000 / (ENTRY + 1);
        for key in ('a'..).take(room) {
            space.set(key.to_string(), Vec::new()).await.unwrap();
        }
        let refused = space.set("!".to_owned(), Vec::new()).await;
        assert!(matches!(refused, Err(StateError::Full)));
    }

    #[tokio::test]
    async fn the_folder_is_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("deep/state");
        space(&folder).set("a".to_owned(), vec![1]).await.unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[tokio::test]
    async fn a_damaged_file_is_put_aside_and_the_plugin_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let before = space(folder.path());
        before.set("a".to_owned(), vec![7; 100]).await.unwrap();
        let whole = fs::read(&before.file).unwrap();
        for damage in [&whole[..60], &[&whole[..], b"x"].concat(), b"", b"{}"] {
            fs::write(&before.file, damage).unwrap();
            let after = space(folder.path());
            assert_eq!(after.get("a").await.unwrap(), None);
            let aside = folder.path().join("plugin+p+s.state.damaged");
            assert_eq!(fs::read(&aside).unwrap(), damage);
            after.set("b".to_owned(), vec![1]).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_disk_that_refuses_is_an_error_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in the way");
        fs::write(&file, "").unwrap();
        let space = space(&file.join("state"));
        let refused = space.set("a".to_owned(), vec![1]).await.unwrap_err();
        let message = refused.to_string();
        assert!(message.contains("in the way/state/plugin+p+s.state` can't be"), "{message}");
        assert_eq!(fs::read(&file).unwrap(), b"");
    }
}
