//! Folders that a plugin may change, and what `dormouse check` says about what lies in them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use dormouse::config::{self, Faults, Severity};

use crate::support::command::Folder;
use crate::support::guest::Guest;

/// A config with the plugin `p`, which has these grants.
fn config(grants: &str, rest: &str) -> String {
    format!(
        "state_dir = \"state\"\ncache_dir = \"cache\"\n\n[services.web]\nlisten = \"0.0.0.0:8080\"\n\
         target = \"192.168.1.5:80\"\nhooks = {{ start = \"hooks/start\", stop = \"true\" }}\n\
         gate = \"p\"\nidleness = \"q\"\n\n[plugins.p]\nwasm = \"wasm/p.wasm\"\nallow.write = {grants}\n\n\
         [plugins.q]\nwasm = \"wasm/q.wasm\"\n{rest}\n"
    )
}

fn folder(grants: &str, rest: &str) -> Folder {
    let folder = Folder::with_config(&config(grants, rest));
    for name in ["state", "cache", "hooks", "wasm", "data", "other", "data/below"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    folder.program("hooks/start", "#!/bin/sh\n");
    folder
}

/// What is said of the config in `folder`: each with its severity.
fn said_in(folder: &Folder) -> Vec<(Severity, String)> {
    let file = folder.path().join("dormouse.toml");
    let faults: Faults = match config::read(&file) {
        Ok((_, warnings)) => warnings,
        Err(faults) => faults,
    };
    let all = faults.iter().map(|fault| (fault.severity(), fault.problem.title()));
    all.collect()
}

fn said(grants: &str, rest: &str) -> Vec<(Severity, String)> {
    said_in(&folder(grants, rest))
}

fn is_error(grants: &str, rest: &str, what: &str) {
    let said = said(grants, rest);
    let found = said.iter().any(|(severity, title)| {
        *severity == Severity::Error && title.contains(&format!("can change {what}"))
    });
    assert!(found, "{grants}: {said:?}");
}

fn is_warning(grants: &str, rest: &str, what: &str) {
    let said = said(grants, rest);
    let found = said.iter().any(|(severity, title)| {
        *severity == Severity::Warning && title.contains(&format!("may be able to change {what}"))
    });
    assert!(found, "{grants}: {said:?}");
    assert!(said.iter().all(|(severity, _)| *severity == Severity::Warning), "{said:?}");
}

#[test]
fn a_folder_of_its_own_is_fine() {
    for grants in ["['data']", "['data', 'other']", "['./data/below', 'state2', 'stat']"] {
        assert_eq!(said(grants, ""), [], "{grants}");
    }
}

#[test]
fn what_dormouse_relies_on_must_not_be_in_reach_of_a_plugin() {
    for around in ["['state']", "['state/below']", "['./data/../state']"] {
        is_error(around, "", "`state_dir`");
    }
    is_error("['cache']", "", "`cache_dir`");
    is_error("['cache/compiled-0.1.0']", "", "`cache_dir`");
    is_error("['wasm']", "", "the file of plugin `p`");
    is_error("['hooks']", "", "the hook `");
    is_error("['/usr']", "", "the hook `true` of service `web`");
    is_error("['data']", "allow.exec = ['data/below/run']", "the program `");
    for around in ["['.']", "['/']", "['..']"] {
        for what in ["`state_dir`", "`cache_dir`", "the config file"] {
            is_error(around, "", what);
        }
    }
}

#[test]
fn links_are_followed() {
    let folder = folder("['link']", "");
    symlink("data", folder.path().join("link")).unwrap();
    assert_eq!(said_in(&folder), []);
    fs::remove_file(folder.path().join("link")).unwrap();
    symlink(folder.path().join("hooks"), folder.path().join("link")).unwrap();
    assert!(said_in(&folder)[0].1.contains("can change the hook `"));
    fs::remove_file(folder.path().join("link")).unwrap();
    fs::remove_dir(folder.path().join("state")).unwrap();
    symlink("state", folder.path().join("link")).unwrap();
    assert!(said_in(&folder)[0].1.contains("can change `state_dir`"), "it is not there yet");
}

#[test]
fn what_another_grant_is_for_is_a_warning() {
    is_warning("['data']", "allow.read = ['data/below']", "a folder that plugin `q` may read");
    is_warning("['data']", "allow.write = ['data']", "a folder that plugin `p` may write");
    is_warning("['data', 'data/below']", "", "a folder that plugin `p` may write");
    is_warning("['data']", "allow.http = ['unix:data/a.sock']", "a socket in `allow.http` of");
    is_warning("['data']", "ca = 'data/ca.pem'", "the `ca` file of plugin `q`");
    assert_eq!(said("['data', './data']", ""), []);
    assert_eq!(said("['data/below']\nallow.read = ['data', 'data/below']", ""), []);
    is_warning("['data']\nallow.read = ['data/below']", "", "a folder that plugin `p` may read");
    assert_eq!(said("['data']", "allow.read = ['other']"), []);
}

#[test]
fn an_overlap_is_told_with_its_place_and_its_remedy() {
    let component = Guest::new().gate("(unreachable)").idleness("(call $sleep)").build();
    let folder = folder("[\"data\", \"hooks\"]", "allow.read = [\"data/below\"]");
    folder.write("wasm/p.wasm", &component).write("wasm/q.wasm", &component);
    insta::assert_snapshot!(folder.dormouse(&["check"]));
    insta::assert_snapshot!(folder.dormouse(&["run"]));
}

/// The config with a `state_dir` that has this mode, and belongs to this user if that is given.
fn with_state(mode: u32, owner: Option<u32>) -> Folder {
    let folder = folder("[\"data\"]", "");
    let state = folder.path().join("state");
    fs::set_permissions(&state, fs::Permissions::from_mode(mode)).unwrap();
    chown(&state, owner, None).unwrap();
    folder
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_state_folder_that_others_may_write_to_is_refused_and_left_as_it_is() {
    for (bad, owner) in [(0o777, None), (0o702, None), (0o755, Some(12345))] {
        if owner.is_some() && !rustix::process::geteuid().is_root() {
            continue;
        }
        let folder = with_state(bad, owner);
        let said = said_in(&folder);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0].0, Severity::Error);
        assert!(said[0].1.starts_with("`state_dir` is not safe: "), "{said:?}");
        assert_eq!(mode(&folder.path().join("state")), bad);
        // Root may look at the config of a service that has a user of its own.
        if owner.is_some() {
            let (_, warnings) = config::examine(&folder.path().join("dormouse.toml")).unwrap();
            assert!(warnings.to_string().contains("belongs to another user"), "{warnings}");
        }
    }
    let folder = with_state(0o777, None);
    insta::assert_snapshot!(folder.dormouse(&["check"]));
}

#[test]
fn a_state_folder_that_is_shared_as_tmp_is_used() {
    let config = config("[\"/srv/elsewhere\"]", "").replace("\"state\"", "\"/tmp\"");
    let folder = Folder::with_config(&config);
    assert_eq!(said_in(&folder), []);
    assert_eq!(said_in(&with_state(0o755, None)), []);
}
