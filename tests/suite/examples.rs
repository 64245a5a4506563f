//! Every example can be used as it stands: its config is good, its hooks are there and can be run,
//! its README says what each file is for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dormouse::config::{self, Config};

use crate::support::command::Folder;

const EXAMPLES: [&str; 5] =
    ["docker-container", "postgres", "quickstart", "systemd", "terraria-gce"];

#[test]
fn there_are_these_examples_and_no_others() {
    let mut found: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    // Those of plugins have a test of their own.
    found.retain(|name| name != "plugins");
    found.sort();
    assert_eq!(found, EXAMPLES);
}

#[test]
fn every_config_is_good_without_a_warning() {
    for example in EXAMPLES {
        assert!(!config_of(example).services.is_empty(), "{example}");
    }
}

#[test]
fn every_hook_of_an_example_is_there_and_can_be_run() {
    let mut own = 0;
    for example in EXAMPLES {
        let config = config_of(example);
        let grants = config.plugins.iter().flat_map(|plugin| &plugin.allow.exec);
        // Programs without a slash are the system's: `docker`, `systemctl`.
        for program in grants.map(|grant| &grant.program).filter(|name| name.contains('/')) {
            own += 1;
            let folder = root().join(example);
            assert!(Path::new(program).starts_with(&folder), "{program} is not in {example}");
            assert_eq!(config::problem_with(program), None, "{example}");
        }
    }
    assert!(own >= 8, "only {own}");
}

#[test]
fn every_script_is_one_that_sh_takes() {
    let mut scripts = 0;
    for path in EXAMPLES.iter().flat_map(|example| files(&root().join(example))) {
        if path.extension().is_none_or(|extension| extension != "sh") {
            continue;
        }
        scripts += 1;
        let parsed = Command::new("sh").arg("-n").arg(&path).output().unwrap();
        assert!(parsed.status.success(), "{}: {}", path.display(), text(&parsed.stderr));
        // What has an interpreter is run, what has none is read by others.
        let is_run = fs::read_to_string(&path).unwrap().starts_with("#!/bin/sh\n");
        let is_executable = path.metadata().unwrap().permissions().mode() & 0o111 == 0o111;
        assert_eq!(is_executable, is_run, "{}", path.display());
    }
    assert!(scripts >= 10, "only {scripts}");
}

#[test]
fn every_readme_names_every_file() {
    for example in EXAMPLES {
        let folder = root().join(example);
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        let files = files(&folder);
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            let name = file.strip_prefix(&folder).unwrap().to_str().unwrap();
            let is_named = readme.contains(&format!("[`{name}`]({name})"));
            assert!(is_named || name == "README.md", "{example}: {name} is not named");
        }
    }
}

#[test]
fn the_vm_is_started_only_if_it_is_stopped() {
    for (status, asked) in [
        ("TERMINATED", "compute instances start vm --zone=zone\n"),
        ("SUSPENDED", "compute instances resume vm --zone=zone\n"),
        ("RUNNING", ""),
        ("STAGING", ""),
        // `gcloud` starts only what is stopped, so this one is waited for.
        ("STOPPING TERMINATED", "compute instances start vm --zone=zone\n"),
    ] {
        let fake = fake_gcloud(status);
        let started = fake.run("terraria-gce/start.sh", &[]);
        assert!(started.status.success(), "{status}: {}", text(&started.stderr));
        assert_eq!(fake.calls(), asked, "{status}");
    }
}

#[test]
fn the_vm_is_not_started_if_nobody_knows_how_it_is() {
    let fake = Fake::new("gcloud", "echo 'no permission' >&2; exit 1");
    let started = fake.run("terraria-gce/start.sh", &[]);
    assert!(!started.status.success());
    assert_eq!(text(&started.stderr), "no permission\n");
}

#[test]
fn the_vm_is_stopped_by_name_and_zone() {
    let fake = fake_gcloud("RUNNING");
    let stopped = fake.run("terraria-gce/stop.sh", &[]);
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));
    assert_eq!(fake.calls(), "compute instances stop vm --zone=zone\n");
}

#[test]
fn a_container_is_ready_when_its_health_check_says_so_or_it_has_none() {
    for (state, ready) in [
        ("healthy/running", true),
        ("/running", true),
        ("starting/running", false),
        ("unhealthy/running", false),
        ("/exited", false),
        ("healthy/paused", false),
    ] {
        let fake = Fake::new("docker", &format!("echo {state}"));
        let asked = fake.run("docker-container/ready.sh", &["web"]);
        assert_eq!(asked.status.success(), ready, "{state}");
        let told = if ready { String::new() } else { format!("the container is {state}\n") };
        assert_eq!(text(&asked.stdout), told);
    }
}

#[test]
fn a_container_that_is_not_there_is_not_ready() {
    let fake = Fake::new("docker", "echo 'No such object: web' >&2; exit 1");
    let asked = fake.run("docker-container/ready.sh", &["web"]);
    assert!(!asked.status.success());
}

/// A program that plays another one, which hooks find in `PATH`.
struct Fake {
    folder: Folder,
}

impl Fake {
    fn new(program: &str, script: &str) -> Fake {
        let folder = Folder::new();
        folder.program(program, format!("#!/bin/sh\ncd \"$(dirname \"$0\")\"\n{script}\n"));
        Fake { folder }
    }

    /// Runs a hook of an example that finds the fake and the tools of every system.
    fn run(&self, hook: &str, arguments: &[&str]) -> Output {
        self.folder.program("sleep", "#!/bin/sh\n");
        Command::new(root().join(hook))
            .args(arguments)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.folder.path().display()))
            .env("TERRARIA_VM", "vm")
            .env("TERRARIA_ZONE", "zone")
            .output()
            .unwrap()
    }

    /// What the fake wrote down.
    fn calls(&self) -> String {
        fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }
}

/// A `gcloud` that knows one VM, says one word after the other when it is asked how it is, the last
/// one again and again, and writes down everything else.
fn fake_gcloud(words: &str) -> Fake {
    let fake = Fake::new(
        "gcloud",
        "if [ \"$3\" != describe ]; then echo \"$@\" >>calls; exit 0; fi\n\
         read -r word rest <words\n\
         echo \"$word\"\n\
         [ -z \"$rest\" ] || echo \"$rest\" >words",
    );
    fake.folder.write("words", format!("{words}\n"));
    fake
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn config_of(example: &str) -> Config {
    match config::read(&root().join(example).join("dormouse.toml")) {
        Ok((config, warnings)) => {
            assert!(warnings.is_empty(), "{example}: {warnings}");
            config
        }
        Err(faults) => panic!("{example}: {faults}"),
    }
}

/// All files below a folder that are in the repository: hidden ones, and what is written when an
/// example is tried in place, are not.
fn files(folder: &Path) -> Vec<PathBuf> {
    let ignored = fs::read_to_string(folder.join(".gitignore")).unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_ignored = ignored.lines().any(|line| line.trim_end_matches('/') == name);
        if name.starts_with('.') || is_ignored {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
