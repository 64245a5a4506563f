//! Holds what `docs/architecture.md` says about the source: who may know whom, and what is absent
//! where.
//!
//! Each rule is a function from sources to complaints, so that it can be shown to complain about a
//! source that breaks it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::source::{Source, Token, tokens};

/// Who may know whom: each top-level module, and the others that it may name.
const TABLE: [(&str, &[&str]); 9] = [
    ("lifecycle", &[]),
    ("decide", &[]),
    ("text", &[]),
    ("config", &["files", "text"]),
    ("telemetry", &["text"]),
    ("files", &[]),
    ("service", &["config", "decide", "files", "lifecycle"]),
    ("plugin", &["config", "decide", "files", "text"]),
    ("cli", &["config", "decide", "plugin", "service", "telemetry", "text"]),
];

/// What the lifecycle does without: a clock, a log, tasks, and the world outside. Beside these
/// words it does without every dependency of the package.
const NOT_IN_LIFECYCLE: [&str; 16] = [
    "Instant",
    "SystemTime",
    "async",
    "await",
    "env",
    "eprintln",
    "fs",
    "io",
    "net",
    "print",
    "println",
    "process",
    "sync",
    "thread",
    "HashMap",
    "HashSet",
];

/// Who makes decisions.
const DECIDERS: [&str; 6] = ["Deciders", "Lifecycle", "Judge", "Gate", "Conversation", "Idleness"];

/// Where the bytes and connections of an awake target pass through.
const PATH_OF_A_CLIENT: [&str; 4] =
    ["service/listener.rs", "service/door.rs", "service/dial/", "service/relay/"];

/// The most lines of a source file, tests not counted.
const MOST_LINES: usize = 500;

#[test]
fn modules_name_only_those_that_they_may_know() {
    assert_eq!(strangers(&all()), NOTHING);
}

#[test]
fn the_table_of_who_may_know_whom_has_every_module() {
    let there: BTreeSet<String> = all().iter().map(|source| source.module().to_owned()).collect();
    let table = TABLE.iter().map(|(module, _)| (*module).to_owned());
    // The roots belong to no module.
    let table = table.chain([String::new()]).collect();
    assert_eq!(there, table);
}

#[test]
fn only_the_plugin_host_names_wasmtime() {
    let (host, others): (Vec<_>, Vec<_>) =
        all().into_iter().partition(|source| source.module() == "plugin");
    assert_eq!(naming_wasmtime(&others), NOTHING);
    assert!(!naming_wasmtime(&host).is_empty(), "the rule sees nothing at all");
}

#[test]
fn only_native_code_is_unsafe() {
    let all = all();
    let (native, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|source| source.path == "plugin/native.rs");
    assert_eq!(naming(&others, |word| word == "unsafe" || word == "unsafe_code"), NOTHING);
    assert_eq!(naming(&native, |word| word == "unsafe").len(), 1);
}

#[test]
fn the_lifecycle_has_no_wildcard_arm() {
    assert_eq!(wildcard_arms(&lifecycle()), NOTHING);
}

#[test]
fn the_lifecycle_has_no_clock_no_log_no_tasks_and_no_io() {
    assert_eq!(worldly(&lifecycle(), &dependencies()), NOTHING);
}

#[test]
fn nobody_on_the_path_of_a_client_of_an_awake_target_knows_a_decider() {
    let all = all();
    for part in PATH_OF_A_CLIENT {
        let path = |source: &&Source| source.path.starts_with(part);
        let sources: Vec<_> = all.iter().filter(path).cloned().collect();
        assert!(!sources.is_empty(), "there is no `{part}`");
        assert_eq!(naming(&sources, |word| DECIDERS.contains(&word)), NOTHING);
    }
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    assert_eq!(long_files(&all()), NOTHING);
}

