//! Opens a granted path without following a symbolic link that a plugin could have made.
//!
//! The path of a grant belongs to the operator, who may use links in it (`/var/run/docker.sock`). But a
//! plugin that may write a folder may put a link into it, in the place of another granted folder or
//! socket, and would be given what the link leads to. So links are followed up to the first folder that
//! a plugin may write, and not below it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::text;

/// How many links a path may lead through, as in the kernel.
const MAX_LINKS: usize = 40;

/// The path leads through a link that a plugin could have made.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{}` is a symbolic link in a folder that a plugin may write, and is not followed",
    text::line(&link.display().to_string(), 500)
)]
struct LinkError {
    link: PathBuf,
}

/// Opens what `path` leads to. `writable` are the folders that plugins may write.
///
/// This looks at the file system, which may hang: not for a thread that others wait for.
///
/// # Errors
///
/// Those of open(2), and a [`LinkError`].
pub(in crate::plugin) fn open(
    path: &Path,
    writable: &[PathBuf],
    flags: OFlags,
) -> io::Result<OwnedFd> {
    let resolved = resolve(path, writable)?;
    let flags = flags | OFlags::CLOEXEC;
    let strict = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // What was looked at may have been replaced since: the kernel has the last word.
    match openat2(CWD, &resolved, flags, Mode::empty(), strict) {
        // A kernel before 5.6, or a container that does not permit the call.
        Err(Errno::NOSYS | Errno::PERM) => {
            Ok(openat(CWD, &resolved, flags | OFlags::NOFOLLOW, Mode::empty())?)
        }
        opened => Ok(opened?),
    }
}

/// `path` without links.
fn resolve(path: &Path, writable: &[PathBuf]) -> io::Result<PathBuf> {
    let writable: Vec<PathBuf> =
        writable.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
    let path = std::path::absolute(path)?;
    let mut resolved = PathBuf::from("/");
    let mut rest: VecDeque<OsString> = names(&path).collect();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&name);
        if !next.symlink_metadata()?.is_symlink() {
            resolved = next;
            continue;
        }
        if writable.iter().any(|folder| resolved.starts_with(folder)) {
            return Err(io::Error::other(LinkError { link: next }));
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = next.read_link()?;
        if target.is_absolute() {
            resolved = PathBuf::from("/");
        }
        for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
            rest.push_front(name);
        }
    }
    Ok(resolved)
}

/// The names that `path` is made of, `..` among them.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// `data`, which is writable, with `data/certs` in it; `secret` beside it; `link`, a link of the
    /// operator's to `data`.
    fn place() -> (tempfile::TempDir, PathBuf, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("data/certs")).unwrap();
        fs::create_dir(root.join("secret")).unwrap();
        symlink("data", root.join("link")).unwrap();
        let writable = vec![root.join("data")];
        (folder, root, writable)
    }

    fn opens(path: &Path, writable: &[PathBuf]) -> io::Result<OwnedFd> {
        open(path, writable, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    #[test]
    fn links_of_the_operator_are_followed() {
        let (_folder, root, writable) = place();
        for path in ["data", "link", "link/certs", "secret/../link/./certs", "secret/../data"] {
            opens(&root.join(path), &writable).expect(path);
        }
    }

    #[test]
    fn links_below_a_writable_folder_are_not_followed() {
        let (_folder, root, writable) = place();
        symlink("../secret", root.join("data/out")).unwrap();
        symlink(root.join("secret"), root.join("data/absolute")).unwrap();
        symlink("data/out", root.join("through")).unwrap();
        symlink(root.join("link/out/."), root.join("around")).unwrap();
        for path in
            ["data/out", "link/out", "data/absolute", "through", "around", "link/../data/out"]
        {
            let error = opens(&root.join(path), &writable).unwrap_err();
            let is_link = error.get_ref().is_some_and(|error| error.is::<LinkError>());
            assert!(is_link, "{path}: {error}");
            opens(&root.join(path), &[]).expect("without such a grant it is the operator's");
        }
    }

    #[test]
    fn a_circle_of_links_is_an_error() {
        let (_folder, root, _) = place();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(opens(&root.join("a"), &[]).unwrap_err().raw_os_error(), Some(40));
    }
}
