//! Random connections over one path of the relay, many at a time, between sockets of our own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dormouse::config;
use dormouse::service::relay::{End, Mode, Outcome, Paths, Usage, relay};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::dice::Dice;
use crate::pattern;
use crate::plan::Plan;
use crate::side;
use crate::verdict::judge;
use crate::{Progress, Row, process};

/// How many connections there are at a time.
const AT_A_TIME: usize = 32;

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What has been done so far.
#[derive(Default)]
struct Done {
    /// How many connections were begun.
    begun: AtomicU64,
    /// How many were reset, so that the relay saw it.
    reset: AtomicU64,
    /// How many bytes were delivered.
    bytes: AtomicU64,
    /// The most that was held in buffers and pipes, in bytes, of what was seen.
    held: AtomicU64,
}

/// Passes on so many bytes, and says how it went, or what was wrong.
pub(crate) fn pass(mode: Mode, bytes: u64, seed: u64) -> Result<Row, String> {
    let runtime = Runtime::new().expect("a runtime");
    // The workers open theirs when they begin.
    runtime.block_on(async { tokio::spawn(pair(None, None)).await.expect("no panic") });
    let (before, began) = (process::Usage::now(), Instant::now());
    let paths = Paths::new(mode, config::Relay::default().memory);
    let done = Arc::new(Done::default());

    runtime.block_on(work(bytes, seed, &paths, &done, &format!("{mode:?}")))?;

    let usage = paths.usage();
    if (Usage { spare_pipes: 0, ..usage }) != Usage::default() {
        return Err(format!("the relay still holds {usage:?}"));
    }
    drop(paths);
    process::await_descriptors(before.descriptors)?;
    let (connections, reset) =
        (done.begun.load(Ordering::Relaxed), done.reset.load(Ordering::Relaxed));
    Ok(Row {
        part: format!("relay, {mode:?}"),
        connections,
        bytes: done.bytes.load(Ordering::Relaxed),
        time: began.elapsed(),
        before,
        after: process::Usage::now(),
        notes: format!(
            "{reset} connections reset, {:.1} MiB held at most, {} spare pipes at the end",
            done.held.load(Ordering::Relaxed) as f64 / f64::from(1 << 20),
            usage.spare_pipes,
        ),
    })
}

async fn work(
    bytes: u64,
    seed: u64,
    paths: &Paths,
    done: &Arc<Done>,
    name: &str,
) -> Result<(), String> {
    let mut workers: JoinSet<Result<(), String>> = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let (paths, done) = (paths.clone(), Arc::clone(done));
        workers.spawn(async move {
            while done.bytes.load(Ordering::Relaxed) < bytes {
                let number = done.begun.fetch_add(1, Ordering::Relaxed);
                let plan = Plan::new(&mut Dice::new(seed ^ number.rotate_left(40)));
                let outcome = connect(plan, &paths)
                    .await
                    .map_err(|fault| format!("connection {number}: {fault}"))?;
                done.note(&outcome, &paths);
            }
            Ok(())
        });
    }
    let mut progress = Progress::new();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            worker = workers.join_next() => match worker {
                Some(worker) => worker.expect("no panic")?,
                None => return Ok(()),
            },
            _ = tick.tick() => {}
        }
        progress.report(|| {
            let (begun, passed) =
                (done.begun.load(Ordering::Relaxed), done.bytes.load(Ordering::Relaxed));
            format!("{name}: {:.1} GB, {begun} connections", passed as f64 / 1e9)
        });
    }
}

impl Done {
    fn note(&self, outcome: &Outcome, paths: &Paths) {
        self.bytes.fetch_add(outcome.to_target + outcome.to_client, Ordering::Relaxed);
        if let End::Reset(_) = outcome.end {
            self.reset.fetch_add(1, Ordering::Relaxed);
        }
        let usage = paths.usage();
        let held = usage.buffer_bytes + ((usage.pipes + usage.spare_pipes) << 20);
        self.held.fetch_max(held as u64, Ordering::Relaxed);
    }
}

/// Makes one connection, sees it to its end, and says what was wrong.
async fn connect(plan: Plan, paths: &Paths) -> Result<Outcome, String> {
    let (client, client_inside) = pair(None, plan.client.receive_buffer).await;
    let (target_inside, target) = pair(plan.target.receive_buffer, None).await;
    if let Some(size) = plan.send_buffer {
        for inside in [&client_inside, &target_inside] {
            SockRef::from(inside).set_send_buffer_size(size as usize).expect("set");
        }
    }
    let early = pattern::at(plan.client.start, plan.early as usize).to_vec();
    let relay = tokio::spawn(relay(client_inside, target_inside, early, paths));

    let plan = Arc::new(plan);
    let client = tokio::spawn({
        let plan = Arc::clone(&plan);
        async move { side::play(&plan.client, client, plan.early, plan.target.start).await }
    });
    let target = tokio::spawn({
        let plan = Arc::clone(&plan);
        async move { side::play(&plan.target, target, 0, plan.client.start).await }
    });
    let Ok((client, target, outcome)) =
        timeout(PATIENCE, async { tokio::join!(client, target, relay) }).await
    else {
        return Err(format!("no end after {PATIENCE:?}: {plan:#?}"));
    };
    let client = client.expect("no panic");
    let target = target.expect("no panic");
    let outcome = outcome.expect("no panic");
    match judge(&plan, &client, &target, &outcome) {
        Ok(()) => Ok(outcome),
        Err(fault) => Err(format!(
            "{fault}: {plan:#?}, client: {client:#?}, target: {target:#?}, {outcome:#?}"
        )),
    }
}

/// Two sockets that are connected to each other: whoever connected, and whoever accepted; and the
/// sizes of the receive buffers, of the one that accepts first.
async fn pair(accepted: Option<u32>, connected: Option<u32>) -> (TcpStream, TcpStream) {
    let socket = |receive_buffer: Option<u32>| {
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(size) = receive_buffer {
            socket.set_recv_buffer_size(size).expect("set");
        }
        socket
    };
    let listener = socket(accepted);
    listener.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
    let listener = listener.listen(1).expect("a listener");
    let address = listener.local_addr().expect("its address");
    let (connected, accepted) = tokio::join!(socket(connected).connect(address), listener.accept());
    let (connected, (accepted, _)) =
        (connected.expect("a connection"), accepted.expect("a connection"));
    for stream in [&connected, &accepted] {
        stream.set_nodelay(true).expect("set");
    }
    (connected, accepted)
}
