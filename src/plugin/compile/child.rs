//! The child that compiles: a program that was started with [`super::WORD`].

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setpriority_process,
    setrlimit,
};

use super::{MAX_REASON, REFUSED};
use crate::plugin::engine;
use crate::plugin::error::LoadFault;

/// How much less urgent a child is than Dormouse itself.
const NICE: i32 = 10;

/// How many descriptors a child may have: its three, and a few while the engine looks at the
/// machine.
const MAX_DESCRIPTORS: u64 = 32;

/// The seconds between the signal that ends a child for its CPU time and the one that can't be
/// handled.
const HARD_LIMIT: u64 = 2;

/// What the parent asks for, by arguments.
struct Orders {
    /// CPU time in seconds.
    cpu: u64,
    /// Memory in bytes of addresses.
    memory: u64,
    parent: Option<Pid>,
}

impl Orders {
    fn read(mut arguments: impl Iterator<Item = OsString>) -> Option<Orders> {
        let mut number = || arguments.next()?.to_str()?.parse::<u64>().ok();
        let (cpu, memory, parent) = (number()?, number()?, number()?);
        let parent = i32::try_from(parent).ok().and_then(Pid::from_raw);
        Some(Orders { cpu, memory, parent })
    }

    /// Limits this process, before it reads anything. False if the parent is gone.
    fn limit(&self) -> rustix::io::Result<bool> {
        let limit = |resource, soft: u64, hard: u64| {
            setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
        };
        set_parent_process_death_signal(Some(Signal::KILL))?;
        limit(Resource::Core, 0, 0)?;
        limit(Resource::Nofile, MAX_DESCRIPTORS, MAX_DESCRIPTORS)?;
        limit(Resource::Cpu, self.cpu, self.cpu.saturating_add(HARD_LIMIT))?;
        limit(Resource::As, self.memory, self.memory)?;
        // A machine that forbids it loses only politeness.
        let _ = setpriority_process(None, NICE);
        Ok(self.parent.is_none() || getppid() == self.parent)
    }
}

/// Compiles the component on stdin to stdout, as `arguments` (those after the word) say.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(orders) = Orders::read(arguments) else {
        return complain("it is started by Dormouse, with limits");
    };
    match orders.limit() {
        Ok(true) => {}
        Ok(false) => return complain("its parent is gone"),
        Err(error) => return complain(&format!("its limits can't be set: {error}")),
    }
    let mut component = Vec::new();
    if let Err(error) = io::stdin().lock().read_to_end(&mut component) {
        return complain(&format!("the component can't be read: {error}"));
    }
    let compiled = engine::new().and_then(|engine| engine.precompile_component(&component));
    let (output, status) = match compiled {
        Ok(native) => (native, ExitCode::SUCCESS),
        Err(error) => {
            let mut reason = LoadFault::reason(&error).into_bytes();
            reason.truncate(MAX_REASON);
            (reason, ExitCode::from(REFUSED))
        }
    };
    match write(&output) {
        Ok(()) => status,
        Err(error) => complain(&format!("native code can't be written: {error}")),
    }
}

fn write(output: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(output)?;
    stdout.flush()
}

fn complain(what: &str) -> ExitCode {
    // The parent reads it.
    let _ = writeln!(io::stderr(), "{what}");
    ExitCode::FAILURE
}
