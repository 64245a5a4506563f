//! What hooks record: one append-only file for each service, a line for each begin and end.
//!
//! Hooks write it themselves, so that it is complete across kills and restarts of Dormouse. A hook
//! that begins looks whether an earlier one of its service still lives, and records that, too.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread::sleep;
use std::time::Duration;

use super::clock::{self, Tick};
use super::procfs::{Process, stat};

/// How long an earlier hook may still be seen without being an overlap: it may have been killed,
/// and be on its way out. If it records its end in this time, it was alive.
const GRACE: Duration = Duration::from_millis(50);

/// The kind of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The hook has begun. Ordered by `parent`; its first process was born at `born`.
    Begin { parent: u32, born: Tick },
    /// The hook has ended by itself, with this status.
    End { status: i32 },
    /// Another hook of the service still lives.
    Overlap { other: Process },
    /// What the hook does: evidence for people.
    Note { text: String },
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub at: Tick,
    pub hook: String,
    pub process: Process,
    pub what: What,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Process { pid, born } = self.process;
        write!(f, "{} {} {pid} {born} ", self.at, self.hook)?;
        match &self.what {
            What::Begin { parent, born } => write!(f, "begin {parent} {born}"),
            What::End { status } => write!(f, "end {status}"),
            What::Overlap { other } => write!(f, "overlap {} {}", other.pid, other.born),
            What::Note { text } => write!(f, "note {text}"),
        }
    }
}

impl FromStr for Entry {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        fn number<T: FromStr>(text: Option<&str>) -> Result<T, ()> {
            text.ok_or(())?.parse().map_err(|_| ())
        }
        let mut words = line.splitn(6, ' ');
        let at = number(words.next())?;
        let hook = words.next().ok_or(())?.to_owned();
        let process = Process { pid: number(words.next())?, born: number(words.next())? };
        let kind = words.next();
        let rest = words.next().unwrap_or_default();
        let mut numbers = rest.split(' ');
        let what = match kind {
            Some("begin") => {
                What::Begin { parent: number(numbers.next())?, born: number(numbers.next())? }
            }
            Some("end") => What::End { status: number(numbers.next())? },
            Some("overlap") => What::Overlap {
                other: Process { pid: number(numbers.next())?, born: number(numbers.next())? },
            },
            Some("note") => What::Note { text: rest.to_owned() },
            _ => return Err(()),
        };
        Ok(Entry { at, hook, process, what })
    }
}

/// The file of a service.
pub fn path(folder: &Path, service: &str) -> PathBuf {
    folder.join(format!("{service}.hooks"))
}

/// The end of a hook that writes.
pub struct Writer {
    path: PathBuf,
    hook: String,
    process: Process,
}

impl Writer {
    /// Records that this process, a hook, has begun, and whether others of its service still live.
    /// Returns how many hooks have begun before, too.
    pub fn begin(path: PathBuf, hook: &str) -> Result<(Self, u64), String> {
        let pid = std::process::id();
        let own = stat(pid).ok_or("can't read /proc")?;
        // The leader of the group is the process that Dormouse started, if a shell stands between.
        let leader = stat(own.group).map_or(own.born, |leader| leader.born.min(own.born));
        let process = Process { pid, born: own.born };
        let writer = Writer { path, hook: hook.to_owned(), process };
        writer.record(What::Begin { parent: own.parent, born: leader })?;
        let earlier = writer.earlier()?;
        let begun = earlier.iter().filter(|entry| matches!(entry.what, What::Begin { .. })).count();
        let suspects = open(&earlier).filter(|other| other.lives()).collect::<Vec<_>>();
        if !suspects.is_empty() {
            sleep(GRACE);
            let now = read(&writer.path)?;
            for other in suspects {
                let ended = now
                    .iter()
                    .any(|entry| entry.process == other && matches!(entry.what, What::End { .. }));
                if ended || other.lives() {
                    writer.record(What::Overlap { other })?;
                }
            }
        }
        Ok((writer, begun as u64))
    }

    pub fn note(&self, text: &str) -> Result<(), String> {
        self.record(What::Note { text: text.to_owned() })
    }

    pub fn end(self, status: i32) -> Result<(), String> {
        self.record(What::End { status })
    }

