//! Services: what stands between clients and one target.
//!
//! ```text
//!  listener ── accepts ──▶ client ── door open ──▶ dial ──▶ relay
//!                            │                       ▲
//!                            └─ waits ─▶ driver ─ admits
//!                                         │  ▲
//!                              lifecycle ◀┘  └─ deciders (plugins), by the port `decide`
//! ```
//!
//! Clients are served on [`Lanes`], one thread each; drivers, plugins and hooks live on a runtime of
//! their own, *decisions*, so that nothing a plugin does takes a lane away from a connection.

pub mod capacity;
mod client;
pub mod dial;
mod dialers;
mod door;
mod driver;
mod gate;
mod lanes;
mod listener;
mod message;
mod origin;
mod presence;
mod recorder;
pub mod relay;
mod slots;
pub mod socket;
mod throttle;
mod whereabouts;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use dial::{DialError, Dialer, OwnListeners};
use dialers::Dialers;
use door::Door;
use driver::{Driver, Reach};
use gate::Gates;
pub use lanes::{Lane, Lanes};
use message::Message;
use recorder::Recorder;
use relay::Paths;
use slots::Member;
pub use slots::Slots;
use throttle::Throttle;
use whereabouts::Whereabouts;

use crate::config;
use crate::decide::{self, Client, Deciders};
use crate::lifecycle::{ClientId, Phase};

/// How many held clients are connected to the target at a time. All at once would overflow the
/// queue of a server that has just begun to listen, and what the kernel drops there it tries again
/// only a second later.
const CONNECTS: usize = 64;

/// A running service.
pub struct Service {
    shared: Arc<Shared>,
    closing: CancellationToken,
}

/// What all parts of a service have at hand.
struct Shared {
    config: config::Service,
    door: Arc<Door>,
    inbox: mpsc::UnboundedSender<Message>,
    dialers: Arc<Dialers>,
    paths: Paths,
    slots: Arc<Member>,
    /// Where plugins run.
    decisions: Handle,
    /// The bounds of the conversations at the gate.
    gates: Gates,
    /// One permit for each held client that is being connected.
    connects: Semaphore,
    phase: AtomicU8,
    next_client: AtomicU64,
    accept_errors: Throttle,
    accept_pauses: Throttle,
    gate_errors: Throttle,
    gate_refusals: Throttle,
    dial_errors: Throttle,
}

/// What services run on, and what they share.
#[derive(Clone)]
pub struct Ground {
    /// Where clients are served. Never empty.
    pub lanes: Arc<[Lane]>,
    /// Where decisions are made. Not on a lane, or a plugin holds up connections.
    pub decisions: Handle,
    /// The drivers: each ends when there is nothing left to do after [`Service::exit`].
    pub drivers: TaskTracker,
    /// The threads that write down what is under way.
    pub writers: TaskTracker,
    /// How bytes are passed on.
    pub paths: Paths,
    /// Where services keep what outlasts a restart.
    pub state_dir: PathBuf,
    /// How many clients there may be at once, over all services.
    pub slots: Slots,
    /// The listeners of all services: no target leads to one of them.
    pub own_listeners: Arc<OwnListeners>,
}

impl Service {
    /// Starts to serve the clients of these listeners. `deciders` may take its time: clients are
    /// held meanwhile. Without deciders clients are refused.
    pub fn start(
        config: config::Service,
        listeners: Vec<(SocketAddr, std::net::TcpListener)>,
        ground: &Ground,
        deciders: impl Future<Output = Option<Deciders>> + Send + 'static,
    ) -> Service {
        let keepalive = config.keepalive.map(socket::Keepalive::after);
        let dialer = Dialer::new(config.target.clone(), config.connect_timeout, keepalive);
        let dialer = Arc::new(dialer.with_own_listeners(Arc::clone(&ground.own_listeners)));
        let (shared, inbox) = Shared::new(config, dialer, ground);
        let reach: Arc<dyn Reach> = Arc::new(Whereabouts::new(
            &shared.config.name,
            Arc::clone(&shared.dialers),
            &ground.state_dir,
            ground.writers.clone(),
            ground.decisions.clone(),
        ));
        let recorder = Recorder::new(
            &shared.config.name,
            &shared.config.target,
            &ground.state_dir,
            ground.writers.clone(),
            ground.decisions.clone(),
        );
        let driver = Driver::new(Arc::clone(&shared), inbox, reach, Arc::clone(&recorder), seed());
        ground.drivers.spawn_on(driver.drive(), &ground.decisions);
        ground.decisions.spawn(boot(Arc::clone(&shared), recorder, deciders));
        let closing = CancellationToken::new();
        // Each listener on a lane of its own, as far as they go.
        for ((address, listener), lane) in listeners.into_iter().zip(ground.lanes.iter().cycle()) {
            let (shared, closing) = (Arc::clone(&shared), closing.clone());
            let lanes = Arc::clone(&ground.lanes);
            lane.spawn(listener::listen(shared, listener, address, lanes, closing));
        }
        Service { shared, closing }
    }

