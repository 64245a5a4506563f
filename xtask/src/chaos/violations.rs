//! Broken invariants: each is counted, printed, and kept with the end of the logs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::ledger;
use crate::files;

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Two hooks of one service ran at the same time.
    Overlap,
    /// A stop hook began while a connection was in use.
    StopUnderClient,
    /// A client received a byte that its target never sent.
    WrongByte,
    /// A connection ended, and neither the chaos nor an end of Dormouse was the cause.
    Cut,
    /// A target still ran when all had settled.
    LeftRunning,
    /// A client was not served when all had settled.
    NeverServed,
    /// Dormouse ended, and nobody had asked it to.
    Died,
    /// Dormouse did not end after SIGTERM.
    SlowExit,
    /// Dormouse used more descriptors or memory than when it had settled before.
    Grew,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::Overlap,
        Kind::StopUnderClient,
        Kind::WrongByte,
        Kind::Cut,
        Kind::LeftRunning,
        Kind::NeverServed,
        Kind::Died,
        Kind::SlowExit,
        Kind::Grew,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Overlap => "overlaps",
            Kind::StopUnderClient => "stops under a client",
            Kind::WrongByte => "wrong bytes",
            Kind::Cut => "connections cut without a cause",
            Kind::LeftRunning => "targets left running",
            Kind::NeverServed => "clients never served",
            Kind::Died => "deaths of Dormouse",
            Kind::SlowExit => "SIGTERM without an end",
            Kind::Grew => "growth of Dormouse",
        }
    }
}

/// How many violations of one kind are kept with their logs.
const MAX_EVIDENCE: u64 = 20;

/// How much of the end of a log is kept, in bytes.
const LOG_END: u64 = 32 << 10;

/// All violations of a run.
pub struct Violations {
    folder: PathBuf,
    begin: Instant,
    found: Mutex<BTreeMap<Kind, Vec<String>>>,
}

impl Violations {
    /// For a run that begins now, in the folder of the world.
    pub fn new(folder: &Path) -> Self {
        Violations { folder: folder.to_owned(), begin: Instant::now(), found: Mutex::default() }
    }

    /// Counts a violation; `service` is empty if it is Dormouse's.
    pub fn record(&self, kind: Kind, service: &str, text: &str) {
        let seconds = self.begin.elapsed().as_secs_f64();
        let line = format!("{seconds:8.2} s  {}: {service:<8} {text}", kind.name());
        eprintln!("VIOLATION {line}");
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = found.entry(kind).or_default();
        of_kind.push(line.clone());
        let number = of_kind.len() as u64;
        drop(found);
        if number <= MAX_EVIDENCE
            && let Err(error) = self.keep_evidence(&format!("{kind:?}-{number:02}"), service, &line)
        {
            eprintln!("the logs of this violation are lost: {error}");
        }
    }

    fn keep_evidence(&self, name: &str, service: &str, line: &str) -> Result<(), String> {
        let folder = self.folder.join("violations").join(name);
        files::create_folder(&folder)?;
        files::write(&folder.join("what.txt"), format!("{line}\n").as_bytes())?;
        files::write(&folder.join("dormouse.log"), &end_of(&self.folder.join("dormouse.log")))?;
        let hooks = ledger::path(&self.folder, service);
        files::write(&folder.join("hooks.log"), &end_of(&hooks))
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.values().map(Vec::len).sum()
    }

    /// The counts of all kinds, and the first violations of each.
    pub fn report(&self) -> String {
        const LISTED: usize = 5;
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for kind in Kind::ALL {
            let lines = found.get(&kind).map_or(&[][..], Vec::as_slice);
            let _ = writeln!(text, "  {:<44} {:>12}", kind.name(), lines.len());
            for line in lines.iter().take(LISTED) {
                let _ = writeln!(text, "    {line}");
            }
            if lines.len() > LISTED {
                let _ = writeln!(text, "    and {} more", lines.len() - LISTED);
            }
        }
        text
    }
}

/// The end of a file; empty if there is none.
fn end_of(path: &Path) -> Vec<u8> {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_END)))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        std::io::Result::Ok(text)
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::world::Folder;

    #[test]
    fn a_violation_is_counted_and_kept_with_the_logs() {
        let folder = Folder::new().unwrap();
        files::write(&folder.path().join("dormouse.log"), b"the log").unwrap();
        files::write(&ledger::path(folder.path(), "slow"), b"the hooks").unwrap();
        let violations = Violations::new(folder.path());
        violations.record(Kind::Overlap, "slow", "two");
        assert_eq!(violations.total(), 1);
        assert!(violations.report().contains("two"));
        let kept = folder.path().join("violations/Overlap-01");
        assert_eq!(files::read(&kept.join("dormouse.log")).unwrap(), b"the log");
        assert_eq!(files::read(&kept.join("hooks.log")).unwrap(), b"the hooks");
    }
}
