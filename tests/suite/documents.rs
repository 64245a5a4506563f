//! The README and the pages in `docs/` say what is: their configs are good, their table of keys is
//! complete and has the right defaults, their links lead somewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dormouse::config::{self, Config, Problem};

use crate::support::command::Folder;

/// A service and a plugin, as short as they can be.
const SERVICE: &str = r#"
[services.web]
listen = "0.0.0.0:8080"
target = "192.168.1.5:80"
"#;
const HOOKS: &str = "hooks = { start = \"true\", stop = \"true\" }\n";
const PLUGIN: &str = "lifecycle = \"thing\"\n[plugins.thing]\nwasm = \"thing.wasm\"\n";

#[test]
fn every_config_in_the_documents_is_good() {
    let mut configs = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for block in blocks(&text, "toml") {
            let place = path.display();
            if !block.contains("[services.") {
                assert!(block.parse::<toml::Table>().is_ok(), "{place}: no TOML:\n{block}");
                continue;
            }
            configs += 1;
            let folder = Folder::with_config(&block);
            match config::read(&folder.path().join("dormouse.toml")) {
                Ok((_, warnings)) => assert!(warnings.is_empty(), "{place}:\n{warnings}"),
                Err(faults) => panic!("{place}:\n{faults}"),
            }
        }
    }
    assert!(configs >= 2, "only {configs}");
}

#[test]
fn the_readme_names_every_key_of_the_config() {
    let readme = read("README.md");
    let mut keys = 0;
    for (config, prefix) in [
        (format!("unheard_of = 1\n{SERVICE}{HOOKS}"), ""),
        (format!("{SERVICE}{HOOKS}unheard_of = 1"), ""),
        (format!("{SERVICE}hooks = {{ start = \"true\", stop = \"true\", unheard_of = 1 }}"), ""),
        (format!("{SERVICE}{HOOKS}wakes.unheard_of = 1"), "wakes."),
        (SERVICE.replace("\"0.0.0.0:8080\"", "{ unheard_of = 1 }") + HOOKS, "listen."),
        (format!("{SERVICE}{PLUGIN}unheard_of = 1"), ""),
        (format!("{SERVICE}{PLUGIN}[plugins.thing.allow]\nunheard_of = 1"), "allow."),
        (format!("{SERVICE}{PLUGIN}[plugins.thing.limits]\nunheard_of = 1"), "limits."),
    ] {
        for key in known_keys(&config) {
            keys += 1;
            // Tables are named by what stands in them.
            let names = [
                format!("`{prefix}{key}`"),
                format!("`[{key}.NAME]`"),
                format!("`{key}.{}`", if key == "allow" { "exec" } else { "memory" }),
            ];
            assert!(
                names.iter().any(|name| readme.contains(name)),
                "`{prefix}{key}` is not in the README"
            );
        }
    }
    assert!(keys >= 35, "only {keys}");
}

#[test]
fn the_defaults_in_the_readme_are_the_defaults() {
    let readme = read("README.md");
    let mut section = "";
    let mut keys = 0;
    for row in readme.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        match cells[0] {
            "key" => section = "top",
            "**`[services.NAME]`**" => section = "service",
            "**`[plugins.NAME]`**" => section = "plugin",
            "hook" => section = "",
            _ => {}
        }
        let (Some(key), Some(default)) = (in_backquotes(cells[0]), in_backquotes(cells[1])) else {
            continue;
        };
        let with = |line: &str| match section {
            "top" => format!("{line}\n{SERVICE}{HOOKS}"),
            "service" => format!("{SERVICE}{HOOKS}{line}"),
            _ => format!("{SERVICE}{PLUGIN}{line}"),
        };
        if !section.is_empty() {
            keys += 1;
            let folder = Folder::new();
            let written = meant(&folder, &with(&format!("{key} = {default}")));
            assert_eq!(written, meant(&folder, &with("")), "{row}");
        }
    }
    assert!(keys >= 18, "only {keys}");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut links = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        for (link, _) in ends.filter(|(link, _)| !link.contains("://") && !link.starts_with('#')) {
            links += 1;
            let file = link.split('#').next().unwrap();
            let there = path.parent().unwrap().join(file);
            assert!(there.exists(), "{}: `{link}` leads nowhere", path.display());
        }
    }
    assert!(links >= 20, "only {links}");
}

#[test]
fn the_tests_behind_each_promise_of_security_are_there() {
    let page = read("SECURITY.md");
    let is_test = |name: &&str| {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        name.split('_').count() >= 5 && name.bytes().all(letters)
    };
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() >= 40, "only {named:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["src", "tests/suite"].map(|folder| rust_in(&root.join(folder))).concat();
    for name in named {
        let is_there = sources.iter().any(|source| source.contains(&format!("fn {name}()")));
        assert!(is_there, "there is no test `{name}`");
    }
}

/// The texts of all Rust files below a folder.
fn rust_in(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(rust_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts
}

/// The README, and all other pages that are for people.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md"), root.join("SECURITY.md")];
    let mut folders: Vec<PathBuf> =
        ["docs", "examples", "plugins", "wit"].iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let built = ["target", "build", "node_modules"];
            let is_built = built.iter().any(|name| path.ends_with(name));
            if path.is_dir() && !is_built {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    assert!(found.len() >= 8, "only {found:?}");
    found
}

/// The code blocks of this language, without the indentation of a list around them.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for line in text.lines() {
        let indentation = line.len() - line.trim_start().len();
        open = match open {
            None if line.trim() == format!("```{language}") => Some((indentation, String::new())),
            None => None,
            Some((_, block)) if line.trim() == "```" => {
                blocks.push(block);
                None
            }
            Some((indentation, mut block)) => {
                block.push_str(line.get(indentation..).unwrap_or_default());
                block.push('\n');
                Some((indentation, block))
            }
        };
    }
    blocks
}

/// The text, if it is one piece in backquotes and nothing else.
fn in_backquotes(cell: &str) -> Option<&str> {
    let inner = cell.strip_prefix('`')?.strip_suffix('`')?;
    (!inner.contains('`')).then_some(inner)
}

/// The keys that are known where somebody wrote `unheard_of`.
fn known_keys(config: &str) -> BTreeSet<&'static str> {
    let folder = Folder::with_config(config);
    let faults = config::read(&folder.path().join("dormouse.toml")).unwrap_err();
    let known = faults.iter().find_map(|fault| match &fault.problem {
        Problem::UnknownKey { key, known, .. } if key == "unheard_of" => Some(known.clone()),
        _ => None,
    });
    known.unwrap_or_else(|| panic!("{faults}")).into_iter().collect()
}

fn meant(folder: &Folder, text: &str) -> Config {
    folder.write("dormouse.toml", text);
    match config::read(&folder.path().join("dormouse.toml")) {
        Ok((config, _)) => config,
        Err(faults) => panic!("{faults}"),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}
