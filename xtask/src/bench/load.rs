//! `cargo xtask bench-load`: the clients and the target of a measurement, one process each, so that
//! the CPU time of a proxy can be told from that of the load. `cargo xtask bench` starts them.
//!
//! Each has one thread: what is left of a small machine belongs to the proxy. A command prints
//! `name value` lines, what failed first goes to stderr. All counts and times are bounded.

mod backend;
mod bulk;
mod connections;
mod hook;
mod idle;
mod requests;
mod stats;
mod wake;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

/// No command but the backend takes longer; a proxy that hangs ends here.
const AT_MOST: Duration = Duration::from_secs(120);

/// The `--name value` pairs of a command.
pub struct Arguments<'a>(HashMap<&'a str, &'a str>);

impl<'a> Arguments<'a> {
    fn parse(arguments: &[&'a str]) -> Result<Self, String> {
        let mut pairs = HashMap::new();
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { return Err(format!("`{}` needs a value", pair[0])) };
            pairs.insert(*name, *value);
        }
        Ok(Arguments(pairs))
    }

    /// The value of `name`, which must be there.
    pub fn get<T: FromStr>(&self, name: &str) -> io::Result<T> {
        let text =
            self.0.get(name).ok_or_else(|| io::Error::other(format!("{name} is missing")))?;
        text.parse().map_err(|_| io::Error::other(format!("{name} can't be `{text}`")))
    }

    /// The value of `name`, if it is there.
    fn find<T: FromStr>(&self, name: &str) -> io::Result<Option<T>> {
        if self.0.contains_key(name) { self.get(name).map(Some) } else { Ok(None) }
    }
}

/// Runs one command to its end.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    let Some((command, rest)) = arguments.split_first() else {
        return Err("`bench-load` is a part of `bench`, which starts it".to_owned());
    };
    let arguments = Arguments::parse(rest)?;
    if let Some(core) = arguments.find("--core").map_err(|error| error.to_string())? {
        stay_on(core)?;
    }
    let done = match *command {
        "backend" => backend::run(&arguments),
        "bulk" => block_on(bulk::run(&arguments)),
        "connections" => block_on(connections::run(&arguments)),
        "requests" => block_on(requests::run(&arguments)),
        "idle" => block_on(idle::run(&arguments)),
        "wake" => block_on(wake::run(&arguments)),
        "hook" => hook::run(&arguments),
        other => return Err(format!("there is no load named `{other}`")),
    };
    done.map_err(|error| format!("{command}: {error}"))
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn block_on(work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    runtime()?.block_on(async {
        tokio::time::timeout(AT_MOST, work)
            .await
            .unwrap_or_else(|_| Err(io::Error::other(format!("not done within {AT_MOST:?}"))))
    })
}

fn stay_on(core: usize) -> Result<(), String> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None::<Pid>, &cores)
        .map_err(|error| format!("can't stay on core {core}: {error}"))
}
