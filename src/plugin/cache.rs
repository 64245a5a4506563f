//! Compiled plugins on the disk, so that only the first start compiles.
//!
//! wasmtime finds an entry by the hash of the component's bytes, the compiler's version and
//! settings, so that a changed file or another version is compiled anew. What an entry says is run
//! as native code, unchecked: so the folder has to be one that nobody else can write. If it is not,
//! Dormouse works without it and says so.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use wasmtime::{Cache, CacheConfig};

/// Others may write: of a folder's permissions.
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
/// In a folder with this permission, only the owner of an entry may rename or remove it.
const STICKY: u32 = 0o1000;

/// Opens the cache in `folder`, in a folder for this version of Dormouse. Without one that is safe
/// there is a warning, and no cache.
pub(super) fn open(folder: &Path) -> Option<Cache> {
    let folder = folder.join(concat!("compiled-", env!("CARGO_PKG_VERSION")));
    match prepare(&folder).and_then(|()| start(&folder)) {
        Ok(cache) => Some(cache),
        Err(fault) => {
            tracing::warn!(
                "compiled plugins are not kept, so that each start of Dormouse compiles them anew: \
                 {fault}"
            );
            None
        }
    }
}

/// Why a folder is not used.
#[derive(Debug)]
enum Fault {
    Unusable(PathBuf, io::Error),
    Foreign(PathBuf),
    Open(PathBuf),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unusable(folder, error) => write!(
                f,
                "`{}` can't be used: {error}. Set `cache_dir` to a folder that Dormouse may write",
                folder.display()
            ),
            Fault::Foreign(folder) => write!(
                f,
                "`{}` belongs to another user, who could put other code there. Remove it, or set \
                 `cache_dir` to a folder of the user that Dormouse runs as",
                folder.display()
            ),
            Fault::Open(folder) => write!(
                f,
                "other users may write to `{0}`, and could put other code there. Empty it and run \
                 `chmod go-w {0}`, or set `cache_dir` to another folder",
                folder.display()
            ),
        }
    }
}

impl From<(&Path, io::Error)> for Fault {
    fn from((folder, error): (&Path, io::Error)) -> Self {
        Fault::Unusable(folder.to_owned(), error)
    }
}

/// Makes `folder` and looks whether it is safe.
fn prepare(folder: &Path) -> Result<(), Fault> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Fault::from((folder, error)))?;
    let folder = folder.canonicalize().map_err(|error| Fault::from((folder, error)))?;
    // Whoever can write to a folder further up can put another in this one's place.
    for above in folder.ancestors() {
        let found = above.symlink_metadata().map_err(|error| Fault::from((above, error)))?;
        let mode = found.permissions().mode();
        let is_it = above == folder;
        if is_it && found.uid() != rustix::process::geteuid().as_raw() {
            return Err(Fault::Foreign(above.to_owned()));
        }
        let open = if is_it {
            mode & (OTHERS_WRITE | GROUP_WRITES) != 0
        } else {
            // A folder above may belong to a group that is the user's own, as homes often do.
            mode & OTHERS_WRITE != 0 && mode & STICKY == 0
        };
        if open {
            return Err(Fault::Open(above.to_owned()));
        }
    }
    Ok(())
}

fn start(folder: &Path) -> Result<Cache, Fault> {
    let mut config = CacheConfig::new();
    config.with_directory(folder);
    Cache::new(config).map_err(|error| (folder, io::Error::other(error.to_string())).into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use super::*;

    fn folder_with(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("cache");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        (parent, folder)
    }

    #[test]
    fn a_folder_that_is_made_is_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        prepare(&folder).unwrap();
        for made in [&folder, &parent.path().join("a")] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_folder_that_others_may_read_is_used() {
        let (_parent, folder) = folder_with(0o755);
        prepare(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        for mode in [0o777, 0o770, 0o1777] {
            let (_parent, folder) = folder_with(mode);
            let fault = prepare(&folder).unwrap_err();
            assert!(matches!(fault, Fault::Open(open) if open == folder), "{mode:o}");
        }
    }

    #[test]
    fn a_folder_in_one_where_others_may_rename_it_is_refused() {
        let (_parent, above) = folder_with(0o777);
        let fault = prepare(&above.join("mine")).unwrap_err();
        assert!(matches!(fault, Fault::Open(open) if open == above));
        let (_parent, above) = folder_with(0o1777);
        prepare(&above.join("mine")).unwrap();
    }
}
