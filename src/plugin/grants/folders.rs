//! Folders: `allow.read` and `allow.write`.
//!
//! A granted folder is opened once, when its plugin is loaded, and all instances have this one: what
//! is put in its place later is not given to them. WASI resolves each path of a guest below it, so that
//! neither `..` nor a symbolic link leads out. What it refuses it refuses by itself: there is no
//! moment at which the operator could be told.

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use rustix::fs::OFlags;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use super::nofollow;
use crate::config::{FolderGrant, Plugin};
use crate::text;

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

/// Opens the folders that `plugin` may use. `writable` are the folders that any plugin may write.
///
/// This looks at the file system, which may hang: not for a thread that others wait for.
///
/// # Errors
///
/// If one of them can't be opened.
pub(in crate::plugin) fn open(
    plugin: &Plugin,
    writable: &[PathBuf],
) -> Result<WasiFilesystemCtx, FolderFault> {
    let mut wasi = WasiCtx::builder();
    let read = plugin.allow.read.iter().map(|folder| (folder, "read", FsPerms::ReadOnly));
    let write = plugin.allow.write.iter().map(|folder| (folder, "write", FsPerms::ReadWrite));
    for (folder, key, permissions) in read.chain(write) {
        let opened = open_one(&mut wasi, folder, permissions, writable);
        opened.map_err(|error| FolderFault { key, path: folder.path.clone(), error })?;
    }
    Ok(wasi.build().filesystem().clone())
}

fn open_one(
    wasi: &mut WasiCtxBuilder,
    folder: &FolderGrant,
    permissions: FsPerms,
    writable: &[PathBuf],
) -> io::Result<()> {
    let opened = nofollow::open(&folder.path, writable, OFlags::RDONLY | OFlags::DIRECTORY)?;
    // WASI opens folders by their paths alone; this one leads to the descriptor.
    let path = format!("/dev/fd/{}", opened.as_raw_fd());
    let preopened = wasi.preopened_dir(path, &folder.name, permissions);
    preopened.map_err(|error| error.downcast::<io::Error>().unwrap_or_else(io::Error::other))?;
    Ok(())
}
