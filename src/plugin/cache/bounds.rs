//! The bounds of the cache: entries that were used least recently go first.

use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, statat, unlinkat};
use rustix::io::Errno;

use super::UNFINISHED;

/// How many bytes all entries may have together.
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// How many entries there may be.
const MAX_ENTRIES: usize = 128;

/// The seconds after which an unfinished file was left by a process that crashed.
const MAX_UNFINISHED_AGE: i64 = 3600;

/// The length of an entry's name: a sum in hexadecimal digits.
const NAME_LENGTH: usize = 64;

/// A file of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    bytes: u64,
    /// When it was used last, in seconds and nanoseconds.
    used: (i64, i64),
}

/// Brings `folder` within the bounds. The entry `newest` stays.
pub(super) fn keep(folder: &OwnedFd, newest: &str) -> Result<(), Errno> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    for name in superfluous(entries(folder)?, newest, now) {
        match unlinkat(folder, name.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The files that the cache has written.
fn entries(folder: &OwnedFd) -> Result<Vec<Entry>, Errno> {
    let mut entries = Vec::new();
    for file in Dir::read_from(folder)? {
        let file = file?;
        let Ok(name) = file.file_name().to_str() else { continue };
        let is_entry = name.len() == NAME_LENGTH && name.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_entry && !name.starts_with(UNFINISHED) {
            continue;
        }
        // Another process may have removed it.
        if let Ok(found) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            let used = (found.st_mtime, i64::try_from(found.st_mtime_nsec).unwrap_or(0));
            let bytes = u64::try_from(found.st_size).unwrap_or(0);
            entries.push(Entry { name: name.to_owned(), bytes, used });
        }
    }
    Ok(entries)
}

/// The names of what has to go.
fn superfluous(mut entries: Vec<Entry>, newest: &str, now: i64) -> Vec<String> {
    let mut gone = Vec::new();
    entries.retain(|entry| {
        let is_unfinished = entry.name.starts_with(UNFINISHED);
        if is_unfinished && now - entry.used.0 > MAX_UNFINISHED_AGE {
            gone.push(entry.name.clone());
        }
        !is_unfinished
    });
    entries.sort_by_key(|entry| (entry.name != newest, std::cmp::Reverse(entry.used)));
    let mut bytes = 0;
    for (number, entry) in entries.into_iter().enumerate() {
        bytes += entry.bytes;
        if number > 0 && (number >= MAX_ENTRIES || bytes > MAX_BYTES) {
            gone.push(entry.name);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, bytes: u64, used: i64) -> Entry {
        Entry { name: name.to_owned(), bytes, used: (used, 0) }
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let third = MAX_BYTES / 3;
        let entries = vec![
            entry("a", third, 5),
            entry("b", third, 1),
            entry("c", third, 9),
            entry("d", third, 7),
        ];
        assert_eq!(superfluous(entries.clone(), "c", 10), ["b"]);
        assert_eq!(superfluous(entries, "b", 10), ["a"], "the newest stays");
        assert_eq!(superfluous(vec![entry("a", 2 * MAX_BYTES, 1)], "a", 1), [""; 0]);
    }

    #[test]
    fn there_are_no_more_entries_than_the_bound() {
        let entries = (0..200).map(|number| entry(&number.to_string(), 1, number)).collect();
        let gone = superfluous(entries, "199", 200);
        assert_eq!(gone.len(), 200 - MAX_ENTRIES);
        assert!(gone.contains(&"0".to_owned()) && !gone.contains(&"150".to_owned()));
    }

    #[test]
    fn unfinished_files_go_when_they_are_old() {
        let entries = vec![entry("new-1-0", 5, 0), entry("new-2-0", 5, 4000)];
        assert_eq!(superfluous(entries, "a", 4000), ["new-1-0"]);
    }
}
