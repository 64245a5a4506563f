//! Clients in thousands, through a whole service: they come, hear an echo, and all leave, half of
//! them by a reset; again and again. Nothing may be left of them.
//!
//! Client, proxy and target are one process, so that a connection costs four descriptors, and as
//! many are open at a time as the limit of descriptors has room for.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dormouse::config::{self, Decider, OnGateError, OnIdlenessError, PluginId, Target, Wakes};
use dormouse::decide::{Answer, CallContext, Cause, Deciders, Failure, Leftover, Lifecycle};
use dormouse::service::relay::{Mode, Paths};
use dormouse::service::{Ground, Lanes, Service, Slots, socket};
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::{Progress, Row, process};

/// How many connections there are in a round.
const ROUND: usize = 10_000;

/// How many clients are connecting at a time: fewer than a listener may have waiting.
const CONNECTING: usize = 512;

/// How long each step of all clients together may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// From so many rounds on memory is judged: it may not grow in the second half of them. In the
/// first twenty it does, until each of the allocator's arenas (one for each thread) has seen its
/// share of clients; with `MALLOC_ARENA_MAX=1` it hardly does.
const JUDGED: u32 = 40;

/// How much more memory is no growth, in bytes: four for each connection of the second half, if
/// there are a hundred rounds.
const SCATTER: u64 = 2 << 20;

/// What a client asks the target for.
const ECHO: u8 = b'e';
const END: u8 = b'.';
const RESET: u8 = b'!';

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    ClientEnds,
    TargetEnds,
    ClientResets,
    TargetResets,
}

const FAREWELLS: [Farewell; 4] =
    [Farewell::ClientEnds, Farewell::ClientResets, Farewell::TargetEnds, Farewell::TargetResets];

/// A target that is up and stays up.
struct AlwaysUp;

impl Lifecycle for AlwaysUp {
    fn start(&self, _: Cause, _: Duration, _: CallContext) -> Answer<'_, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&self, _: Cause, _: Duration, _: CallContext) -> Answer<'_, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn await_leftover(&self, _: Leftover, _: CallContext) -> Answer<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What the target has seen.
#[derive(Default)]
struct Seen {
    inside: AtomicU64,
    ends: AtomicU64,
    resets: AtomicU64,
}

/// Opens and closes ten thousand connections so many times, and says how that went, or what was
/// left of them.
pub(crate) fn turn_over(rounds: u32) -> Result<Row, String> {
    let outside = Runtime::new().expect("a runtime");
    let lanes = Lanes::for_this_machine().expect("threads");
    let decisions = Runtime::new().expect("a runtime");
    let without = process::descriptors();
    let began = Instant::now();

    let seen = Arc::new(Seen::default());
    let target = outside.block_on(target(Arc::clone(&seen)));
    let paths = Paths::new(Mode::Adaptive, config::Relay::default().memory);
    let ground = Ground {
        lanes: lanes.all(),
        decisions: decisions.handle().clone(),
        drivers: TaskTracker::new(),
        writers: TaskTracker::new(),
        paths: paths.clone(),
        state_dir: std::env::temp_dir().join("dormouse-bench"),
        slots: Slots::unlimited(),
        own_listeners: Arc::default(),
    };
    let (service, address) = serve(target, &ground);
    let crowd = Crowd { address, service: &service, seen: &seen };
    // The first client is held until the service knows that the target is up.
    outside.block_on(crowd.greet())?;

    let before = process::Usage::now();
    let at_once = room().min(ROUND);
    let waves = ROUND.div_ceil(at_once);
    let mut progress = Progress::new();
    let mut half_way = None;
    for round in 1..=rounds {
        for wave in 0..waves {
            let size = ROUND * (wave + 1) / waves - ROUND * wave / waves;
            outside
                .block_on(crowd.come_and_go(size))
                .map_err(|fault| format!("round {round}, wave {wave} of {size}: {fault}"))?;
            process::await_descriptors(before.descriptors)
                .map_err(|fault| format!("round {round}, wave {wave}: {fault}"))?;
        }
        let memory = process::Usage::now();
        progress.report(|| format!("service: round {round}, {:.1} MiB", memory.mebibytes()));
        if rounds >= JUDGED && round == rounds / 2 {
            half_way = Some(memory);
        }
    }
    let after = process::Usage::now();
    let mut notes = format!("up to {} at once", ROUND.div_ceil(waves));
    if let Some(half_way) = half_way {
        notes += &format!(", {:.1} MiB of memory after half of the rounds", half_way.mebibytes());
        if after.memory > half_way.memory + SCATTER {
            return Err(format!(
                "memory grew from {:.1} MiB after half of the rounds to {:.1} MiB after all",
                half_way.mebibytes(),
                after.mebibytes(),
            ));
        }
    }

    service.exit();
    ground.drivers.close();
    let drivers = decisions.block_on(async { timeout(PATIENCE, ground.drivers.wait()).await });
    drivers.map_err(|_| "the service goes on after its exit".to_owned())?;
    drop(service);
    // The target's listener is still there.
    process::await_descriptors(without + 1)?;
    Ok(Row {
        part: "service".to_owned(),
        connections: rounds as u64 * ROUND as u64,
        bytes: 0,
        time: began.elapsed(),
        before,
        after,
        notes,
    })
}

/// How many connections there are descriptors for.
fn room() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Some for the relay's pipes, and for whatever else there is.
    let free = limit.saturating_sub(process::descriptors() as u64 + 200);
    usize::try_from(free / 4).unwrap_or(usize::MAX).max(1)
}

