//! The key that authenticates entries of the cache.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, linkat, openat, unlinkat};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::files::access::{self, AccessError};

use super::folder::{self, EntryError};

/// The name of its file in `state_dir`.
const NAME: &str = "cache.key";

/// How many bytes it has.
const LENGTH: usize = 32;

pub(super) type Key = [u8; LENGTH];

/// Why there is no key.
#[derive(Debug)]
pub(super) enum KeyError {
    Folder(AccessError),
    File(PathBuf, EntryError),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no key for them: ")?;
        match self {
            KeyError::Folder(error) => {
                write!(
                    f,
                    "{error}, and could read or replace the key. Set `state_dir` to a folder"
                )?;
                f.write_str(" of the user that Dormouse runs as")
            }
            KeyError::File(file, error) => {
                let file = file.display();
                write!(f, "`{file}` {error}. Remove it, and Dormouse makes a new one")
            }
        }
    }
}

/// The key in `state_dir`, which is made at its first use.
pub(super) fn read_or_make(state_dir: &Path) -> Result<Key, KeyError> {
    let place = access::own_or_shared(state_dir).map_err(KeyError::Folder)?;
    let failed = |error: EntryError| KeyError::File(place.join(NAME), error);
    let folder = folder::open(&place).map_err(|error| failed(error.into()))?;
    match read(&folder) {
        Err(EntryError::System(Errno::NOENT)) => {}
        read => return read.map_err(failed),
    }
    make(&folder).map_err(|error| failed(EntryError::Io(error)))?;
    read(&folder).map_err(failed)
}

fn read(folder: &OwnedFd) -> Result<Key, EntryError> {
    let (mut file, length) = folder::open_entry(folder, NAME, folder::Readers::Owner)?;
    let mut key = [0; LENGTH];
    if length != LENGTH as u64 {
        return Err(EntryError::Damaged("is damaged"));
    }
    file.read_exact(&mut key).map_err(EntryError::Io)?;
    Ok(key)
}

/// Puts a new key into `folder`, unless another process has done so meanwhile.
fn make(folder: &OwnedFd) -> io::Result<()> {
    let mut key = [0_u8; LENGTH];
    let mut filled = 0;
    while filled < LENGTH {
        filled += getrandom(&mut key[filled..], GetRandomFlags::empty())?;
    }
    let temporary = format!("{NAME}.{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // One that a process with this number has left behind.
    let _ = unlinkat(folder, &temporary, AtFlags::empty());
    let mut file = File::from(openat(folder, &temporary, flags, Mode::RUSR | Mode::WUSR)?);
    let linked = file.write_all(&key).and_then(|()| file.sync_all()).and_then(|()| {
        match linkat(folder, &temporary, folder, NAME, AtFlags::empty()) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    });
    let _ = unlinkat(folder, &temporary, AtFlags::empty());
    linked
}
