//! `examples/plugins/`: the same plugin in each language, in folders of the same make. What comes of
//! their builds is tested by `tests/conformance/`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LANGUAGES: [&str; 5] = ["c", "go", "javascript", "python", "rust"];

#[test]
fn there_are_these_languages_and_no_others() {
    let mut found: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["README.md", "test.toml", "wit"].contains(&name.as_str()))
        .collect();
    found.sort();
    assert_eq!(found, LANGUAGES);
}

#[test]
fn every_language_has_the_one_interface_and_the_one_script() {
    let interface = repository().join("wit/dormouse-plugin-0.1.0");
    for language in LANGUAGES {
        let folder = root().join(language);
        let shared = |name: &str| folder.join(name).canonicalize().unwrap();
        assert_eq!(shared("wit/deps/dormouse-plugin-0.1.0"), interface, "{language}");
        assert_eq!(shared("wit"), root().join("wit"), "{language}");
        assert_eq!(shared("test.toml"), root().join("test.toml"), "{language}");
    }
}

#[test]
fn every_readme_names_every_file_that_is_written_by_hand() {
    for language in LANGUAGES {
        let readme = readme(language);
        let mut named = 0;
        for file in in_the_repository(language) {
            // Generated: a folder for each interface.
            if file.starts_with("dormouse_plugin_") || file == "README.md" || file == ".gitignore" {
                continue;
            }
            // Both are links to what the languages share.
            let file = if file == "wit" { "wit/world.wit".to_owned() } else { file };
            named += 1;
            assert!(readme.contains(&format!("[`{file}`]({file})")), "{language}: {file}");
        }
        assert!(named >= 3, "{language}: only {named}");
    }
}

#[test]
fn every_readme_has_commands_for_tools_for_the_build_and_for_the_test() {
    for language in LANGUAGES {
        let readme = readme(language);
        let commands = ["Tools", "Build", "Test"].map(|title| {
            let (_, section) = readme.split_once(&format!("\n## {title}\n")).expect(title);
            let section = section.split("\n## ").next().unwrap();
            let (_, block) = section.split_once("```sh\n").expect(title);
            block.split("```").next().unwrap()
        });
        for commands in commands {
            let parsed = Command::new("sh").args(["-n", "-c", commands]).output().unwrap();
            assert!(parsed.status.success(), "{language}: {commands}");
        }
        assert!(commands[1].contains("build/porter.wasm") || language == "javascript");
        assert_eq!(commands[2], "dormouse plugin try build/porter.wasm --script test.toml\n");
    }
}

#[test]
fn lock_files_name_no_registry_but_the_public_one() {
    let npm = fs::read_to_string(root().join("javascript/package-lock.json")).unwrap();
    assert!(npm.contains("\"integrity\"") && !npm.contains("\"resolved\""));
    let cargo = fs::read_to_string(root().join("rust/Cargo.lock")).unwrap();
    let sources: Vec<_> = cargo.lines().filter(|line| line.starts_with("source = ")).collect();
    assert!(sources.len() >= 5, "{sources:?}");
    let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    assert!(sources.iter().all(|source| *source == public), "{sources:?}");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap()
}

fn root() -> PathBuf {
    repository().join("examples/plugins")
}

fn readme(language: &str) -> String {
    fs::read_to_string(root().join(language).join("README.md")).unwrap()
}

/// The files of a language, without what a build writes beside them.
fn in_the_repository(language: &str) -> Vec<String> {
    let folder = root().join(language);
    let ignored = fs::read_to_string(folder.join(".gitignore")).unwrap();
    let is_built = |name: &str| ignored.lines().any(|line| line.trim_matches('/') == name);
    let mut found = Vec::new();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if is_built(entry.file_name().to_str().unwrap()) {
                continue;
            }
            // A link counts as one file.
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                found.push(path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
