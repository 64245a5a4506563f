//! Folders: `allow.read` and `allow.write`.
//!
//! WASI opens a granted folder for a guest, and resolves each path of the guest below it, so that
//! neither `..` nor a symbolic link leads out. What it refuses it refuses by itself: there is no
//! moment at which the operator could be told.

use std::fs;
use std::io;
use std::path::PathBuf;

use wasmtime_wasi::FsPerms;

use crate::config::{FolderGrant, Plugin};
use crate::plugin::text;

/// A folder that is granted and can't be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the folder `{}` of its `allow.{key}` can't be opened: {error}. Make the folder, let Dormouse \
     into it, or take it out of `allow.{key}`",
    text::line(&path.display().to_string(), 500)
)]
pub struct FolderFault {
    key: &'static str,
    path: PathBuf,
    error: io::Error,
}

/// The folders that `plugin` may use, and what for.
pub(in crate::plugin) fn folders(plugin: &Plugin) -> impl Iterator<Item = (&FolderGrant, FsPerms)> {
    let read = plugin.allow.read.iter().map(|folder| (folder, FsPerms::ReadOnly));
    read.chain(plugin.allow.write.iter().map(|folder| (folder, FsPerms::ReadWrite)))
}

/// Are all these folders there?
pub(in crate::plugin) fn check(plugin: &Plugin) -> Result<(), FolderFault> {
    for (folder, permissions) in folders(plugin) {
        // As it is opened for each instance: by its path, with a look at what is in it.
        fs::read_dir(&folder.path).map_err(|error| fault(folder, permissions, error))?;
    }
    Ok(())
}

/// The fault that `folder` can't be opened.
pub(in crate::plugin) fn fault(
    folder: &FolderGrant,
    permissions: FsPerms,
    error: io::Error,
) -> FolderFault {
    let key = match permissions {
        FsPerms::ReadOnly => "read",
        FsPerms::ReadWrite => "write",
    };
    FolderFault { key, path: folder.path.clone(), error }
}