    fn record(&self, what: What) -> Result<(), String> {
        let entry =
            Entry { at: clock::now(), hook: self.hook.clone(), process: self.process, what };
        let line = format!("{entry}\n");
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(|error| format!("can't open {}: {error}", self.path.display()))?;
        // One write: lines of hooks that run at the same time are not mixed.
        file.write_all(line.as_bytes())
            .map_err(|error| format!("can't write {}: {error}", self.path.display()))
    }

    /// All lines before the begin of this hook. Of two that begin at the same time, the file's
    /// order says which was earlier, so that only one of them reports the overlap.
    fn earlier(&self) -> Result<Vec<Entry>, String> {
        let mut entries = read(&self.path)?;
        let own = entries.iter().position(|entry| entry.process == self.process);
        entries.truncate(own.unwrap_or(entries.len()));
        Ok(entries)
    }
}

fn read(path: &Path) -> Result<Vec<Entry>, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("can't read {}: {error}", path.display()))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

/// The hooks that have begun and have not recorded an end.
fn open(entries: &[Entry]) -> impl Iterator<Item = Process> {
    let ended = |process| {
        entries
            .iter()
            .any(|entry| entry.process == process && matches!(entry.what, What::End { .. }))
    };
    // An old hook can't live: looking at the last ones is enough, and keeps this fast.
    let last = &entries[entries.len().saturating_sub(200)..];
    last.iter()
        .filter(|entry| matches!(entry.what, What::Begin { .. }))
        .map(|entry| entry.process)
        .filter(move |process| !ended(*process))
}

/// Reads a ledger as it grows.
pub struct Tail {
    path: PathBuf,
    offset: u64,
    rest: String,
}

impl Tail {
    pub fn new(path: PathBuf) -> Self {
        Tail { path, offset: 0, rest: String::new() }
    }

    /// The lines that are new since the last call.
    pub fn new_entries(&mut self) -> Vec<Entry> {
        let mut text = String::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offset))?;
            file.read_to_string(&mut text)
        });
        // It isn't there before the first hook has begun.
        self.offset += read.unwrap_or(0) as u64;
        self.rest.push_str(&text);
        let Some(end) = self.rest.rfind('\n') else { return Vec::new() };
        let lines = self.rest.drain(..=end).collect::<String>();
        lines.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::chaos::world::Folder;

    fn entry(process: Process, what: What) -> Entry {
        Entry { at: 5, hook: "stop".to_owned(), process, what }
    }

    #[test]
    fn each_line_is_read_as_it_was_written() {
        let process = Process { pid: 7, born: 8 };
        for what in [
            What::Begin { parent: 1, born: 8 },
            What::End { status: 1 },
            What::Overlap { other: process },
            What::Note { text: "lies: the target lives on".to_owned() },
        ] {
            let written = entry(process, what);
            assert_eq!(written.to_string().parse(), Ok(written));
        }
        assert_eq!("5 stop 7 8 begin 1".parse::<Entry>(), Err(()));
    }

    /// What a hook records that begins while `earlier` is in the ledger.
    fn recorded(earlier: &[Entry]) -> Vec<What> {
        let folder = Folder::new().unwrap();
        let path = folder.path().join("ledger");
        let text: String = earlier.iter().map(|entry| format!("{entry}\n")).collect();
        fs::write(&path, text).unwrap();
        let mut tail = Tail::new(path.clone());
        assert_eq!(tail.new_entries(), earlier);
        Writer::begin(path, "start").unwrap();
        let new = tail.new_entries();
        new.into_iter()
            .map(|entry| entry.what)
            .filter(|what| matches!(what, What::Overlap { .. }))
            .collect()
    }

    #[test]
    fn a_hook_that_lives_is_an_overlap_and_one_that_ended_or_was_killed_is_none() {
        let mut child = Command::new("sleep").arg("10").spawn().unwrap();
        let other = Process::of(child.id()).unwrap();
        let begin = entry(other, What::Begin { parent: 1, born: 1 });
        let end = entry(other, What::End { status: 0 });
        assert_eq!(recorded(std::slice::from_ref(&begin)), [What::Overlap { other }]);
        assert_eq!(recorded(&[begin.clone(), end]), []);
        child.kill().unwrap();
        assert_eq!(recorded(&[begin]), []);
        child.wait().unwrap();
    }
}