/// Clients of a service.
struct Crowd<'service> {
    address: SocketAddr,
    service: &'service Service,
    seen: &'service Seen,
}

impl Crowd<'_> {
    /// One client comes and leaves, after whom the service knows its target, and has tried it.
    async fn greet(&self) -> Result<(), String> {
        for client in self.come(1).await? {
            leave(client, Farewell::ClientEnds).await?;
        }
        self.are_inside(0).await
    }

    /// So many clients come, are all there at the same time, and leave.
    async fn come_and_go(&self, size: usize) -> Result<(), String> {
        let (ends, resets) =
            (self.seen.ends.load(Ordering::Relaxed), self.seen.resets.load(Ordering::Relaxed));
        let clients = self.come(size).await?;
        self.are_inside(size as u64).await?;

        let mut leaving = JoinSet::new();
        for (client, farewell) in clients.into_iter().zip(FAREWELLS.into_iter().cycle()) {
            leaving.spawn(leave(client, farewell));
        }
        gather(leaving).await?;
        self.are_inside(0).await?;

        let ends = self.seen.ends.load(Ordering::Relaxed) - ends;
        let resets = self.seen.resets.load(Ordering::Relaxed) - resets;
        let due = |way| FAREWELLS.iter().cycle().take(size).filter(|due| **due == way).count();
        // By its own reset the target counts nothing.
        if ends != (due(Farewell::ClientEnds) + due(Farewell::TargetEnds)) as u64
            || resets != due(Farewell::ClientResets) as u64
        {
            return Err(format!("the target saw {ends} ends and {resets} resets of {size}"));
        }
        Ok(())
    }

    async fn come(&self, size: usize) -> Result<Vec<TcpStream>, String> {
        let turns = Arc::new(Semaphore::new(CONNECTING));
        let mut coming = JoinSet::new();
        for _ in 0..size {
            let (turns, address) = (Arc::clone(&turns), self.address);
            coming.spawn(async move {
                let _turn = turns.acquire().await;
                come(address).await.map_err(|error| format!("a client can't come in: {error}"))
            });
        }
        gather(coming).await
    }

    /// Waits until so many are inside, of the service and of the target.
    async fn are_inside(&self, wanted: u64) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (service, target) =
                (self.service.inside(), self.seen.inside.load(Ordering::Acquire));
            if (service, target) == (wanted, wanted) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{service} are inside of the service and {target} of the target, not {wanted}"
                ));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// What all of them came to, or the first fault.
