//! `dormouse plugin wit`.

use std::fs;

use super::*;

#[test]
fn the_files_are_written_and_found_again() {
    let folder = Folder::new();
    insta::assert_snapshot!(plugin(&folder, &["wit"]), @"
exit status: 0
----- stdout -----
wrote wit/children.wit
wrote wit/decisions.wit
wrote wit/host.wit
wrote wit/types.wit
wrote wit/wake-on-lan.wit
wrote wit/worlds.wit
----- stderr -----
");
    let again = plugin(&folder, &["wit"]);
    assert!(again.contains("wit has them all, unchanged"), "{again}");
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_dir(folder.path().join("wit")).expect("the files should be a package");
}

#[test]
fn a_file_that_differs_is_kept_unless_that_is_forced() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    folder.write("a/b/types.wit", "mine");
    insta::assert_snapshot!(plugin(&folder, &["wit", "a/b"]), @"
exit status: 1
----- stdout -----
----- stderr -----
error: these files are there and differ: a/b/types.wit
  = help: name another folder, or overwrite them with `--force`
");
    assert_eq!(fs::read(folder.path().join("a/b/types.wit")).unwrap(), b"mine");
    assert!(!folder.path().join("a/b/host.wit").exists(), "all or none");
    assert_eq!(status(&folder, &["wit", "a/b", "--force"]), Some(0));
    assert_ne!(fs::read(folder.path().join("a/b/types.wit")).unwrap(), b"mine");
}

#[test]
fn a_folder_that_can_not_be_made_is_told() {
    let folder = Folder::new();
    folder.write("wit", "a file");
    insta::assert_snapshot!(plugin(&folder, &["wit"]), @"
exit status: 1
----- stdout -----
----- stderr -----
error: `wit/children.wit` can't be written: Not a directory (os error 20)
  = help: name a folder that you may write to
");
}
