//! The demo's target, and the hooks that start and stop it: all of them are this program with
//! hidden flags.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::cli::{Complaint, Failure};

/// So long the server takes until it listens, as a real one would.
const BOOT: Duration = Duration::from_secs(2);
/// So long a stop waits for the server's end.
const STOP_MOST: Duration = Duration::from_secs(5);
/// How often it is looked whether a process is there.
const LOOK: Duration = Duration::from_millis(20);
/// How long a client may take to say what it wants, or to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A part in the demo other than Dormouse itself.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Part {
    #[arg(long, hide = true, requires_all = ["folder", "port", "of"])]
    part: Option<Role>,
    /// Where the number of the server's process is kept.
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
    /// Where the server listens.
    #[arg(long, hide = true)]
    port: Option<u16>,
    /// The process of the demo, without which the server does not go on.
    #[arg(long, hide = true)]
    of: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Start,
    Stop,
    Serve,
}

/// Plays a part, if one is given; false otherwise.
///
/// # Errors
///
/// If it can't be played.
pub(in crate::cli) fn play(part: &Part) -> Result<bool, Failure> {
    let (Some(role), Some(folder), Some(port), Some(demo)) =
        (part.part, &part.folder, part.port, part.of)
    else {
        return Ok(false);
    };
    let played = match role {
        Role::Start => start(folder, port, demo),
        Role::Stop => stop(folder),
        Role::Serve => serve(port, demo),
    };
    played.map_err(|error| {
        Failure::from(Complaint::new(format!("demo: {role:?} failed: {error}")))
    })?;
    Ok(true)
}

fn start(folder: &Path, port: u16, demo: i32) -> io::Result<()> {
    let server = Command::new(std::env::current_exe()?)
        .args(["demo", "--part", "serve", "--port", &port.to_string(), "--of", &demo.to_string()])
        .arg("--folder")
        .arg(folder)
        // A daemon does not hold on to its starter's output, and Ctrl-C is not meant for it.
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    fs::write(pid_file(folder), server.id().to_string())?;
    say(&format!("the web server boots as process {}", server.id()))
}

fn stop(folder: &Path) -> io::Result<()> {
    let file = pid_file(folder);
    let Some(pid) = fs::read_to_string(&file).ok().and_then(|pid| pid.trim().parse().ok()) else {
        return say("the web server does not run");
    };
    let Some(pid) = Pid::from_raw(pid) else { return Ok(()) };
    // It may have ended by itself.
    let _ = kill_process(pid, Signal::TERM);
    let began = Instant::now();
    while test_kill_process(pid).is_ok() {
        if began.elapsed() > STOP_MOST {
            return Err(io::Error::other(format!("process {pid} does not end")));
        }
        std::thread::sleep(LOOK);
    }
    fs::remove_file(file)?;
    say("the web server has ended")
}

fn pid_file(folder: &Path) -> PathBuf {
    folder.join("server.pid")
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// The web server. It ends when the demo has ended without stopping it.
fn serve(port: u16, demo: i32) -> io::Result<()> {
    std::thread::sleep(BOOT);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let began = Instant::now();
    std::thread::spawn(move || {
        // One page at a time is enough for a demo.
        for client in listener.incoming().flatten() {
            // A client that went away is its own loss.
            let _ = answer(client, began);
        }
    });
    while Pid::from_raw(demo).is_some_and(|demo| test_kill_process(demo).is_ok()) {
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn answer(client: TcpStream, began: Instant) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut request = BufReader::new(&client);
    let mut line = String::new();
    while io::Read::take(&mut request, 8192).read_line(&mut line)? > 2 {
        line.clear();
    }
    let up = began.elapsed().as_secs();
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Dormouse</title>\n\
         <h1>Good morning.</h1>\n\
         <p>This web server is process {}, and has been up for {up} seconds.</p>\n\
         <p>Leave it alone for five seconds, and Dormouse stops it. Load this page again, and \
         Dormouse starts it again.</p>\n",
        std::process::id(),
    );
    let mut client = &client;
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{page}",
        page.len(),
    )
}
