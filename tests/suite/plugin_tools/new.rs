//! `dormouse plugin new`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

const LANGUAGES: [&str; 5] = ["rust", "c", "go", "python", "javascript"];

#[test]
fn a_new_plugin_that_has_the_name_of_the_example_is_the_example() {
    for language in LANGUAGES {
        let folder = Folder::new();
        let told = plugin(&folder, &["new", "porter", "--lang", language]);
        assert!(told.starts_with("exit status: 0\n"), "{told}");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plugins").join(language);
        let mut files = 0;
        let mut folders = vec![folder.path().join("porter")];
        while let Some(within) = folders.pop() {
            for entry in fs::read_dir(within).unwrap() {
                let file = entry.unwrap().path();
                if file.is_dir() {
                    folders.push(file);
                    continue;
                }
                files += 1;
                let path = file.strip_prefix(folder.path().join("porter")).unwrap();
                // Its source has another name in Python, whatever it is called.
                let path = path.to_str().unwrap().replace("porter_plugin", "porter");
                let text = fs::read_to_string(example.join(&path));
                let (Ok(text), Ok(found)) = (text, fs::read_to_string(&file)) else {
                    assert_eq!(fs::read(example.join(&path)).unwrap(), fs::read(&file).unwrap());
                    continue;
                };
                assert_eq!(found.replace("porter_plugin", "porter"), text, "{language}: {path}");
            }
        }
        assert!(files >= 8, "{language}: only {files} files");
    }
}

#[test]
fn the_next_steps_are_told() {
    let folder = Folder::new();
    let told = plugin(&folder, &["new", "door-keeper", "--lang", "c"]);
    insta::assert_snapshot!(told, @"
exit status: 0
----- stdout -----
door-keeper has a plugin in C: a gate that opens at the second knock.

README.md has the commands that get the tools and build it; then

  cd door-keeper
  dormouse plugin try build/door-keeper.wasm --script test.toml

passes. Begin with door-keeper.c.
----- stderr -----
");
    assert!(folder.path().join("door-keeper/door-keeper.c").exists());
}

#[test]
fn nothing_is_left_of_the_name_of_the_example() {
    for language in LANGUAGES {
        let folder = Folder::new();
        let told = plugin(&folder, &["new", "door-keeper", "--lang", language]);
        assert!(told.starts_with("exit status: 0\n"), "{told}");
        let mut texts = 0;
        let mut folders = vec![folder.path().join("door-keeper")];
        while let Some(within) = folders.pop() {
            for entry in fs::read_dir(within).unwrap() {
                let file = entry.unwrap().path();
                assert!(!file.to_str().unwrap().contains("porter"), "{}", file.display());
                if file.is_dir() {
                    folders.push(file);
                } else if let Ok(text) = fs::read_to_string(&file) {
                    texts += 1;
                    let text = text.to_lowercase();
                    assert!(!text.contains("porter"), "{language}: {}", file.display());
                }
            }
        }
        assert!(texts >= 8, "{language}: only {texts}");
    }
}

#[test]
fn the_interface_of_a_new_plugin_is_whole() {
    let folder = Folder::new();
    plugin(&folder, &["new", "door-keeper", "--lang", "rust"]);
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(folder.path().join("door-keeper/wit")).unwrap();
    resolve.select_world(&[package], Some("plugin")).unwrap();
}

#[test]
fn a_folder_that_is_there_is_not_touched() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("keeper")).unwrap();
    insta::assert_snapshot!(plugin(&folder, &["new", "keeper", "--lang", "rust"]), @"
exit status: 1
----- stdout -----
----- stderr -----
error: `keeper` is there already
  = help: take another name, or another folder with `--dir`
");
    assert_eq!(fs::read_dir(folder.path().join("keeper")).unwrap().count(), 0);
    let told = plugin(&folder, &["new", "keeper", "--lang", "rust", "--dir", "other"]);
    assert!(told.starts_with("exit status: 0\n"), "{told}");
}

#[test]
fn names_and_languages_that_there_can_not_be_are_told() {
    let folder = Folder::new();
    let told = ["../Keeper", "serde"].map(|name| plugin(&folder, &["new", name, "--lang", "rust"]));
    let cobol = plugin(&folder, &["new", "keeper", "--lang", "cobol"]);
    insta::assert_snapshot!(format!("{}\n{}\n{cobol}", told[0], told[1]), @"
exit status: 1
----- stdout -----
----- stderr -----
error: `../Keeper` can't be the name of a plugin
  = help: a name has small letters a-z, digits, and `-` between words, such as `door-keeper`: at most 40 of them, a letter first

exit status: 1
----- stdout -----
----- stderr -----
error: `serde` can't be its name: a library that it uses has it
  = help: take another name

exit status: 2
----- stdout -----
----- stderr -----
error: invalid value 'cobol' for '--lang <LANG>'
  [possible values: rust, c, go, python, javascript]

  tip: a similar value exists: 'c'

For more information, try '--help'.
");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_package_has_every_template() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let listed: Vec<_> = listed.lines().collect();
    let folder = root.join("src/cli/plugin/new");
    let source = fs::read_to_string(folder.join("templates.rs")).unwrap();
    let mut templates = 0;
    for rest in source.split("include_bytes!(\"").skip(1) {
        let (path, _) = rest.split_once('"').unwrap();
        let path = match path.strip_prefix("../../../../") {
            Some(path) => path.to_owned(),
            None => format!("src/cli/plugin/new/{path}"),
        };
        assert!(listed.contains(&path.as_str()), "`cargo package` leaves out {path}");
        templates += 1;
    }
    assert!(templates >= 30, "only {templates}");
}