#[test]
fn the_architecture_page_names_every_module_and_only_tests_that_there_are() {
    let page = read("docs/architecture.md");
    for (module, _) in TABLE {
        assert!(page.contains(&format!("`src/{module}")), "`src/{module}` is not on the page");
    }
    let there = names_of_tests();
    let named: Vec<&str> = quoted(&page).filter(|name| is_name_of_a_test(name)).collect();
    assert!(named.len() >= 10, "only {named:?}");
    let lost: Vec<_> = named.iter().filter(|name| !there.contains(**name)).collect();
    assert!(lost.is_empty(), "there are no tests {lost:?}");
}

#[test]
fn the_architecture_page_names_every_state_and_every_event() {
    let page = read("docs/architecture.md");
    for (name, path) in [("State", "lifecycle/mod.rs"), ("Event", "lifecycle/vocabulary.rs")] {
        let source = all().into_iter().find(|source| source.path == path).unwrap();
        let variants = variants(&source, name);
        assert!(variants.len() >= 10, "{variants:?}");
        for variant in variants {
            assert!(page.contains(&format!("`{variant}`")), "`{variant}` is not on the page");
        }
    }
}

// The rules.

const NOTHING: [String; 0] = [];

fn strangers(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let allowed = TABLE.iter().find(|(module, _)| *module == source.module());
        let Some((_, allowed)) = allowed else { continue };
        for (name, line) in source.knows() {
            if !allowed.contains(&name.as_str()) {
                complaints.push(format!("{}:{line}: {name}", source.path));
            }
        }
    }
    complaints
}

fn naming_wasmtime(sources: &[Source]) -> Vec<String> {
    naming(sources, |word| word.starts_with("wasmtime"))
}

fn naming(sources: &[Source], is_bad: impl Fn(&str) -> bool) -> Vec<String> {
    let complaints = sources.iter().flat_map(|source| {
        let bad = source.tokens.iter().filter(|token| is_bad(&token.text));
        bad.map(|token| format!("{}:{}: {}", source.path, token.line, token.text))
    });
    complaints.collect()
}

/// Arms that take whatever there is: `_ =>`, `_ if … =>`, `(_, _) =>`, `other =>`.
fn wildcard_arms(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let (tokens, _) = source.without_tests();
        for index in 1..tokens.len() {
            let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text.as_str());
            let is_arrow = |at: usize| text(at) == "=" && text(at + 1) == ">";
            let begins_arm = matches!(text(index - 1), "{" | "}" | ",");
            let ends_pattern = is_arrow(index + 1) || text(index + 1) == "if";
            let name = text(index);
            let is_binding = name.starts_with(|letter: char| letter.is_ascii_lowercase())
                && !matches!(name, "else" | "true" | "false");
            let takes_all = ends_pattern && (name == "_" || (begins_arm && is_binding));
            let pattern = tokens[index..].iter().take_while(|token| token.text != "=");
            let takes_all_pairs = begins_arm && name == "(" && {
                let pattern: Vec<_> = pattern.map(|token| token.text.as_str()).collect();
                is_arrow(index + pattern.len())
                    && pattern.contains(&"_")
                    && pattern.iter().all(|text| ["(", ")", "_", ","].contains(text))
            };
            if takes_all || takes_all_pairs {
                complaints.push(format!("{}:{}", source.path, tokens[index].line));
            }
        }
    }
    complaints
}

fn worldly(sources: &[Source], dependencies: &[String]) -> Vec<String> {
    naming(sources, |word| {
        NOT_IN_LIFECYCLE.contains(&word) || dependencies.iter().any(|name| name == word)
    })
}

fn long_files(sources: &[Source]) -> Vec<String> {
    let long = sources.iter().filter_map(|source| {
        let (_, lines) = source.without_tests();
        (lines > MOST_LINES).then(|| format!("{}: {lines} lines", source.path))
    });
    long.collect()
}

// What the rules look at.

fn all() -> Vec<Source> {
    let all = Source::all();
    assert!(all.len() > 50, "only {} files", all.len());
    all
}

