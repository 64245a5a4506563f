//! Why a component was not compiled.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use super::REFUSED;
use crate::config::CompileLimits;
use crate::text;

/// How the allocator of Rust, the standard library and the kernel say that memory ran out.
const OUT_OF_MEMORY: [&str; 4] =
    ["memory allocation of", "Cannot allocate memory", "os error 12", "WouldBlock"];

/// A component was not compiled. `Display` says why and what would help.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler refuses it.
    #[error("{0}")]
    Refused(String),
    /// It takes more CPU time than the limit.
    #[error(
        "compiling it takes more than {} of CPU time. Ask its author for a smaller one; if you \
         trust it, raise `cpu` under `[compile]`",
        humantime::format_duration(*.0)
    )]
    Cpu(Duration),
    /// It takes more real time than the limit.
    #[error(
        "compiling it takes more than {} on this busy machine. Run Dormouse when there is less to \
         do; if you trust the plugin, raise `cpu` under `[compile]`",
        humantime::format_duration(*.0)
    )]
    Time(Duration),
    /// It takes more memory than the limit, in bytes.
    #[error(
        "compiling it takes more than {} of memory. Ask its author for a smaller one; if you trust \
         it, raise `memory` under `[compile]`",
        bytesize::ByteSize(*.0 as u64)
    )]
    Memory(usize),
    /// The kernel has killed the compiler.
    #[error(
        "its compiler was killed by the system, most likely because memory ran out. Give Dormouse \
         more memory (`MemoryMax=` under systemd), or lower `memory` under `[compile]`"
    )]
    Killed,
    /// The compiler crashed.
    #[error(
        "its compiler crashed ({0}). Report this with the plugin's file to the authors of Dormouse"
    )]
    Crashed(String),
    /// The compiler can't be started.
    #[error(
        "its compiler, which is Dormouse itself in another process, can't be started: {0}. Is the \
         limit of processes reached (`TasksMax=` under systemd, `ulimit -u`)?"
    )]
    Start(io::Error),
    /// The program that would be started is not known.
    #[error(
        "its compiler, which is Dormouse itself in another process, can't be started: the program \
         file of this process is not known. Mount `/proc`"
    )]
    NoProgram,
}

impl CompileError {
    /// Why a child with this end did not compile its component.
    pub(super) fn of(
        status: ExitStatus,
        output: &[u8],
        complaints: &str,
        limits: &CompileLimits,
    ) -> CompileError {
        let is_out_of_memory =
            |text: &str| OUT_OF_MEMORY.iter().any(|phrase| text.contains(phrase));
        if status.code() == Some(i32::from(REFUSED)) {
            let reason = text::line(&String::from_utf8_lossy(output), 1024);
            return if is_out_of_memory(&reason) {
                CompileError::Memory(limits.memory)
            } else {
                CompileError::Refused(reason)
            };
        }
        let signal = status.signal();
        if signal == Some(Signal::XCPU.as_raw()) {
            return CompileError::Cpu(limits.cpu);
        }
        if is_out_of_memory(complaints) {
            return CompileError::Memory(limits.memory);
        }
        if signal == Some(Signal::KILL.as_raw()) {
            return CompileError::Killed;
        }
        let last = complaints.lines().map(str::trim).rfind(|line| !line.is_empty());
        let how = match last {
            Some(last) => format!("{status}: {last}"),
            None => status.to_string(),
        };
        CompileError::Crashed(text::line(&how, 500))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: i32, output: &str, complaints: &str) -> String {
        let limits = CompileLimits { cpu: Duration::from_secs(90), memory: 1 << 30 };
        let status = ExitStatus::from_raw(status);
        CompileError::of(status, output.as_bytes(), complaints, &limits).to_string()
    }

    #[test]
    fn an_end_of_the_compiler_is_reported_with_its_cause_and_its_key() {
        let cpu = of(Signal::XCPU.as_raw(), "", "");
        assert!(cpu.starts_with("compiling it takes more than 1m 30s of CPU time"), "{cpu}");
        assert!(cpu.ends_with("raise `cpu` under `[compile]`"), "{cpu}");
        let memory = of(Signal::ABORT.as_raw(), "", "memory allocation of 8 bytes failed\n");
        assert!(memory.starts_with("compiling it takes more than 1.0 GiB of memory"), "{memory}");
        assert!(memory.ends_with("raise `memory` under `[compile]`"), "{memory}");
        let mapped = of(i32::from(REFUSED) << 8, "mmap: Cannot allocate memory (os error 12)", "");
        assert_eq!(mapped, memory);
        assert_eq!(of(i32::from(REFUSED) << 8, "unknown opcode\n", ""), "unknown opcode");
        assert!(of(Signal::KILL.as_raw(), "", "").contains("killed by the system"));
        let crashed = of(Signal::SEGV.as_raw(), "", "one\ntwo\n\n");
        assert!(crashed.contains("SIGSEGV") && crashed.contains(": two)"), "{crashed}");
    }
}
