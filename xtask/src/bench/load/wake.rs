//! A wake. Clients connect while the target is down and send a byte; the proxy runs its start hook,
//! which tells this process; some time later this process begins to listen as the target, and
//! answers. All times are of one clock.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use super::Arguments;
use super::backend::{ECHO, echo, listen};
use super::stats::{Failures, print, print_some};

/// How long a client waits.
const GIVE_UP: Duration = Duration::from_secs(30);

/// Prints, in milliseconds: `hook_ms` from the first connect to the hook; from the target's
/// listening `first_ms` to the first held byte there, and `last_ms` to the last client's answer.
/// Prints how many clients were `served`, and how often the hook ran.
pub async fn run(arguments: &Arguments<'_>) -> io::Result<()> {
    LocalSet::new().run_until(wake(arguments)).await
}

async fn wake(arguments: &Arguments<'_>) -> io::Result<()> {
    let proxy: SocketAddr = arguments.get("--connect")?;
    let target: SocketAddr = arguments.get("--target")?;
    let count: usize = arguments.get("--clients")?;
    let delay = Duration::from_millis(arguments.get("--delay-ms")?);
    let hooks = UdpSocket::bind(arguments.get::<SocketAddr>("--hear")?).await?;

    let begin = Instant::now();
    let hook = tokio::task::spawn_local(async move {
        let (_, from) = hooks.recv_from(&mut [0; 16]).await?;
        io::Result::Ok((Instant::now(), from, hooks))
    });
    let (mut clients, mut failures) = connect(proxy, count).await;
    let (hook_ran, waiting, hooks) = timeout(GIVE_UP, hook)
        .await
        .map_err(|_| io::Error::other("the start hook never ran"))???;

    sleep(delay).await;
    let first_byte = Rc::new(Cell::new(None));
    let listener = listen(target)?;
    let listening = Instant::now();
    tokio::task::spawn_local(accept(listener, Rc::clone(&first_byte)));
    let hook_runs = tokio::task::spawn_local(answer_hooks(hooks, waiting));

    let mut served = 0;
    let mut last = None;
    while let Some(client) = clients.join_next().await {
        match client? {
            Ok(at) => {
                served += 1;
                last = last.max(Some(at));
            }
            Err(error) => failures.add(error),
        }
    }
    let since_listening = |at: Instant| (at - listening).as_secs_f64() * 1e3;
    print("hook_ms", (hook_ran - begin).as_secs_f64() * 1e3);
    print_some("first_ms", first_byte.get().map(since_listening));
    print_some("last_ms", last.map(since_listening));
    print("served", f64::from(served));
    if hook_runs.is_finished() {
        failures.add("the hook ran more than once");
    }
    failures.print();
    Ok(())
}

/// Opens the connections one after the other, so that no listener's queue overflows, and has each
/// send its byte. A client ends with the time of its answer.
async fn connect(proxy: SocketAddr, count: usize) -> (JoinSet<io::Result<Instant>>, Failures) {
    let mut clients = JoinSet::new();
    let mut failures = Failures::default();
    for _ in 0..count {
        match TcpStream::connect(proxy).await {
            Ok(stream) => {
                clients.spawn_local(client(stream));
            }
            Err(error) => failures.add(error),
        }
    }
    (clients, failures)
}

async fn client(mut stream: TcpStream) -> io::Result<Instant> {
    stream.write_all(&[ECHO]).await?;
    timeout(GIVE_UP, stream.read_exact(&mut [0])).await??;
    Ok(Instant::now())
}

/// Tells the hook that waits that the target listens, and ends when a further hook runs.
async fn answer_hooks(hooks: UdpSocket, waiting: SocketAddr) {
    // A hook that does not wait is gone by then, which is no failure.
    let _ = hooks.send_to(b"up", waiting).await;
    while hooks.recv_from(&mut [0; 16]).await.is_err() {
        sleep(Duration::from_millis(1)).await;
    }
}

async fn accept(listener: TcpListener, first_byte: Rc<Cell<Option<Instant>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let first_byte = Rc::clone(&first_byte);
        tokio::task::spawn_local(serve(stream, first_byte));
    }
}

async fn serve(mut stream: TcpStream, first_byte: Rc<Cell<Option<Instant>>>) -> io::Result<()> {
    let mut byte = [0];
    stream.read_exact(&mut byte).await?;
    if first_byte.get().is_none() {
        first_byte.set(Some(Instant::now()));
    }
    stream.write_all(&byte).await?;
    echo(stream).await
}
