//! `dormouse demo`: the product in one command.
//!
//! A small web server of our own is the target. It is a process of its own, started and stopped by
//! hooks through the shell plugin, by a config file like any other; only that the hooks are this
//! program itself, so that nothing else has to be installed.

mod target;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::{Complaint, Failure, run};
use crate::config;
pub(super) use target::{Part, play};

/// Where the demo listens if it can: a port that people remember.
const FAVOURITE_PORT: u16 = 8000;

/// Runs the demo until a signal ends it.
///
/// # Errors
///
/// If there is no folder or no port for it, or if it can't run.
pub(super) fn execute() -> Result<(), Failure> {
    let folder = tempfile::Builder::new().prefix("dormouse-demo-").tempdir().map_err(|error| {
        Complaint::new(format!("no folder for the demo: {error}"))
            .remedy("let `TMPDIR` name a folder that can be written")
    })?;
    let program = std::env::current_exe()
        .map_err(|error| Complaint::new(format!("the demo can't find its own program: {error}")))?;
    let (listen, target) = (free_port(FAVOURITE_PORT)?, free_port(0)?);
    let text = config_text(&program, folder.path(), listen, target);
    let path = folder.path().join("dormouse.toml");
    std::fs::write(&path, &text)
        .map_err(|error| Complaint::new(format!("the demo can't write its config: {error}")))?;
    let (config, _) = config::read(&path).map_err(Failure::BadConfig)?;
    introduce(&mut io::stdout().lock(), listen)?;
    let ended = run::execute(config);
    writeln!(io::stdout(), "\nThe web server is stopped. Nothing of the demo is left.")?;
    ended
}

/// The port, or another one if that is taken or 0.
fn free_port(favourite: u16) -> Result<u16, Complaint> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, favourite))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Complaint::new(format!("no port for the demo: {error}")))
}

fn config_text(program: &Path, folder: &Path, listen: u16, target: u16) -> String {
    let hook = |part: &str| {
        let words = [
            program.display().to_string(),
            "demo".to_owned(),
            "--part".to_owned(),
            part.to_owned(),
            "--folder".to_owned(),
            folder.display().to_string(),
            "--port".to_owned(),
            target.to_string(),
            "--of".to_owned(),
            std::process::id().to_string(),
        ];
        toml::Value::from(words.to_vec())
    };
    format!(
        "drain = \"1s\"\n\
         state_dir = \"state\"\n\
         \n\
         [services.demo]\n\
         listen = \"127.0.0.1:{listen}\"\n\
         target = \"127.0.0.1:{target}\"\n\
         cooldown = \"5s\"\n\
         stop_on_exit = true\n\
         \n\
         [services.demo.hooks]\n\
         start = {}\n\
         stop = {}\n",
        hook("start"),
        hook("stop"),
    )
}

fn introduce(out: &mut impl io::Write, port: u16) -> io::Result<()> {
    writeln!(
        out,
        "\n  A web server sleeps behind Dormouse. Wake it up:\n\
         \n      http://127.0.0.1:{port}/      (or: curl http://127.0.0.1:{port}/)\n\
         \n  The first request is held while the server starts, which takes it two seconds.\n  \
         Five seconds after the last one it is stopped. Ctrl-C ends the demo.\n\
         \n    you ──▶ Dormouse :{port} ──▶ web server (asleep)\n"
    )?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_is_good_whatever_the_paths_are_called() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("it's \"odd\"");
        std::fs::create_dir(&odd).unwrap();
        let path = odd.join("dormouse.toml");
        let program = std::env::current_exe().unwrap();
        std::fs::write(&path, config_text(&program, &odd, 8000, 8001)).unwrap();
        let (config, warnings) = config::read(&path).unwrap();
        assert!(warnings.is_empty(), "{}", warnings.render(false));
        assert!(config.services[0].stop_on_exit);
        let grants = &config.plugins[0].allow.exec;
        assert_eq!(grants.len(), 2);
        let words = grants[0].arguments.clone().unwrap();
        assert!(words.contains(&odd.display().to_string()), "{words:?}");
    }
}
