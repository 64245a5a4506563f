//! Compiles components in a process of its own, with limits.
//!
//! A component of some kilobytes can take minutes and gigabytes to compile, and the compiler has no
//! limits itself. So each component is compiled by a child: this program, started with
//! [`WORD`]. It gets the component on stdin and gives native code on stdout. The kernel bounds its
//! CPU time and its memory, the parent bounds its real time and its output, and ends it if nothing
//! waits for it any more. As many children run at once as there are processors, and at least two, with
//! a low priority.

mod child;
mod error;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::config::CompileLimits;

use super::native::Native;
use super::process::reaper;

pub(crate) use self::child::run as run_child;
pub use self::error::CompileError;

/// The first argument of a child.
pub(crate) const WORD: &str = "compile-component";

/// The exit status of a child that has written to stdout why it does not compile the component.
const REFUSED: u8 = 3;

/// How many children may run at once at least, so that one that takes long does not delay the next.
const MIN_CHILDREN: usize = 2;

/// How many threads a child has at most. Each one reserves addresses, and the limit counts these.
const MAX_THREADS: usize = 4;

/// How many bytes of a child's stderr are kept.
const MAX_STDERR: u64 = 4 << 10;

/// How many bytes of a reason are read from a child.
const MAX_REASON: usize = 16 << 10;

/// The real time of a child in multiples of its CPU time: other processes take their share.
const REAL_TIME_FACTOR: u32 = 4;

/// The file by which Linux runs this program, even if a new version has taken its place.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Starts the children. Clones share the number of children that run at once.
#[derive(Clone, Debug)]
pub struct Compiler {
    program: Option<Arc<Path>>,
    limits: CompileLimits,
    turns: Arc<Semaphore>,
}

impl Compiler {
    /// A compiler that is this program.
    pub fn new(limits: CompileLimits) -> Compiler {
        Compiler::with_program(this_program(), limits)
    }

    /// A compiler that is `program`, a `dormouse` of this very version: for tests, whose program is
    /// another one.
    pub fn at(program: impl Into<PathBuf>, limits: CompileLimits) -> Compiler {
        Compiler::with_program(Some(program.into()), limits)
    }

    fn with_program(program: Option<PathBuf>, limits: CompileLimits) -> Compiler {
        let turns = Arc::new(Semaphore::new(processors().max(MIN_CHILDREN)));
        Compiler { program: program.map(Arc::from), limits, turns }
    }

    /// Compiles `component`. Dropping the future kills the child.
    pub(super) async fn compile(&self, component: &[u8]) -> Result<Native, CompileError> {
        let Ok(_turn) = self.turns.acquire().await else {
            return Err(CompileError::NoProgram);
        };
        let time = self.limits.cpu.saturating_mul(REAL_TIME_FACTOR);
        let compiled = tokio::time::timeout(time, self.run(component));
        compiled.await.unwrap_or(Err(CompileError::Time(time)))
    }

    async fn run(&self, component: &[u8]) -> Result<Native, CompileError> {
        let program = self.program.as_deref().ok_or(CompileError::NoProgram)?;
        let mut command = self.command(program);
        // The child is registered before the reaper of orphans could take its exit status.
        let (mut child, _owned) = reaper::spawn(&mut command).map_err(CompileError::Start)?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(CompileError::NoProgram);
        };
        let write = async {
            // A child that has ended early says why in its status.
            let _ = stdin.write_all(component).await;
            drop(stdin);
            Ok(())
        };
        let read = self.read(stdout);
        let complaints = async { Ok(beginning(stderr).await) };
        let ((), output, complaints) = tokio::try_join!(write, read, complaints)?;
        let status = child.wait().await.map_err(CompileError::Start)?;
        if status.success() {
            return Ok(Native::from_compiler(output));
        }
        Err(CompileError::of(status, &output, &complaints, &self.limits))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let threads = processors().min(MAX_THREADS).to_string();
        command
            .arg0("dormouse")
            .arg(WORD)
            .arg(seconds(self.limits.cpu).to_string())
            .arg(self.limits.memory.to_string())
            .arg(std::process::id().to_string())
            .env_clear()
            .env("RAYON_NUM_THREADS", threads)
            // Each arena of glibc reserves 64 MiB of addresses.
            .env("MALLOC_ARENA_MAX", "2")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Signals of the terminal are for this process, which then ends the child.
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Reads native code. There can't be more of it than fits into the child.
    async fn read(&self, stdout: impl AsyncRead + Unpin) -> Result<Vec<u8>, CompileError> {
        let most = self.limits.memory as u64;
        let mut output = Vec::new();
        let read = stdout.take(most.saturating_add(1)).read_to_end(&mut output).await;
        read.map_err(CompileError::Start)?;
        if output.len() as u64 > most {
            return Err(CompileError::Memory(self.limits.memory));
        }
        Ok(output)
    }
}

/// The beginning of what a child complains about, at its end.
async fn beginning(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut complaints = Vec::new();
    let _ = (&mut stderr).take(MAX_STDERR).read_to_end(&mut complaints).await;
    // Goes on reading, so that the child does not wait for a reader.
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&complaints).into_owned()
}

fn this_program() -> Option<PathBuf> {
    let this = Path::new(THIS_PROGRAM);
    if this.exists() { Some(this.to_owned()) } else { std::env::current_exe().ok() }
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Whole seconds, as the kernel counts CPU time.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