/// The lifecycle without its tests.
fn lifecycle() -> Vec<Source> {
    let of_lifecycle = |source: &Source| source.module() == "lifecycle" && !source.is_test();
    let mut lifecycle: Vec<_> = all().into_iter().filter(of_lifecycle).collect();
    assert!(lifecycle.len() > 5, "only {} files", lifecycle.len());
    for source in &mut lifecycle {
        (source.tokens, _) = source.without_tests();
    }
    lifecycle
}

/// The dependencies of the package, as they are named in source.
fn dependencies() -> Vec<String> {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    assert!(dependencies.contains_key("tokio"), "{dependencies:?}");
    dependencies.keys().map(|name| name.replace('-', "_")).collect()
}

/// The names of an enum's variants.
fn variants(source: &Source, name: &str) -> Vec<String> {
    let begins = |tokens: &[Token]| tokens[0].text == "enum" && tokens[1].text == name;
    let start = source.tokens.windows(2).position(begins).unwrap() + 2;
    let (mut variants, mut open) = (Vec::new(), 0);
    for pair in source.tokens[start..].windows(2) {
        match pair[0].text.as_str() {
            "{" | "(" => open += 1,
            "}" | ")" => open -= 1,
            _ => {}
        }
        let begins = matches!(pair[0].text.as_str(), "{" | ",");
        if open == 1 && begins && pair[1].text.starts_with(char::is_uppercase) {
            variants.push(pair[1].text.clone());
        }
        if open == 0 {
            break;
        }
    }
    variants
}

/// The names of all test functions.
fn names_of_tests() -> BTreeSet<String> {
    let mut sources: Vec<Source> = all();
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let mut folders = vec![suite];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(Source::new("suite", &fs::read_to_string(path).unwrap()));
            }
        }
    }
    let functions = sources.iter().flat_map(|source| {
        let pairs = source.tokens.windows(2).filter(|pair| pair[0].text == "fn");
        pairs.map(|pair| pair[1].text.clone())
    });
    functions.collect()
}

/// A sentence, as names of tests are.
fn is_name_of_a_test(text: &str) -> bool {
    text.split('_').count() >= 5
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What stands in backquotes on a page.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2)
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

// That each rule complains.

fn source(path: &str, text: &str) -> Vec<Source> {
    vec![Source::new(path, text)]
}

#[test]
fn a_module_that_names_a_stranger_is_found_however_it_does() {
    for text in [
        "use crate::service::Service;",
        "use crate::{config, service::{self, Ground}};",
        "fn f() { crate::service::f() }",
        "use super::super::service;",
        "use super::super::{config, service};",
        "mod inner { use super::super::super::service; }",
        "mod inner {}\nuse super::super::service;",
        "#[cfg(test)]\nmod tests { use crate::service; }",
    ] {
        let found = strangers(&source("plugin/host.rs", text));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].ends_with(": service"), "{text}: {found:?}");
    }
    assert_eq!(strangers(&source("decide.rs", "use super::config;")).len(), 1);
    assert_eq!(strangers(&source("service/mod.rs", "use super::plugin;")).len(), 1);
}

#[test]
fn a_module_may_name_itself_and_those_in_its_line_of_the_table() {
    for text in [
        "use crate::plugin::call;",
        "use crate::{config::Limits, decide};",
        "use super::service;",
        "mod inner { use super::super::service; }",
        "use std::collections::HashMap as service;",
        "// crate::service\n/* crate::service /* crate::service */ */",
        "const TEXT: &str = \"crate::service\";",
        "const TEXT: &str = r#\"\"crate::service\"#;",
        "const QUOTE: (char, &str) = ('\"', \"crate::service\");",
        "fn f<'a>(text: &'a str) -> &'a str { text }",
    ] {
        assert_eq!(strangers(&source("plugin/host.rs", text)), NOTHING, "{text}");
    }
}

#[test]
fn a_wildcard_arm_is_found() {
    for arms in [
        "_ => {}",
        "State::Asleep => {} _ => {}",
        "State::Asleep => 1, _ if late => 2",
        "other => {}",
        "State::Asleep => {} other if late => {}",
        "(_, _) => {}",
        "State::Asleep => 1, ((_, _), _) => 2",
    ] {
        let text = format!("fn f() {{ match state {{ {arms} }} }}");
        assert_eq!(wildcard_arms(&source("lifecycle/mod.rs", &text)).len(), 1, "{arms}");
    }
}

