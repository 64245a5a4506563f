//! The disk of Dormouse's `state_dir`: a small file system in memory that can be filled. Mounting one
//! takes root; without it the disk is never full.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::files;

/// A small file system. It is unmounted when it is dropped.
pub struct Disk {
    folder: PathBuf,
    is_mounted: bool,
}

impl Disk {
    /// Mounts one in `folder`, if this is permitted.
    pub fn mount(folder: &Path) -> Result<Disk, String> {
        files::create_folder(folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs"]).arg(folder);
        let mounted = mount.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let is_mounted = mounted.is_ok_and(|status| status.success());
        Ok(Disk { folder: folder.to_owned(), is_mounted })
    }

    pub fn can_be_full(&self) -> bool {
        self.is_mounted
    }

    /// Takes all room that is left.
    pub fn fill(&self) {
        let Ok(mut filler) = File::create(self.filler()) else { return };
        // The last write fails: the disk is full then.
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    /// Gives the room back.
    pub fn empty(&self) {
        if let Err(error) = files::remove(&self.filler()) {
            eprintln!("error: {error}");
        }
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            // What still holds it goes with the processes of the run.
            let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
        }
    }
}