async fn gather<T: 'static>(mut tasks: JoinSet<Result<T, String>>) -> Result<Vec<T>, String> {
    let all = async {
        let mut results = Vec::with_capacity(tasks.len());
        while let Some(result) = tasks.join_next().await {
            results.push(result.expect("no panic")?);
        }
        Ok(results)
    };
    timeout(PATIENCE, all).await.unwrap_or_else(|_| Err(format!("not done after {PATIENCE:?}")))
}

/// Connects and hears an echo.
async fn come(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut client = TcpStream::connect(address).await?;
    client.write_all(&[ECHO]).await?;
    let mut echo = [0];
    client.read_exact(&mut echo).await?;
    assert_eq!(echo, [ECHO]);
    Ok(client)
}

/// Ends a connection, and looks at how the client hears of that.
async fn leave(mut client: TcpStream, farewell: Farewell) -> Result<(), String> {
    let mut rest = [0];
    let heard = match farewell {
        Farewell::ClientResets => {
            return client.set_zero_linger().map_err(|error| error.to_string());
        }
        Farewell::ClientEnds => {
            client.shutdown().await.map_err(|error| error.to_string())?;
            client.read(&mut rest).await
        }
        Farewell::TargetEnds | Farewell::TargetResets => {
            let wish = if farewell == Farewell::TargetEnds { END } else { RESET };
            client.write_all(&[wish]).await.map_err(|error| error.to_string())?;
            client.read(&mut rest).await
        }
    };
    match (farewell, heard.map_err(|error| error.kind())) {
        (Farewell::ClientEnds | Farewell::TargetEnds, Ok(0)) => Ok(()),
        (Farewell::TargetResets, Err(ErrorKind::ConnectionReset)) => Ok(()),
        (_, heard) => Err(format!("{farewell:?}, and the client heard {heard:?}")),
    }
}

/// A target that does what its clients ask for.
async fn target(seen: Arc<Seen>) -> SocketAddr {
    let listener =
        socket::listen("127.0.0.1:0".parse().expect("an address"), None).expect("a port");
    let listener = TcpListener::from_std(listener).expect("a listener");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.expect("a client");
            seen.inside.fetch_add(1, Ordering::Relaxed);
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut client = client;
                match answer(&mut client).await {
                    Ok(()) => seen.ends.fetch_add(1, Ordering::Relaxed),
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                        seen.resets.fetch_add(1, Ordering::Relaxed)
                    }
                    Err(_) => 0,
                };
                drop(client);
                seen.inside.fetch_sub(1, Ordering::Release);
            });
        }
    });
    address
}

/// Answers one client to its end.
async fn answer(client: &mut TcpStream) -> std::io::Result<()> {
    let mut wish = [0];
    while client.read(&mut wish).await? > 0 {
        match wish[0] {
            END => client.shutdown().await?,
            RESET => {
                client.set_zero_linger()?;
                return Err(ErrorKind::Other.into());
            }
            _ => client.write_all(&wish).await?,
        }
    }
    Ok(())
}

fn serve(target: SocketAddr, ground: &Ground) -> (Service, SocketAddr) {
    let listener =
        socket::listen("127.0.0.1:0".parse().expect("an address"), None).expect("a port");
    let address = listener.local_addr().expect("its address");
    let config = config::Service {
        name: "soak".to_owned(),
        listen: vec![address.into()],
        target: Target { host: target.ip().to_string(), port: target.port() },
        lifecycle: PluginId(0),
        readiness: Decider::Nobody,
        gate: Decider::Nobody,
        idleness: Decider::Nobody,
        cooldown: Duration::from_secs(3600),
        start_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(60),
        hold_timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(30),
        max_held: 4096,
        gate_timeout: Duration::from_secs(10),
        max_gates: 256,
        on_gate_error: OnGateError::Wake,
        on_idleness_error: OnIdlenessError::Sleep,
        wakes: Wakes::default(),
        keepalive: Some(Duration::from_secs(60)),
        stop_on_exit: false,
        probe_while_asleep: None,
    };
    let deciders =
        Deciders { lifecycle: Arc::new(AlwaysUp), readiness: None, gate: None, idleness: None };
    let listeners = vec![(address, listener)];
    let service = Service::start(config, listeners, ground, std::future::ready(Some(deciders)));
    (service, address)
}
