//! Who else may write to a folder, or put another in its place.
//!
//! A path is as safe as the folders on its way: who may write to one of them can rename what is in
//! it. So each folder on the way has to belong to root or to this user, and nobody else may write to
//! it; in one that belongs to root and is sticky (`/tmp`) others may, since they can't rename what
//! is not theirs. A group may write if only root and this user are in it, as in homes on Debian.
//! Links are followed by hand, so that the folders in which they stand are looked at as well.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use super::accounts;

/// Others may write: of a folder's permissions.
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
/// In a folder with this permission, only the owner of an entry may rename or remove it.
const STICKY: u32 = 0o1000;

/// How many links one path may lead through, as in the kernel.
const MAX_LINKS: usize = 40;

/// Why a path is not safe. `Display` is a clause that names the place.
#[derive(Debug)]
pub enum AccessError {
    /// A folder or link on the way, or the folder itself, belongs to another user.
    Foreign(PathBuf),
    /// Other users may write to a folder.
    Open(PathBuf),
    /// A group may write to a folder, and others than root and this user are in it.
    OpenToGroup(PathBuf),
    /// Something on the way is not a folder.
    NoFolder(PathBuf),
    /// The system refuses to say, or to make a folder.
    Unusable(PathBuf, io::Error),
}

impl AccessError {
    /// What is not safe.
    pub fn place(&self) -> &Path {
        match self {
            AccessError::Foreign(place)
            | AccessError::Open(place)
            | AccessError::OpenToGroup(place)
            | AccessError::NoFolder(place)
            | AccessError::Unusable(place, _) => place,
        }
    }

    /// A command that would make it safe, if there is one.
    pub fn remedy(&self) -> Option<String> {
        let place = self.place().display();
        match self {
            AccessError::Open(_) => Some(format!("`chmod o-w {place}`")),
            AccessError::OpenToGroup(_) => Some(format!("`chmod g-w {place}`")),
            AccessError::Foreign(_) | AccessError::NoFolder(_) | AccessError::Unusable(..) => None,
        }
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place().display();
        match self {
            AccessError::Foreign(_) => write!(f, "`{place}` belongs to another user"),
            AccessError::Open(_) => write!(f, "other users may write to `{place}`"),
            AccessError::OpenToGroup(_) => write!(
                f,
                "the group of `{place}` may write to it, and other users may be in that group"
            ),
            AccessError::NoFolder(_) => write!(f, "`{place}` is not a folder"),
            AccessError::Unusable(_, error) => write!(f, "`{place}` can't be used: {error}"),
        }
    }
}

impl std::error::Error for AccessError {}

/// Makes `folder` for this user alone if it isn't there, and returns its path without links. Nobody
/// else may write to it, nor put another in its place.
///
/// # Errors
///
/// If somebody else may, or if it can't be made. Nothing is made below a folder that is not safe.
pub fn own(folder: &Path) -> Result<PathBuf, AccessError> {
    let failed = |error| AccessError::Unusable(folder.to_owned(), error);
    let resolved = own_or_shared(folder)?;
    let found = fs::symlink_metadata(&resolved).map_err(failed)?;
    if found.uid() != user() {
        return Err(AccessError::Foreign(resolved));
    }
    // Sticky is not enough here: a user who may write could add files.
    if found.mode() & OTHERS_WRITE != 0 {
        return Err(AccessError::Open(resolved));
    }
    Ok(resolved)
}

/// Makes `folder` for this user alone if it isn't there, and returns its path without links. Nobody
/// else may replace what this user has in it: unlike in one that is [`own`], others may add files
/// if it is sticky and belongs to root.
///
/// # Errors
///
/// Those of [`own`].
pub fn own_or_shared(folder: &Path) -> Result<PathBuf, AccessError> {
    let failed = |error| AccessError::Unusable(folder.to_owned(), error);
    let absolute = std::path::absolute(folder).map_err(failed)?;
    check_way(&absolute)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    check_way(&absolute)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

/// Whether others may put files into `folder`, or take them away: an error if so. One that isn't
/// there is fine, and so is one that is sticky and belongs to root.
///
/// # Errors
///
/// If it belongs to another user than root and this one, or others may write to it.
pub fn check_shared(folder: &Path) -> Result<(), AccessError> {
    match fs::metadata(folder) {
        Ok(found) => check_folder(folder, &found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Whatever is to be kept there will fail, and says so.
        Err(_) => Ok(()),
    }
}

/// Follows an absolute path, and returns where it leads; `None` if it leads to something that is not
/// there.
fn check_way(path: &Path) -> Result<Option<PathBuf>, AccessError> {
    let mut left: VecDeque<OsString> = names(path);
    let mut place = PathBuf::from("/");
    let mut links = 0;
    check_metadata(&place)?;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            place.pop();
            continue;
        }
        let next = place.join(&name);
        let found = match fs::symlink_metadata(&next) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(AccessError::Unusable(next, error)),
        };
        if !found.is_symlink() {
            check_folder(&next, &found)?;
            place = next;
            continue;
        }
        if !is_trusted(found.uid()) {
            return Err(AccessError::Foreign(next));
        }
        links += 1;
        if links > MAX_LINKS {
            let error = io::Error::other("it leads through too many links");
            return Err(AccessError::Unusable(next, error));
        }
        let target =
            fs::read_link(&next).map_err(|error| AccessError::Unusable(next.clone(), error))?;
        if target.is_absolute() {
            place = PathBuf::from("/");
        }
        for name in names(&target).into_iter().rev() {
            left.push_front(name);
        }
    }
    Ok(Some(place))
}

