//! What an awake service costs a client, beside a direct connection in the same run: connections
//! one after the other, and bytes in bulk. `cargo xtask bench` compares with other proxies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that fails here should fail loudly"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dormouse::config::{self, Decider, OnGateError, OnIdlenessError, PluginId, Target, Wakes};
use dormouse::decide::{Answer, CallContext, Cause, Deciders, Failure, Leftover, Lifecycle};
use dormouse::service::relay::{Mode, Paths};
use dormouse::service::{Ground, Lanes, Service, Slots, socket};
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;

const BULK: usize = 64 << 20;

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

/// Answers each connection with as many bytes as it was sent, once they have all come.
fn target() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            std::thread::spawn(move || {
                let mut buffer = vec![0; 256 << 10];
                let mut count = 0;
                while let Ok(read @ 1..) = client.read(&mut buffer) {
                    count += read as u64;
                }
                let _ = client.write_all(&count.to_le_bytes());
            });
        }
    });
    address
}

fn service(target: SocketAddr, lanes: &Lanes, decisions: &Runtime) -> SocketAddr {
    let listener = socket::listen("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let address = listener.local_addr().unwrap();
    let config = config::Service {
        name: "bench".to_owned(),
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
        connect_timeout: Duration::from_secs(5),
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
    let ground = Ground {
        lanes: lanes.all(),
        decisions: decisions.handle().clone(),
        drivers: TaskTracker::new(),
        writers: TaskTracker::new(),
        paths: Paths::new(Mode::Adaptive, config::Relay::default().memory),
        state_dir: std::env::temp_dir().join("dormouse-bench"),
        slots: Slots::unlimited(),
        own_listeners: Arc::default(),
    };
    let deciders =
        Deciders { lifecycle: Arc::new(AlwaysUp), readiness: None, gate: None, idleness: None };
    let service = Service::start(
        config,
        vec![(address, listener)],
        &ground,
        std::future::ready(Some(deciders)),
    );
    // It serves as long as its lanes and their runtime.
    drop(service);
    // The first client is held until the service knows that the target is up.
    assert_eq!(exchange(address, b"x"), 1);
    address
}

/// Sends bytes, ends, and returns the target's answer.
fn exchange(address: SocketAddr, bytes: &[u8]) -> u64 {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(bytes).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut count = [0; 8];
    client.read_exact(&mut count).unwrap();
    u64::from_le_bytes(count)
}

fn awake(criterion: &mut Criterion) {
    let (lanes, decisions) = (Lanes::for_this_machine().unwrap(), Runtime::new().unwrap());
    let direct = target();
    let proxied = service(direct, &lanes, &decisions);
    let ways = [("direct", direct), ("through Dormouse", proxied)];

    let mut group = criterion.benchmark_group("connection: connect, 1 byte, answer, close");
    group.throughput(Throughput::Elements(1));
    for (name, address) in ways {
        group.bench_function(name, |bencher| bencher.iter(|| exchange(address, b"x")));
    }
    group.finish();

    let bytes = vec![7; BULK];
    let mut group = criterion.benchmark_group("bulk: 64 MiB to the target");
    group.throughput(Throughput::Bytes(BULK as u64)).sample_size(20);
    for (name, address) in ways {
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(exchange(address, &bytes), BULK as u64));
        });
    }
    group.finish();
}

criterion_group!(benches, awake);
criterion_main!(benches);
