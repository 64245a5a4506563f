//! Files that Dormouse keeps for itself across restarts, in a folder that is its own.
//!
//! Such a file is written as a whole: beside the old one, brought to the disk, then put in its
//! place. So there is always one whole file, the old or the new, wherever the power fails.
//!
//! [`access`] says who else may write to such a folder.

pub mod access;
mod accounts;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Puts `content` in the place of `file`, and returns when it is on the disk. Its folder is made if
/// it isn't there, closed to everybody else.
///
/// # Errors
///
/// If the disk refuses it. What was there before is there still.
pub fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let folder = own_folder(file)?;
    let mut written = tempfile::NamedTempFile::new_in(folder)?;
    written.write_all(content)?;
    written.as_file().sync_all()?;
    written.persist(file)?;
    fs::File::open(folder)?.sync_all()
}

/// The same without waiting for the disk: the file outlasts a crash of Dormouse, and perhaps not
/// that of the machine.
///
/// # Errors
///
/// If the system refuses it. What was there before is there still.
pub fn replace_unsynced(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut written = tempfile::NamedTempFile::new_in(own_folder(file)?)?;
    written.write_all(content)?;
    written.persist(file)?;
    Ok(())
}

/// The folder of `file`. It is made if it isn't there, and is closed to everybody else then: what is
/// kept may be secret. One that is there keeps its mode, since others may use it as well (`/tmp`).
fn own_folder(file: &Path) -> io::Result<&Path> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(folder)
}

/// Removes `file`, if it is there.
///
/// # Errors
///
/// If the disk refuses it.
pub fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_folder_that_is_made_is_for_its_owner_alone_and_one_that_is_there_keeps_its_mode() {
        let parent = tempfile::tempdir().unwrap();
        for before in [0o700, 0o750, 0o755, 0o1777, 0o2770] {
            let folder = parent.path().join(format!("{before:o}"));
            fs::create_dir(&folder).unwrap();
            fs::set_permissions(&folder, fs::Permissions::from_mode(before)).unwrap();
            replace(&folder.join("a/b/file"), b"x").unwrap();
            replace_unsynced(&folder.join("c/file"), b"x").unwrap();
            replace(&folder.join("file"), b"x").unwrap();
            assert_eq!(mode(&folder), before);
            for made in ["a", "a/b", "c"] {
                assert_eq!(mode(&folder.join(made)) & 0o777, 0o700, "{made}");
            }
            for file in ["a/b/file", "c/file", "file"] {
                assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
            }
        }
    }
}