/// The names on a path, `..` among them.
fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

fn check_metadata(folder: &Path) -> Result<(), AccessError> {
    let found = fs::symlink_metadata(folder)
        .map_err(|error| AccessError::Unusable(folder.to_owned(), error))?;
    check_folder(folder, &found)
}

fn check_folder(folder: &Path, found: &fs::Metadata) -> Result<(), AccessError> {
    let mode = found.mode();
    if !found.is_dir() {
        return Err(AccessError::NoFolder(folder.to_owned()));
    }
    if !is_trusted(found.uid()) {
        return Err(AccessError::Foreign(folder.to_owned()));
    }
    if mode & STICKY != 0 && found.uid() == 0 {
        return Ok(());
    }
    if mode & OTHERS_WRITE != 0 {
        return Err(AccessError::Open(folder.to_owned()));
    }
    if mode & GROUP_WRITES != 0 && !accounts::is_private(found.gid(), user()) {
        return Err(AccessError::OpenToGroup(folder.to_owned()));
    }
    Ok(())
}

/// Root and this user.
fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == user()
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    fn folder_with(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("folder");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        (parent, folder)
    }

    fn is_open(result: Result<PathBuf, AccessError>, folder: &Path) -> bool {
        matches!(result, Err(AccessError::Open(open)) if open == folder.canonicalize().unwrap())
    }

    #[test]
    fn a_folder_that_is_made_is_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        own(&folder).unwrap();
        for made in [&folder, &parent.path().join("a")] {
            assert_eq!(fs::metadata(made).unwrap().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_folder_that_others_may_read_is_used() {
        let (_parent, folder) = folder_with(0o755);
        assert_eq!(own(&folder).unwrap(), folder.canonicalize().unwrap());
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        for mode in [0o777, 0o702, 0o1777] {
            let (_parent, folder) = folder_with(mode);
            assert!(is_open(own(&folder), &folder), "{mode:o}");
            assert!(is_open(own(&folder.join("below")), &folder) || mode == 0o1777, "{mode:o}");
        }
    }

    #[test]
    fn nothing_is_made_below_a_folder_that_is_not_safe() {
        let (_parent, folder) = folder_with(0o777);
        assert!(is_open(own(&folder.join("a/b")), &folder));
        assert!(!folder.join("a").exists());
    }

    #[test]
    fn a_link_leads_through_the_folder_in_which_it_stands() {
        let (parent, open) = folder_with(0o777);
        let safe = parent.path().join("safe");
        fs::create_dir(&safe).unwrap();
        symlink(&safe, open.join("link")).unwrap();
        symlink("safe", parent.path().join("good")).unwrap();
        assert!(is_open(own(&open.join("link/cache")), &open));
        let good = own(&parent.path().join("good/../good/cache")).unwrap();
        assert_eq!(good, safe.canonicalize().unwrap().join("cache"));
        symlink("round", parent.path().join("round")).unwrap();
        assert!(matches!(own(&parent.path().join("round")), Err(AccessError::Unusable(..))));
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        if user() != 0 {
            return;
        }
        let (parent, theirs) = folder_with(0o755);
        chown(&theirs, Some(12345), None).unwrap();
        assert!(matches!(own(&theirs), Err(AccessError::Foreign(_))));
        assert!(matches!(own(&theirs.join("x")), Err(AccessError::Foreign(_))));
        assert!(matches!(check_shared(&theirs), Err(AccessError::Foreign(_))));
        let link = parent.path().join("link");
        symlink(parent.path(), &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(12345), None).unwrap();
        assert!(matches!(own(&link.join("x")), Err(AccessError::Foreign(_))));
    }

    #[test]
    fn a_group_may_write_if_nobody_else_is_in_it() {
        if user() != 0 {
            return;
        }
        let (_parent, folder) = folder_with(0o770);
        own(&folder).unwrap();
        chown(&folder, None, Some(12345)).unwrap();
        assert!(matches!(own(&folder), Err(AccessError::OpenToGroup(_))));
        assert!(matches!(check_shared(&folder), Err(AccessError::OpenToGroup(_))));
    }

    #[test]
    fn a_sticky_folder_of_root_may_be_shared() {
        assert!(check_shared(Path::new("/tmp")).is_ok());
        assert!(check_shared(Path::new("/nonexistent")).is_ok());
        let (_parent, folder) = folder_with(0o777);
        assert!(matches!(check_shared(&folder), Err(AccessError::Open(_))));
    }
}
