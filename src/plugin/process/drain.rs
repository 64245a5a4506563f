//! Goes on reading for a daemon that a hook left behind.
//!
//! `server &` in a start hook hands the hook's standard output on to the server. When the reading
//! end of that pipe closes, the server's next line kills it by SIGPIPE; when nobody reads, the pipe
//! fills up and the server's next line blocks. So somebody has to read for as long as the server
//! lives, and Dormouse may exit, crash or be upgraded before that.
//!
//! The drain is that somebody: a shell that ignores the signals that may reach it with Dormouse, in
//! a process group of its own, and copies the pipe to another one that Dormouse reads:
//!
//! ```text
//! daemon ──pipe──▶ cat ──pipe──▶ Dormouse ──▶ log
//! daemon ──pipe──▶ cat ──▶ /dev/null             when Dormouse is gone
//! ```
//!
//! When Dormouse is gone, the first `cat` ends at its next write, and a second one takes its place
//! that throws everything away. It ends when the last process that holds the pipe has ended.
//!
//! The drain starts when the hook has exited: while it runs, Dormouse reads itself. So a crash of
//! Dormouse in the middle of a hook still costs what this hook has begun.
//!
//! Dormouse keeps the reading end too, without using it: should the drain not start, or be killed,
//! then it reads itself, which is good for as long as it runs.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Once;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::capture::Leftover;
use super::lines::{Lines, Origin};
use super::reaper::{self, Owned};

/// Ignored signals stay ignored in what a shell runs, so that `cat` sees an error where SIGPIPE
/// would have killed the shell.
const SCRIPT: &str = "trap '' HUP INT TERM PIPE; cat; exec cat >/dev/null";

/// How much is read at once.
const CHUNK: usize = 8 << 10;

/// Reads and logs `leftover` until it ends, or until Dormouse is `closing`. The drain outlives that.
pub(super) async fn follow(leftover: Leftover, closing: CancellationToken) {
    let Leftover { pipe, mut lines } = leftover;
    let failure = match spawn(&pipe, &lines.origin) {
        Ok((mut drain, _owned)) => {
            let log_and_wait = async {
                if let Some(stdout) = drain.stdout.take() {
                    log_all(stdout, &mut lines).await;
                }
                drain.wait().await
            };
            match closing.run_until_cancelled(log_and_wait).await {
                None => None,
                Some(Ok(status)) if status.success() => None,
                Some(Ok(status)) => Some(format!("it ended with {status}")),
                Some(Err(error)) => Some(error.to_string()),
            }
        }
        Err(error) => Some(error.to_string()),
    };
    if let Some(failure) = failure {
        warn_once(&lines.origin, &failure);
        let _ = closing.run_until_cancelled(read_here(pipe, &mut lines)).await;
    }
    lines.finish();
}

/// Starts the process that reads `pipe` from here on.
fn spawn(pipe: &OwnedFd, origin: &Origin) -> io::Result<(Child, Owned)> {
    // Both ends of a pipe have a mode each; this one is shared with the drain, which must block.
    rustix::io::ioctl_fionbio(pipe, false)?;
    // The name is what `ps` shows.
    let name = format!(
        "dormouse: what {} of the hook {} of {} still prints",
        origin.stream_name(),
        origin.hook,
        origin.service
    );
    reaper::spawn(
        Command::new("/bin/sh")
            .args(["-c", SCRIPT, &name])
            .current_dir("/")
            .stdin(Stdio::from(pipe.try_clone()?))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0),
    )
}

/// Reads `pipe` in this process.
async fn read_here(pipe: OwnedFd, lines: &mut Lines) {
    // The receiver makes it non-blocking again.
    if let Ok(pipe) = Receiver::from_owned_fd(pipe) {
        log_all(pipe, lines).await;
    }
}

async fn log_all(mut stream: impl AsyncRead + Unpin, lines: &mut Lines) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        lines.push(&chunk[..length]);
    }
}

fn warn_once(origin: &Origin, failure: &str) {
    static WARNED: Once = Once::new();
    let Origin { service, plugin, hook, .. } = origin;
    WARNED.call_once(|| {
        tracing::warn!(
            service,
            hook,
            plugin,
            "a daemon of this hook goes on printing, and the helper process that reads this \
             (`/bin/sh` with `cat`) failed: {failure}. Dormouse reads it itself, so the daemon may \
             end with Dormouse. Send its output elsewhere, as in `server >/var/log/server.log 2>&1 &`"
        );
    });
}
