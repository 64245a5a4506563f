//! Fuzz target of the file with a target's address: what was written is read.

use std::fs;
use std::sync::Mutex;

use super::{HEADER, Record, Unusable};
use crate::config::Target;

/// The input is the whole file.
#[test]
fn address_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let configured = Target { host: "web.example".to_owned(), port: 80 };
    let file = folder.path().join("web.address");
    let (named, disk) = (Mutex::default(), Mutex::default());
    let record = Record { service: "web".to_owned(), file, configured, named, disk };
    bolero::check!(name = "address_files").with_iterations(200).for_each(|input: &[u8]| {
        fs::write(&record.file, input).expect("a file");
        match record.read() {
            Ok(Some(address)) => {
                let written = format!("{HEADER}\n{}\n{address}\n", record.configured);
                fs::write(&record.file, written).expect("a file");
                assert_eq!(record.read().expect("what was written"), Some(address));
            }
            Ok(None) => panic!("the file is there"),
            Err(Unusable::Damaged) => {}
            Err(Unusable::OtherTarget(target)) => {
                let target = Target::parse(&target).expect("a target");
                assert_ne!(target, record.configured);
            }
            Err(error) => panic!("{error}"),
        }
    });
}
