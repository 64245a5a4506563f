//! `dormouse plugin wit [DIR]`: the interface as files, for toolchains to generate bindings from.

use std::fs;
use std::io;
use std::path::Path;

use crate::cli::{Complaint, Failure};
use crate::text::printable;

/// Their folder, which is named after package and version.
pub(super) const FOLDER: &str = "dormouse-plugin-0.1.0";

/// The files of the version that this Dormouse speaks: names and contents.
pub(super) const FILES: [(&str, &str); 6] = [
    ("children.wit", include_str!("../../../wit/dormouse-plugin-0.1.0/children.wit")),
    ("decisions.wit", include_str!("../../../wit/dormouse-plugin-0.1.0/decisions.wit")),
    ("host.wit", include_str!("../../../wit/dormouse-plugin-0.1.0/host.wit")),
    ("types.wit", include_str!("../../../wit/dormouse-plugin-0.1.0/types.wit")),
    ("wake-on-lan.wit", include_str!("../../../wit/dormouse-plugin-0.1.0/wake-on-lan.wit")),
    ("worlds.wit", include_str!("../../../wit/dormouse-plugin-0.1.0/worlds.wit")),
];

/// Writes the files to `folder`, and says which. A file that is there with other contents stays,
/// and is an error, unless `force`.
pub(super) fn execute(folder: &Path, force: bool) -> Result<(), Failure> {
    let mut differing = Vec::new();
    let mut wanted = Vec::new();
    for (name, text) in FILES {
        let file = folder.join(name);
        match fs::read(&file) {
            Ok(found) if found == text.as_bytes() => {}
            Ok(_) if !force => differing.push(shown(&file)),
            Ok(_) => wanted.push((file, text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => wanted.push((file, text)),
            Err(error) => return Err(cannot_write(&file, &error)),
        }
    }
    if !differing.is_empty() {
        let what = format!("these files are there and differ: {}", differing.join(", "));
        return Err(Complaint::new(what)
            .remedy("name another folder, or overwrite them with `--force`")
            .into());
    }
    fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
    let mut told = String::new();
    for (file, text) in &wanted {
        fs::write(file, text).map_err(|error| cannot_write(file, &error))?;
        told.push_str(&format!("wrote {}\n", shown(file)));
    }
    if wanted.is_empty() {
        told = format!("{} has them all, unchanged\n", shown(folder));
    }
    super::print(&told)
}

fn cannot_write(place: &Path, error: &io::Error) -> Failure {
    Complaint::new(format!("`{}` can't be written: {error}", shown(place)))
        .remedy("name a folder that you may write to")
        .into()
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    #[test]
    fn every_file_of_the_interface_is_written() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("wit").join(FOLDER);
        let mut there: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        assert_eq!(there, FILES.map(|(name, _)| name));
    }
}
