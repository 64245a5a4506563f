//! Notices that a file has changed, by looking at it again and again.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// How often files are looked at.
const PERIOD: Duration = Duration::from_millis(150);

/// Files, and what they looked like.
pub(super) struct Watch {
    files: Vec<PathBuf>,
    seen: Vec<Option<Looks>>,
}

/// What tells one version of a file from another: inode, size, time of the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Looks(u64, u64, i64, i64);

impl Watch {
    /// Watches `files` from here on. They needn't be there yet.
    pub(super) fn new(files: Vec<PathBuf>) -> Watch {
        let mut watch = Watch { files, seen: Vec::new() };
        watch.seen = watch.look();
        watch
    }

    /// Ends when a file has changed, and has stopped changing.
    pub(super) async fn changed(&mut self) {
        let mut is_changed = false;
        loop {
            tokio::time::sleep(PERIOD).await;
            let looks = self.look();
            let is_steady = looks == self.seen;
            self.seen = looks;
            // A file that is away for a moment is on its way.
            if is_changed && is_steady && self.seen.iter().all(Option::is_some) {
                return;
            }
            is_changed |= !is_steady;
        }
    }

    fn look(&self) -> Vec<Option<Looks>> {
        let looks = |file: &PathBuf| {
            let found = fs::metadata(file).ok()?;
            Some(Looks(found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
        };
        self.files.iter().map(looks).collect()
    }
}