    /// Begins the exit: no new clients, and nobody waits any longer. Those inside may finish.
    pub fn exit(&self) {
        self.closing.cancel();
        let _ = self.shared.inbox.send(Message::Exit);
    }

    /// How many clients are inside.
    pub fn inside(&self) -> u64 {
        self.shared.door.inside()
    }

    /// The time for those inside is up: they have been cut off.
    pub fn cut(&self) {
        let _ = self.shared.inbox.send(Message::Cut);
    }
}

/// Waits for the deciders and reads what the last run had under way (rule 10).
async fn boot(
    shared: Arc<Shared>,
    recorder: Arc<Recorder>,
    deciders: impl Future<Output = Option<Deciders>>,
) {
    let deciders = deciders.await;
    let loading = shared.decisions.spawn_blocking(move || recorder.load());
    // An error only when the runtime shuts down.
    let Ok(under_way) = loading.await else { return };
    let _ = shared.inbox.send(Message::Booted { deciders, under_way });
}

/// Something that differs between services and between runs; never 0.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) | 1
}

impl Shared {
    fn new(
        config: config::Service,
        dialer: Arc<Dialer>,
        ground: &Ground,
    ) -> (Arc<Shared>, mpsc::UnboundedReceiver<Message>) {
        let (inbox, received) = mpsc::unbounded_channel();
        let driver = inbox.clone();
        let make_room = move || {
            let _ = driver.send(Message::MakeRoom);
        };
        let door = Arc::new(Door::default());
        let connected = {
            let door = Arc::clone(&door);
            move || usize::try_from(door.inside()).unwrap_or(usize::MAX)
        };
        let shared = Shared {
            gates: Gates::new(config.max_gates),
            connects: Semaphore::new(CONNECTS),
            dialers: Arc::new(Dialers::new(&config, dialer, &ground.own_listeners)),
            config,
            door,
            inbox,
            paths: ground.paths.clone(),
            slots: ground.slots.join(make_room, connected),
            decisions: ground.decisions.clone(),
            phase: AtomicU8::new(decide::Phase::Asleep as u8),
            next_client: AtomicU64::new(0),
            accept_errors: Throttle::default(),
            accept_pauses: Throttle::default(),
            gate_errors: Throttle::default(),
            gate_refusals: Throttle::default(),
            dial_errors: Throttle::default(),
        };
        (Arc::new(shared), received)
    }

    fn next_client(&self) -> ClientId {
        ClientId(self.next_client.fetch_add(1, Ordering::Relaxed))
    }

    /// What the service believes of its target, for everybody to see.
    fn phase(&self) -> decide::Phase {
        let phase = self.phase.load(Ordering::Relaxed);
        [decide::Phase::Starting, decide::Phase::Awake, decide::Phase::Stopping]
            .into_iter()
            .find(|known| *known as u8 == phase)
            .unwrap_or(decide::Phase::Asleep)
    }

    fn publish(&self, phase: Phase) {
        let phase = match phase {
            Phase::Asleep => decide::Phase::Asleep,
            Phase::Starting => decide::Phase::Starting,
            Phase::Awake => decide::Phase::Awake,
            Phase::Stopping => decide::Phase::Stopping,
        };
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// A client is closed because Dormouse itself has run out of something.
    fn cannot_dial(&self, client: Client, error: &DialError) {
        if let Some(count) = self.dial_errors.count(Instant::now()) {
            tracing::error!(
                service = %self.config.name,
                client = %client.address,
                %error,
                recent = count.recent,
                all = count.all,
                "client closed: Dormouse can't connect it",
            );
        }
    }

    /// A client is closed because the port that it wants is not open, though the server is up.
    fn port_is_closed(&self, client: Client, error: &DialError) {
        if let Some(count) = self.dial_errors.count(Instant::now()) {
            tracing::warn!(
                service = %self.config.name,
                client = %client.address,
                listener = %client.listener,
                %error,
                recent = count.recent,
                all = count.all,
                "client closed: the target is up, but the port of this listener is not open",
            );
        }
    }

    /// Whether a connection to the target of the service is one for this client.
    fn wants_target(&self, client: Client) -> bool {
        self.dialers.own(client.listener).is_none()
    }

    fn refused_at_gate(&self, client: Client, reason: &str) {
        if let Some(count) = self.gate_refusals.count(Instant::now()) {
            tracing::info!(
                service = %self.config.name,
                client = %client.address,
                reason,
                recent = count.recent,
                all = count.all,
                "client closed at the gate",
            );
        }
    }
}