#[test]
fn an_arm_that_names_its_state_is_no_wildcard() {
    for arms in [
        "State::Awake(_) => {}",
        "State::Asleep { .. } => {} State::Awake(rest) => {}",
        "Some(other) if late => {}",
        "State::Asleep { refuses } => {}",
        "(State::Awake(_), _) => {}",
        "true => {} false => {}",
    ] {
        let text = format!("fn f() {{ match state {{ {arms} }} if a {{ }} else if b {{ }} }}");
        assert_eq!(wildcard_arms(&source("lifecycle/mod.rs", &text)), NOTHING, "{arms}");
    }
    let in_tests = "#[cfg(test)]\nmod tests { fn f() { match state { _ => {} } } }";
    assert_eq!(wildcard_arms(&source("lifecycle/mod.rs", in_tests)), NOTHING);
    let behind_tests = "#[cfg(test)]\nmod tests;\nfn f() { match state { _ => {} } }";
    assert_eq!(wildcard_arms(&source("lifecycle/mod.rs", behind_tests)).len(), 1);
}

#[test]
fn the_world_in_the_lifecycle_is_found() {
    let dependencies = vec!["tokio".to_owned(), "tokio_util".to_owned()];
    for text in [
        "use std::time::{Duration, Instant};",
        "use tokio::sync::mpsc;",
        "use tokio_util::task;",
        "fn f() { std::thread::yield_now() }",
        "async fn f() {}",
    ] {
        assert!(!worldly(&source("lifecycle/mod.rs", text), &dependencies).is_empty(), "{text}");
    }
    let pure = "//! Instant\nuse std::time::Duration;\nconst TEXT: &str = \"tokio\";";
    assert_eq!(worldly(&source("lifecycle/mod.rs", pure), &dependencies), NOTHING);
}

#[test]
fn wasmtime_is_found_under_each_of_its_names_and_not_in_comments() {
    for text in ["use wasmtime::Engine;", "use wasmtime_wasi::WasiCtx;"] {
        assert_eq!(naming_wasmtime(&source("service/mod.rs", text)).len(), 1, "{text}");
    }
    assert_eq!(naming_wasmtime(&source("service/mod.rs", "// wasmtime")), NOTHING);
}

#[test]
fn a_file_is_as_long_as_it_is_without_its_tests() {
    let line = "fn f() {}\n";
    let tests = |lines| {
        format!("#[cfg(test)]\n#[allow(dead_code)]\nmod tests {{\n{}}}\n", line.repeat(lines))
    };
    let length = |text: String| Source::new("plugin/mod.rs", &text).without_tests().1;
    assert_eq!(length(line.repeat(501)), 501);
    assert_eq!(length(line.repeat(500) + &tests(100)), 500);
    assert_eq!(length(format!("#[cfg(test)]\nmod tests;\n{}", line.repeat(499))), 499);
    assert_eq!(long_files(&source("plugin/mod.rs", &line.repeat(501))).len(), 1);
    assert_eq!(long_files(&source("plugin/tests.rs", &line.repeat(501))), NOTHING);
}

#[test]
fn the_variants_of_an_enum_are_found_whatever_they_carry() {
    let text = "enum Other { No }\nenum State { A, B { c: D, e: F }, G(H, I), J }\nenum K { L }";
    assert_eq!(variants(&source("lifecycle/mod.rs", text)[0], "State"), ["A", "B", "G", "J"]);
}

#[test]
fn lines_are_counted_through_comments_and_texts() {
    let text = "/* a\n b */ // c\n\"d\\\"\n\" 'e' '\\'' b'f' r\"g\\\" h\n";
    let found: Vec<_> = tokens(text).into_iter().map(|token| (token.text, token.line)).collect();
    assert_eq!(found, [("h".to_owned(), 4)]);
}
