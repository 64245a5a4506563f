//! Files of the cache, opened by the descriptor of their folder.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, open as open_path, openat};
use rustix::io::Errno;

/// Permissions that a file must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Others may read it, and not write.
    Anybody,
    /// Only its owner may read it.
    Owner,
}

/// What is wrong with a file. `Display` goes on from its name.
#[derive(Debug)]
pub(super) enum EntryError {
    /// It belongs to another user.
    Foreign,
    /// Others may write to it, or read what they must not.
    Open,
    /// It is not what Dormouse has written.
    Damaged(&'static str),
    /// The system refuses.
    System(Errno),
    Io(io::Error),
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryError::Foreign => f.write_str("belongs to another user"),
            EntryError::Open => f.write_str("is open to other users"),
            EntryError::Damaged(how) => f.write_str(how),
            EntryError::System(error) => write!(f, "can't be used: {error}"),
            EntryError::Io(error) => write!(f, "can't be used: {error}"),
        }
    }
}

impl From<Errno> for EntryError {
    fn from(error: Errno) -> Self {
        match error {
            // What `NOFOLLOW` answers to a link.
            Errno::LOOP => EntryError::Damaged("is a link"),
            error => EntryError::System(error),
        }
    }
}

/// Opens a folder whose path has no links.
pub(super) fn open(folder: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open_path(folder, flags, Mode::empty())
}

/// Opens the file `name` in `folder`, and says how long it is: a regular file of this user that
/// nobody else may write to.
pub(super) fn open_entry(
    folder: &OwnedFd,
    name: &str,
    readers: Readers,
) -> Result<(File, u64), EntryError> {
    // Opening a pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::empty())?;
    let found = fstat(&file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(EntryError::Damaged("is not a regular file"));
    }
    if found.st_uid != rustix::process::geteuid().as_raw() {
        return Err(EntryError::Foreign);
    }
    let forbidden = match readers {
        Readers::Anybody => 0o022,
        Readers::Owner => 0o077,
    };
    if found.st_mode & forbidden != 0 {
        return Err(EntryError::Open);
    }
    let length = u64::try_from(found.st_size).unwrap_or(0);
    Ok((File::from(file), length))
}
