//! What is written down about children, so that the next Dormouse finds them should this one crash.
//!
//! A file for each plugin and service that has children, beside what the plugin keeps. It is written
//! before a child is started and again when its number is known, so a child never runs without being
//! named here. Until its number is known it has a mark in its environment, by which it is found.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::files;
use crate::plugin::process::{Identity, boot};

/// The form of the file.
const VERSION: u64 = 1;

/// Who wrote it, and the children that ran then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The Dormouse that wrote it.
    pub(super) owner: Identity,
    /// Since which start of the machine all these numbers are true.
    boot: String,
    /// The children by their names.
    pub(super) children: Vec<(String, Trace)>,
}

/// How a child is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    /// It runs as this process.
    Process(Identity),
    /// It is about to be started, with this mark in its environment.
    Mark(String),
}

impl Record {
    /// A record of this Dormouse.
    pub(super) fn new(children: Vec<(String, Trace)>) -> io::Result<Record> {
        Ok(Record { owner: Identity::own()?, boot: boot()?, children })
    }

    /// What stands in `file`; `None` if there is none, or if it is of an earlier start of the
    /// machine, which has ended them all.
    pub(super) fn read(file: &Path) -> io::Result<Option<Record>> {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let value = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
        let record = decode(&value).ok_or_else(|| io::Error::other("it has another form"))?;
        Ok(Some(record).filter(|record| boot().is_ok_and(|boot| record.boot == boot)))
    }

    /// Puts it into `file`, or takes the file away if no child is left.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        if !self.children.is_empty() {
            return files::replace(file, self.encode().to_string().as_bytes());
        }
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn encode(&self) -> Value {
        let identity = |of: &Identity| json!({ "pid": of.pid, "started": of.started });
        let children = self.children.iter().map(|(name, trace)| match trace {
            Trace::Process(process) => json!({ "name": name, "process": identity(process) }),
            Trace::Mark(mark) => json!({ "name": name, "mark": mark }),
        });
        json!({
            "version": VERSION,
            "boot": self.boot,
            "owner": identity(&self.owner),
            "children": children.collect::<Vec<_>>(),
        })
    }
}

fn decode(value: &Value) -> Option<Record> {
    if value["version"] != VERSION {
        return None;
    }
    let identity = |of: &Value| {
        let pid = u32::try_from(of["pid"].as_u64()?).ok()?;
        Some(Identity { pid, started: of["started"].as_u64()? })
    };
    let child = |child: &Value| {
        let trace = match child["mark"].as_str() {
            Some(mark) => Trace::Mark(mark.to_owned()),
            None => Trace::Process(identity(&child["process"])?),
        };
        Some((child["name"].as_str()?.to_owned(), trace))
    };
    let children: Option<Vec<_>> = value["children"].as_array()?.iter().map(child).collect();
    Some(Record {
        owner: identity(&value["owner"])?,
        boot: value["boot"].as_str()?.to_owned(),
        children: children?,
    })
}

/// Puts a file that can't be understood aside, and says where.
pub(super) fn put_aside(file: &Path) -> io::Result<PathBuf> {
    let mut aside = file.as_os_str().to_owned();
    aside.push(".damaged");
    fs::rename(file, &aside)?;
    Ok(aside.into())
}

#[cfg(test)]
#[path = "record/fuzz.rs"]
mod fuzz;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.children");
        let known = Identity { pid: 7, started: 9 };
        let children = vec![
            ("a".to_owned(), Trace::Process(known)),
            ("b".to_owned(), Trace::Mark("m".to_owned())),
        ];
        let record = Record::new(children).unwrap();
        record.write(&file).unwrap();
        assert_eq!(Record::read(&file).unwrap(), Some(record));
    }

    #[test]
    fn without_children_there_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.children");
        Record::new(vec![("a".to_owned(), Trace::Mark("m".to_owned()))])
            .unwrap()
            .write(&file)
            .unwrap();
        Record::new(Vec::new()).unwrap().write(&file).unwrap();
        assert!(!file.exists());
        Record::new(Vec::new()).unwrap().write(&file).unwrap();
        assert_eq!(Record::read(&file).unwrap(), None);
    }

    #[test]
    fn a_record_of_an_earlier_start_of_the_machine_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.children");
        let mut record = Record::new(vec![("a".to_owned(), Trace::Mark("m".to_owned()))]).unwrap();
        record.boot = "another".to_owned();
        record.write(&file).unwrap();
        assert_eq!(Record::read(&file).unwrap(), None);
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.children");
        for text in ["", "{}", "[]", "{\"version\":1,\"children\":[{}]}", "{\"version\":2}"] {
            fs::write(&file, text).unwrap();
            assert!(Record::read(&file).is_err(), "{text}");
        }
    }
}
