//! Compiled plugins on the disk, so that only the first start compiles.
//!
//! What an entry says is run as native code, unchecked. So nobody but root and this user may write to
//! the folder or to a folder on the way to it, and each entry is authenticated: it begins with an
//! HMAC-SHA256 under a key that is kept in `state_dir` ([`key`]). An entry has the name of what it
//! is: a sum of the component's bytes, the compiler's version and settings, the machine, and the key.
//! A file that changes, or another version of Dormouse, gets an entry of its own.
//!
//! Without a folder and a key that are safe there is no cache, and a warning.

mod bounds;
mod folder;
mod key;

use std::fmt::Display;
use std::fs::File;
use std::hash::{Hash as _, Hasher};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::fs::{futimens, openat, renameat, unlinkat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use crate::files::access::{self, AccessError};

use super::Compilations;
use super::load::Sum;
use super::native::Native;
use super::text;

use self::folder::{EntryError, Readers};
use self::key::Key;

/// What an entry begins with.
const MAGIC: &[u8] = b"dormouse compiled component 1\n";

/// How many bytes the code of an authenticated entry comes after.
const HEADER: usize = MAGIC.len() + MAC;

/// How many bytes the authentication code has.
const MAC: usize = 32;

/// What the name of a file begins with that is being written.
const UNFINISHED: &str = "new-";

/// The entries in one folder.
pub(super) struct Cache {
    place: PathBuf,
    folder: OwnedFd,
    key: Key,
    /// The sum of what the engine needs to find again: version, settings, machine.
    compatibility: Sum,
    written: AtomicU64,
    cached: AtomicUsize,
    compiled: AtomicUsize,
}

impl Cache {
    /// Opens the cache in `folder`, in a folder for this version of Dormouse, with the key in
    /// `state_dir`. Without ones that are safe there is a warning, and no cache.
    pub(super) fn open(folder: &Path, state_dir: &Path, engine: &Engine) -> Option<Cache> {
        let folder = folder.join(concat!("compiled-", env!("CARGO_PKG_VERSION")));
        let place = match access::own(&folder) {
            Ok(place) => place,
            Err(error) => return without(&in_words(&error)),
        };
        let key = match key::read_or_make(state_dir) {
            Ok(key) => key,
            Err(error) => return without(&error),
        };
        match folder::open(&place) {
            Ok(folder) => Some(Cache {
                place,
                folder,
                key,
                compatibility: compatibility(engine),
                written: AtomicU64::new(0),
                cached: AtomicUsize::new(0),
                compiled: AtomicUsize::new(0),
            }),
            Err(error) => without(&in_words(&AccessError::Unusable(place, error.into()))),
        }
    }

    /// How many components came out of the cache, and how many were put into it.
    pub(super) fn counts(&self) -> Compilations {
        Compilations {
            cached: self.cached.load(Ordering::Relaxed),
            compiled: self.compiled.load(Ordering::Relaxed),
        }
    }

    /// The code of the component with this sum. An entry that can't be used is removed.
    pub(super) fn get(&self, component: &Sum) -> Option<Native> {
        let name = self.name(component).ok()?;
        match self.read(&name) {
            Ok(native) => {
                self.cached.fetch_add(1, Ordering::Relaxed);
                Some(native)
            }
            Err(EntryError::System(Errno::NOENT)) => None,
            Err(error) => {
                self.remove(&name, &error);
                None
            }
        }
    }

    /// Keeps `code` for the component with this sum.
    pub(super) fn put(&self, component: &Sum, code: &[u8]) {
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let kept = self.name(component).and_then(|name| {
            self.write(&name, code)?;
            Ok(bounds::keep(&self.folder, &name)?)
        });
        if let Err(error) = kept {
            tracing::warn!(
                "a compiled plugin is not kept, so that the next start of Dormouse compiles it anew: \
                 `{}` {error}. Set `cache_dir` to a folder that Dormouse may write",
                self.place.display()
            );
        }
    }

    /// Removes the entry for the component with this sum, which wasmtime refuses.
    pub(super) fn discard(&self, component: &Sum, reason: &str) {
        self.cached.fetch_sub(1, Ordering::Relaxed);
        if let Ok(name) = self.name(component) {
            self.remove(&name, &format!("is refused by wasmtime ({reason})"));
        }
    }

    fn remove(&self, name: &str, reason: &dyn Display) {
        let removed = unlinkat(&self.folder, name, AtFlags::empty());
        let what = if removed.is_ok() { "It was removed" } else { "Remove it" };
        tracing::warn!(
            "a compiled plugin was not taken from the cache: `{}` {reason}. {what}; the plugin is \
             compiled anew",
            self.place.join(name).display()
        );
    }

    /// The name of an entry, which depends on the key as well: two Dormice with a folder in common and
    /// keys of their own do not remove each other's entries.
    fn name(&self, component: &Sum) -> Result<String, EntryError> {
        let mut name = self.keyed()?;
        name.update(b"name");
        name.update(component);
        name.update(&self.compatibility);
        Ok(text::hex(&name.finalize().into_bytes()))
    }

    fn read(&self, name: &str) -> Result<Native, EntryError> {
        let (mut file, length) = folder::open_entry(&self.folder, name, Readers::Anybody)?;
        if length > bounds::MAX_BYTES {
            return Err(EntryError::Damaged("is too large"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        (&mut file).take(bounds::MAX_BYTES).read_to_end(&mut bytes).map_err(EntryError::Io)?;
        let Some((header, code)) = bytes.split_at_checked(HEADER) else {
            return Err(EntryError::Damaged("is damaged"));
        };
        let mac = header.strip_prefix(MAGIC).ok_or(EntryError::Damaged("is damaged"))?;
        if self.authentication(name, code)?.verify_slice(mac).is_err() {
            return Err(EntryError::Damaged("is damaged, or was not written by this Dormouse"));
        }
        // The least recently used entries are removed first. A failure makes it look old.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let _ = futimens(&file, &Timestamps { last_access: now, last_modification: now });
        Ok(Native::from_verified_entry(bytes, HEADER))
    }

    fn write(&self, name: &str, code: &[u8]) -> Result<(), EntryError> {
        let mac = self.authentication(name, code)?.finalize().into_bytes();
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let unfinished = format!("{UNFINISHED}{}-{number}", std::process::id());
        let _ = unlinkat(&self.folder, &unfinished, AtFlags::empty());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(openat(&self.folder, &unfinished, flags, mode)?);
        let written = file
            .write_all(MAGIC)
            .and_then(|()| file.write_all(&mac))
            .and_then(|()| file.write_all(code))
            .and_then(|()| Ok(renameat(&self.folder, &unfinished, &self.folder, name)?));
        if written.is_err() {
            let _ = unlinkat(&self.folder, &unfinished, AtFlags::empty());
        }
        written.map_err(EntryError::Io)
    }

    /// Over the name and the code. The name has a fixed length.
    fn authentication(&self, name: &str, code: &[u8]) -> Result<Hmac<Sha256>, EntryError> {
        let mut mac = self.keyed()?;
        mac.update(b"code");
        mac.update(name.as_bytes());
        mac.update(code);
        Ok(mac)
    }

    fn keyed(&self) -> Result<Hmac<Sha256>, EntryError> {
        // HMAC takes keys of any length.
        Hmac::new_from_slice(&self.key).map_err(|_| EntryError::Damaged("has no key"))
    }
}

fn without(reason: &dyn Display) -> Option<Cache> {
    tracing::warn!(
        "compiled plugins are not kept, so that each start of Dormouse compiles them anew: {reason}"
    );
    None
}

fn in_words(error: &AccessError) -> String {
    match (error, error.remedy()) {
        (AccessError::Unusable(..) | AccessError::NoFolder(_), _) => {
            format!("{error}. Set `cache_dir` to a folder that Dormouse may write")
        }
        (_, Some(remedy)) => format!(
            "{error}, and could put other code there. Empty `cache_dir` and run {remedy}, or set \
             `cache_dir` to another folder"
        ),
        (_, None) => format!(
            "{error}, who could put other code there. Set `cache_dir` to a folder of the user that \
             Dormouse runs as"
        ),
    }
}

/// What the code depends on apart from the component.
fn compatibility(engine: &Engine) -> Sum {
    struct Sink(Sha256);
    impl Hasher for Sink {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sink = Sink(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sink);
    sink.0.finalize().into()
}
