//! The driver with scripted deciders and a paused clock, and without sockets: hours pass in
//! milliseconds, and each script has to be played to its end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{advance, timeout};
use tokio_util::task::TaskTracker;

use super::*;
use crate::config::{Decider, OnGateError, OnIdlenessError, PluginId, Service, Wakes};
use tempfile::TempDir;

use crate::decide::{Answer, CallContext, Conversation, Gate, Idleness, Judge, Leftover};
use crate::lifecycle::Reason;
use crate::service::dial::Dialer;
use crate::service::door::Inside;
use crate::service::message::Refusal;
use crate::service::relay::{Mode, Paths};
use crate::service::{Ground, Lane, Slots};

/// What is asked next, and what is answered after so long.
#[derive(Debug)]
enum Step {
    Probe(bool),
    Start(Duration, Result<(), Failure>),
    Ready(Result<Readiness, Failure>),
    Stop(Duration, decide::Cause, Result<(), Failure>),
    MaySleep(Result<SleepVerdict, Failure>),
    Redirect(Option<&'static str>),
    /// The last run has left an address.
    Recall(&'static str),
    /// A start that never returns. When it is cancelled, it goes on for this time, and the flag is
    /// raised at its end.
    StartForEver(Duration, Arc<AtomicBool>),
    /// What the last run has left, for this time.
    Leftover(Duration),
    StartPanics,
}

const AT_ONCE: Duration = Duration::ZERO;

struct Script(Mutex<VecDeque<Step>>, Notify);

impl Script {
    #[track_caller]
    fn next(&self, asked: &str) -> Step {
        let step = self.0.lock().unwrap().pop_front();
        self.1.notify_one();
        step.unwrap_or_else(|| panic!("{asked} is asked after the end of the script"))
    }
}

impl decide::Lifecycle for Script {
    fn start(
        &self,
        cause: decide::Cause,
        _: Duration,
        context: CallContext,
    ) -> Answer<'_, Result<(), Failure>> {
        assert!(matches!(cause, decide::Cause::Client(_)));
        match self.next("start") {
            Step::Start(delay, result) => Box::pin(async move {
                tokio::time::sleep(delay).await;
                result
            }),
            Step::StartForEver(goes_on, ended) => Box::pin(async move {
                context.cancelled.cancelled().await;
                tokio::time::sleep(goes_on).await;
                ended.store(true, Ordering::SeqCst);
                Ok(())
            }),
            Step::StartPanics => Box::pin(async { panic!("a defect") }),
            other => panic!("start instead of {other:?}"),
        }
    }

    fn stop(
        &self,
        cause: decide::Cause,
        _: Duration,
        _: CallContext,
    ) -> Answer<'_, Result<(), Failure>> {
        match self.next("stop") {
            Step::Stop(delay, expected, result) => {
                assert_eq!(cause, expected);
                Box::pin(async move {
                    tokio::time::sleep(delay).await;
                    result
                })
            }
            other => panic!("stop instead of {other:?}"),
        }
    }

    fn await_leftover(&self, _: Leftover, _: CallContext) -> Answer<'_, ()> {
        match self.next("a leftover") {
            Step::Leftover(delay) => Box::pin(tokio::time::sleep(delay)),
            other => panic!("a leftover instead of {other:?}"),
        }
    }
}

impl Judge for Script {
    /// A look is scripted by the truth about the target, and readiness by the answer.
    fn ready(&self, _: u32, _: CallContext) -> Answer<'_, Result<Readiness, Failure>> {
        match self.next("ready") {
            Step::Ready(result) => Box::pin(async move { result }),
            Step::Probe(true) => Box::pin(async { Ok(Readiness::Ready(None)) }),
            Step::Probe(false) => Box::pin(async { Ok(Readiness::NotYet(String::new())) }),
            other => panic!("ready instead of {other:?}"),
        }
    }
}

impl Idleness for Script {
    fn should_sleep(
        &self,
        _: Duration,
        _: CallContext,
    ) -> Answer<'_, Result<SleepVerdict, Failure>> {
        match self.next("should-sleep") {
            Step::MaySleep(result) => Box::pin(async move { result }),
            other => panic!("should-sleep instead of {other:?}"),
        }
    }
}

impl Gate for Script {
    fn converse(&self, _: Client) -> Box<dyn Conversation> {
        panic!("conversations are the clients' business")
    }
}

impl Reach for Script {
    fn probe(&self) -> Answer<'_, Result<(), String>> {
        match self.next("probe") {
            Step::Probe(true) => Box::pin(async { Ok(()) }),
            Step::Probe(false) => Box::pin(async { Err("refused".to_owned()) }),
            other => panic!("probe instead of {other:?}"),
        }
    }

    fn until_ready(&self, _: Instant, mut report: Report) -> Answer<'_, Option<TcpStream>> {
        match self.next("readiness") {
            Step::Ready(Ok(Readiness::Ready(None))) => Box::pin(async { None }),
            Step::Ready(Ok(Readiness::NotYet(why))) => Box::pin(async move {
                report(why);
                std::future::pending().await
            }),
            other => panic!("readiness instead of {other:?}"),
        }
    }

    fn redirect(&self, target: Option<Target>) {
        let mut script = self.0.lock().unwrap();
        if let Some(Step::Redirect(expected)) = script.front() {
            assert_eq!(target, expected.map(|address| Target::parse(address).unwrap()));
            script.pop_front();
            self.1.notify_one();
        } else {
            assert_eq!(target, None, "redirected out of turn");
        }
    }

    fn recall(&self) -> Answer<'_, Option<Target>> {
        let mut script = self.0.lock().unwrap();
        let recalled = match script.front() {
            Some(Step::Recall(address)) => Some(Target::parse(address).unwrap()),
            _ => None,
        };
        if recalled.is_some() {
            script.pop_front();
        }
        Box::pin(std::future::ready(recalled))
    }
}

/// A service on a stage.
struct Stage {
    /// Where it writes down what is under way.
    state_dir: Arc<TempDir>,
    shared: Arc<Shared>,
    script: Arc<Script>,
    driver: JoinHandle<()>,
    next: u64,
}

/// A client that waits.
struct Waits {
    id: ClientId,
    orders: mpsc::UnboundedReceiver<Order>,
}

fn config() -> Service {
    Service {
        name: "scripted".to_owned(),
        listen: vec!["127.0.0.1:1".parse::<SocketAddr>().unwrap().into()],
        target: Target { host: "127.0.0.1".to_owned(), port: 1 },
        lifecycle: PluginId(0),
        readiness: Decider::Nobody,
        gate: Decider::Nobody,
        idleness: Decider::Nobody,
        cooldown: Duration::from_secs(600),
        start_timeout: Duration::from_secs(300),
        stop_timeout: Duration::from_secs(120),
        hold_timeout: Duration::from_secs(300),
        connect_timeout: Duration::from_secs(5),
        max_held: 10,
        gate_timeout: Duration::from_secs(10),
        max_gates: 5,
        on_gate_error: OnGateError::Wake,
        on_idleness_error: OnIdlenessError::Sleep,
        wakes: Wakes::default(),
        keepalive: None,
        stop_on_exit: false,
        probe_while_asleep: None,
    }
}

impl Stage {
    /// Readiness and idleness are scripted, too.
    fn new(config: Service, script: impl IntoIterator<Item = Step>) -> Stage {
        Stage::with(config, script, |script| {
            Some(Deciders {
                lifecycle: Arc::clone(script) as _,
                readiness: Some(Arc::clone(script) as _),
                gate: None,
                idleness: None,
            })
        })
    }

    fn with(
        config: Service,
        script: impl IntoIterator<Item = Step>,
        deciders: impl Fn(&Arc<Script>) -> Option<Deciders>,
    ) -> Stage {
        let state_dir = Arc::new(tempfile::tempdir().unwrap());
        Stage::in_folder(&state_dir, config, script, deciders)
    }

    /// The next run after one with the same folder.
    fn in_folder(
        state_dir: &Arc<TempDir>,
        config: Service,
        script: impl IntoIterator<Item = Step>,
        deciders: impl Fn(&Arc<Script>) -> Option<Deciders>,
    ) -> Stage {
        let script = Arc::new(Script(Mutex::new(script.into_iter().collect()), Notify::new()));
        let dialer = Dialer::new(config.target.clone(), config.connect_timeout, None);
        let ground = Ground {
            lanes: [Lane::on(Handle::current())].into(),
            decisions: Handle::current(),
            drivers: TaskTracker::new(),
            writers: TaskTracker::new(),
            paths: Paths::new(Mode::Copy, 1 << 20),
            state_dir: state_dir.path().to_owned(),
            slots: Slots::unlimited(),
            own_listeners: Arc::default(),
        };
        let (shared, inbox) = Shared::new(config, Arc::new(dialer), &ground);
        let (name, writers) = (shared.config.name.clone(), ground.drivers.clone());
        let recorder = Recorder::new(
            &name,
            &shared.config.target,
            &ground.state_dir,
            writers,
            Handle::current(),
        );
        let reach = Arc::clone(&script) as _;
        let driver = Driver::new(Arc::clone(&shared), inbox, reach, Arc::clone(&recorder), 0);
        let deciders = std::future::ready(deciders(&script));
        tokio::spawn(super::super::boot(Arc::clone(&shared), recorder, deciders));
        let state_dir = Arc::clone(state_dir);
        Stage { state_dir, shared, script, driver: tokio::spawn(driver.drive()), next: 1 }
    }

    fn arrive(&mut self) -> Waits {
        self.wait(None)
    }

    fn arrive_from(&mut self, address: &str) -> Waits {
        self.wait_from(SocketAddr::new(address.parse().unwrap(), 5555), None)
    }

    fn wait(&mut self, refused: Option<Refusal>) -> Waits {
        self.wait_from("192.0.2.1:5555".parse().unwrap(), refused)
    }

    fn wait_from(&mut self, address: SocketAddr, refused: Option<Refusal>) -> Waits {
        let (orders, received) = mpsc::unbounded_channel();
        let id = ClientId(self.next);
        self.next += 1;
        let client =
            Waiter { id, client: Client { address, listener: address }, orders, is_spare: false };
        self.tell(Message::Waits { client, refused });
        Waits { id, orders: received }
    }

    fn tell(&self, message: Message) {
        assert!(self.shared.inbox.send(message).is_ok());
    }

    /// Waits, in the clock's time, until everything in the script has been asked.
    async fn played(&self) {
        let played = async {
            while !self.script.0.lock().unwrap().is_empty() {
                self.script.1.notified().await;
            }
        };
        let left = || format!("not played: {:?}", self.script.0.lock().unwrap());
        timeout(Duration::from_secs(100_000), played)
            .await
            .unwrap_or_else(|_| panic!("{}", left()));
        // The last answer has its effect.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn finished(self) {
        timeout(Duration::from_secs(100_000), self.driver).await.unwrap().unwrap();
        assert!(self.script.0.lock().unwrap().is_empty());
    }
}

impl Waits {
    async fn order(&mut self) -> Order {
        let order = timeout(Duration::from_secs(100_000), self.orders.recv()).await.unwrap();
        order.expect("the driver is there")
    }

    async fn admitted(&mut self) -> Inside {
        match self.order().await {
            Order::Admit(inside, _) => inside,
            Order::Close(reason) => panic!("closed: {reason}"),
            Order::Judge(_) => panic!("judged"),
        }
    }

    async fn closed(&mut self) -> Reason {
        match self.order().await {
            Order::Close(reason) => reason,
            Order::Admit(..) => panic!("admitted"),
            Order::Judge(_) => panic!("judged"),
        }
    }
}

/// Deciders of which one has a say in sleep.
fn idle(script: &Arc<Script>) -> Option<Deciders> {
    Some(Deciders {
        lifecycle: Arc::clone(script) as _,
        readiness: Some(Arc::clone(script) as _),
        gate: None,
        idleness: Some(Arc::clone(script) as _),
    })
}

fn not_yet() -> Step {
    Step::Ready(Ok(Readiness::NotYet(String::new())))
}

fn ready() -> Step {
    Step::Ready(Ok(Readiness::Ready(None)))
}

fn failure(kind: FailureKind) -> Failure {
    Failure { kind, message: "no luck".to_owned() }
}

fn failed(kind: FailureKind) -> Step {
    Step::Start(AT_ONCE, Err(failure(kind)))
}

fn stop(cause: decide::Cause) -> Step {
    Step::Stop(AT_ONCE, cause, Ok(()))
}

/// The look that follows a stop.
const DOWN: Step = Step::Probe(false);

/// A stop after the cool-down, and the look that follows it.
fn stopped() -> [Step; 2] {
    [stop(decide::Cause::Cooldown), DOWN]
}

#[tokio::test(start_paused = true)]
async fn a_target_is_started_for_its_clients_and_stopped_after_them() {
    let start = Step::Start(Duration::from_secs(20), Ok(()));
    let script = [Step::Probe(false), start, not_yet(), not_yet(), ready()];
    let mut stage = Stage::new(config(), script);
    let (mut a, mut b) = (stage.arrive(), stage.arrive());
    let began = Instant::now();
    let inside = (a.admitted().await, b.admitted().await);
    assert!(began.elapsed() >= Duration::from_secs(20) && began.elapsed().as_secs() < 22);
    assert_eq!(stage.shared.phase(), decide::Phase::Awake);

    advance(Duration::from_secs(100_000)).await;
    drop(inside.0);
    advance(Duration::from_secs(100_000)).await;
    assert_eq!(stage.shared.phase(), decide::Phase::Awake);
    stage.script.0.lock().unwrap().extend(stopped());
    drop(inside.1);
    let left = Instant::now();
    stage.played().await;
    let cooldown = left.elapsed().as_secs_f64();
    assert!((599.9..601.0).contains(&cooldown), "stopped after {cooldown} s");
    assert_eq!(stage.shared.phase(), decide::Phase::Asleep);
}

#[tokio::test(start_paused = true)]
async fn clients_who_come_and_go_by_themselves_keep_the_target_up() {
    let stage = Stage::new(config(), [Step::Probe(true)]);
    stage.played().await;
    for _ in 0..10_000 {
        drop(stage.shared.door.enter().expect("the door is open"));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(stage.shared.phase(), decide::Phase::Awake);
    stage.script.0.lock().unwrap().extend(stopped());
    stage.played().await;
    assert_eq!(stage.shared.phase(), decide::Phase::Asleep);
    assert!(stage.shared.door.enter().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_closes_its_clients_and_the_next_one_waits() {
    let again = FailureKind::TryAgain(Some(Duration::from_secs(30)));
    let script = [Step::Probe(false), failed(again), Step::Probe(false)];
    let mut stage = Stage::new(config(), script);
    let mut client = stage.arrive();
    assert_eq!(client.closed().await, Reason::StartFailed);
    let failed_at = Instant::now();
    stage.played().await;
    stage.script.0.lock().unwrap().extend([Step::Start(AT_ONCE, Ok(())), ready()]);
    let mut next = stage.arrive();
    let _inside = next.admitted().await;
    assert!(failed_at.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_not_tried_again() {
    let script = [Step::Probe(false), failed(FailureKind::Permanent), Step::Probe(false)];
    let mut stage = Stage::new(config(), script);
    assert_eq!(stage.arrive().closed().await, Reason::StartFailed);
    stage.played().await;
    advance(Duration::from_secs(100_000)).await;
    assert_eq!(stage.arrive().closed().await, Reason::Unusable);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_never_returns_is_given_up_and_undone() {
    let given_up = Arc::new(AtomicBool::new(false));
    let for_ever = Step::StartForEver(AT_ONCE, Arc::clone(&given_up));
    let script = [Step::Probe(false), for_ever, stop(decide::Cause::FailedStart), DOWN];
    let mut stage = Stage::new(config(), script);
    assert_eq!(stage.arrive().closed().await, Reason::StartTimedOut);
    stage.played().await;
    assert!(given_up.load(Ordering::SeqCst), "the call goes on");
    assert_eq!(stage.shared.phase(), decide::Phase::Asleep);
}

#[tokio::test(start_paused = true)]
async fn rule_17_what_undoes_a_start_waits_for_the_end_of_its_hook() {
    let ended = Arc::new(AtomicBool::new(false));
    let stubborn = Step::StartForEver(Duration::from_secs(7), Arc::clone(&ended));
    let mut stage = Stage::new(config(), [Step::Probe(false), stubborn]);
    let began = Instant::now();
    assert_eq!(stage.arrive().closed().await, Reason::StartTimedOut);
    // An undoing before its end would find nothing in the script, and panic.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(!ended.load(Ordering::SeqCst));
    assert_eq!(stage.shared.phase(), decide::Phase::Stopping);
    let undone = [stop(decide::Cause::FailedStart), DOWN];
    stage.script.0.lock().unwrap().extend(undone);
    stage.played().await;
    assert!(began.elapsed() >= config().start_timeout + Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn rule_10_a_start_that_a_crash_interrupted_goes_on_in_the_next_run() {
    let judged = |script: &Arc<Script>| idle(script).map(|all| Deciders { idleness: None, ..all });
    let for_ever = Step::StartForEver(AT_ONCE, Arc::default());
    let mut before = Stage::new(config(), [Step::Probe(false), for_ever]);
    let _held = before.arrive();
    before.played().await;
    // The crash.
    before.driver.abort();
    let left = Step::Leftover(Duration::from_secs(3));
    let script = [left, not_yet(), ready()];
    let mut after = Stage::in_folder(&before.state_dir, config(), script, judged);
    let began = Instant::now();
    let _inside = after.arrive().admitted().await;
    assert!(began.elapsed() >= Duration::from_secs(3));
    after.played().await;
}

#[tokio::test(start_paused = true)]
async fn rule_10_a_stop_that_a_crash_interrupted_is_looked_at_in_the_next_run() {
    let judged = |script: &Arc<Script>| idle(script).map(|all| Deciders { idleness: None, ..all });
    let slow = Step::Stop(Duration::from_secs(60), decide::Cause::Cooldown, Ok(()));
    let before = Stage::new(config(), [Step::Probe(true), slow]);
    before.played().await;
    before.driver.abort();
    let script = [Step::Leftover(AT_ONCE), Step::Probe(true), DOWN, DOWN];
    let after = Stage::in_folder(&before.state_dir, config(), script, judged);
    after.played().await;
    assert_eq!(after.shared.phase(), decide::Phase::Asleep);
}

#[tokio::test(start_paused = true)]
async fn rule_9_a_sleeping_target_that_is_up_all_the_same_is_adopted_and_stopped() {
    let probe_while_asleep = Some(Duration::from_secs(300));
    let script = [Step::Probe(false), Step::Probe(false), Step::Probe(true)];
    let stage = Stage::new(Service { probe_while_asleep, ..config() }, script);
    let began = Instant::now();
    stage.played().await;
    // After 10 s, and then after 10 s more.
    assert!((20..21).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert_eq!(stage.shared.phase(), decide::Phase::Awake);
    stage.script.0.lock().unwrap().extend(stopped());
    stage.played().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_without_a_judge_waits_until_the_target_takes_connections() {
    let alone = |script: &Arc<Script>| {
        idle(script).map(|all| Deciders { idleness: None, readiness: None, ..all })
    };
    let script = [Step::Probe(false), Step::Start(AT_ONCE, Ok(())), ready()];
    let mut stage = Stage::with(config(), script, alone);
    let _inside = stage.arrive().admitted().await;
    stage.played().await;
}

#[tokio::test(start_paused = true)]
async fn a_decider_that_panics_has_failed() {
    let script = [Step::Probe(false), Step::StartPanics, Step::Probe(false)];
    let mut stage = Stage::new(config(), script);
    assert_eq!(stage.arrive().closed().await, Reason::StartFailed);
    stage.played().await;
    stage.script.0.lock().unwrap().extend([Step::Start(AT_ONCE, Ok(())), ready()]);
    drop(stage.arrive().admitted().await);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_has_the_target_started_again() {
    let mut stage = Stage::new(config(), [Step::Probe(true)]);
    stage.played().await;
    let inside = stage.shared.door.enter().expect("the door is open");
    // Long enough that its start counts as a success.
    tokio::time::sleep(Duration::from_secs(60)).await;
    stage.script.0.lock().unwrap().extend([Step::Start(AT_ONCE, Ok(())), ready()]);
    let refusal = Refusal { period: inside.period(), waited: Duration::ZERO };
    let mut client = stage.wait(Some(refusal));
    let again = client.admitted().await;
    assert_ne!(inside.period(), again.period());
}

#[tokio::test(start_paused = true)]
async fn the_address_that_a_plugin_names_holds_until_the_target_sleeps() {
    let elsewhere = Readiness::Ready(Some("10.9.8.7:6".to_owned()));
    let script = [
        Step::Probe(false),
        Step::Start(AT_ONCE, Ok(())),
        Step::Ready(Ok(elsewhere)),
        Step::Redirect(Some("10.9.8.7:6")),
        stop(decide::Cause::Cooldown),
        DOWN,
        Step::Redirect(None),
    ];
    let mut stage = Stage::new(config(), script);
    drop(stage.arrive().admitted().await);
    stage.played().await;
}

#[tokio::test(start_paused = true)]
async fn an_address_of_the_last_run_is_where_the_target_is_looked_for_first() {
    let script = [
        Step::Recall("10.9.8.7:6"),
        Step::Redirect(Some("10.9.8.7:6")),
        Step::Probe(true),
        stop(decide::Cause::Cooldown),
        DOWN,
        Step::Redirect(None),
    ];
    Stage::new(config(), script).played().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_not_at_the_address_of_the_last_run_is_looked_for_at_its_own() {
    let script = [
        Step::Recall("10.9.8.7:6"),
        Step::Redirect(Some("10.9.8.7:6")),
        Step::Probe(false),
        Step::Redirect(None),
        Step::Probe(true),
        stop(decide::Cause::Cooldown),
        DOWN,
    ];
    Stage::new(config(), script).played().await;
}

#[tokio::test(start_paused = true)]
async fn an_address_outlasts_an_exit_that_leaves_the_target_up_and_no_other() {
    for stop_on_exit in [false, true] {
        let script =
            [Step::Recall("10.9.8.7:6"), Step::Redirect(Some("10.9.8.7:6")), Step::Probe(true)];
        let stage = Stage::new(Service { stop_on_exit, ..config() }, script);
        stage.played().await;
        if stop_on_exit {
            let stopped = [stop(decide::Cause::Exit), Step::Redirect(None)];
            stage.script.0.lock().unwrap().extend(stopped);
        } else {
            // Not to be played: it would be taken if the address were taken back.
            stage.script.0.lock().unwrap().push_back(Step::Redirect(None));
        }
        stage.tell(Message::Exit);
        let script = Arc::clone(&stage.script);
        timeout(Duration::from_secs(1000), stage.driver).await.unwrap().unwrap();
        let left = script.0.lock().unwrap().len();
        assert_eq!(left, usize::from(!stop_on_exit), "stop_on_exit = {stop_on_exit}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_forgotten_where_a_start_follows_a_stop_at_once() {
    let elsewhere = Readiness::Ready(Some("10.9.8.7:6".to_owned()));
    let script = [
        Step::Probe(false),
        Step::Start(AT_ONCE, Ok(())),
        Step::Ready(Ok(elsewhere)),
        Step::Redirect(Some("10.9.8.7:6")),
        Step::Stop(Duration::from_secs(5), decide::Cause::Cooldown, Ok(())),
    ];
    let mut stage = Stage::new(config(), script);
    drop(stage.arrive().admitted().await);
    stage.played().await;
    let next = [DOWN, Step::Redirect(None), Step::Start(AT_ONCE, Ok(())), ready()];
    stage.script.0.lock().unwrap().extend(next);
    let _inside = stage.arrive().admitted().await;
    stage.played().await;
}

#[tokio::test(start_paused = true)]
async fn idleness_that_fails_keeps_the_target_up_for_another_cool_down_if_the_config_says_so() {
    let on_idleness_error = OnIdlenessError::Stay;
    for (cooldown, again) in [(600, 600), (5, 60)] {
        let script = [
            Step::Probe(true),
            Step::MaySleep(Err(failure(FailureKind::Broken))),
            Step::MaySleep(Ok(SleepVerdict::Sleep)),
            stop(decide::Cause::Cooldown),
            DOWN,
        ];
        let cooldown = Duration::from_secs(cooldown);
        let began = Instant::now();
        let stage = Stage::with(Service { cooldown, on_idleness_error, ..config() }, script, idle);
        stage.played().await;
        let took = (began.elapsed() - cooldown).as_secs();
        assert!((again..again + 2).contains(&took), "asked again after {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wake_beyond_the_budget_closes_its_client_and_starts_nothing() {
    let wakes = Wakes { per_client_per_hour: Some(1), per_hour: None };
    let script = [
        Step::Probe(false),
        Step::Start(AT_ONCE, Ok(())),
        ready(),
        stop(decide::Cause::Cooldown),
        DOWN,
    ];
    let mut stage = Stage::new(Service { wakes, ..config() }, script);
    drop(stage.arrive_from("2001:db8::1").admitted().await);
    stage.played().await;
    // Its neighbours in the same /64 are the same client.
    let mut second = stage.arrive_from("2001:db8::ffff:2");
    assert_eq!(second.closed().await, Reason::OverBudget);
    let start = [Step::Start(AT_ONCE, Ok(())), ready()];
    stage.script.0.lock().unwrap().extend(start);
    let _inside = stage.arrive_from("2001:db8:0:1::1").admitted().await;
    stage.played().await;
}

#[test]
fn a_budget_counts_by_the_address_and_by_the_first_half_of_one_of_ipv6() {
    let of = |text: &str| origin(text.parse().unwrap());
    assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    assert_eq!(of("2001:db8::1"), of("2001:db8::2:3:4:5"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
}

#[tokio::test(start_paused = true)]
async fn idleness_may_keep_the_target_up_and_its_failure_does_not() {
    let script = [
        Step::Probe(true),
        Step::MaySleep(Ok(SleepVerdict::StayAwake(Duration::from_secs(3600)))),
        Step::MaySleep(Err(failure(FailureKind::Broken))),
        stop(decide::Cause::Cooldown),
        DOWN,
    ];
    let began = Instant::now();
    let stage = Stage::with(config(), script, idle);
    stage.played().await;
    assert!(began.elapsed() >= Duration::from_secs(600 + 3600));
    assert_eq!(stage.shared.phase(), decide::Phase::Asleep);
}

#[tokio::test(start_paused = true)]
async fn a_gate_judges_before_anything_is_started() {
    let mut stage = Stage::with(config(), [Step::Probe(false)], |script| {
        Some(Deciders {
            lifecycle: Arc::clone(script) as _,
            readiness: Some(Arc::clone(script) as _),
            gate: Some(Arc::clone(script) as _),
            idleness: None,
        })
    });
    stage.played().await;
    let (mut refused, mut passed) = (stage.arrive(), stage.arrive());
    assert!(matches!(refused.order().await, Order::Judge(_)));
    assert!(matches!(passed.order().await, Order::Judge(_)));
    stage.tell(Message::Left(refused.id));
    stage.script.0.lock().unwrap().extend([Step::Start(AT_ONCE, Ok(())), ready()]);
    stage.tell(Message::Passed { id: passed.id, stays: true });
    let _inside = passed.admitted().await;
    assert!(refused.orders.recv().await.is_none(), "it is forgotten");
}

#[tokio::test(start_paused = true)]
async fn one_client_too_many_is_closed() {
    let for_ever = Step::StartForEver(AT_ONCE, Arc::default());
    let config = Service { max_held: 2, ..config() };
    let mut stage = Stage::new(config, [Step::Probe(false), for_ever]);
    let _held = (stage.arrive(), stage.arrive());
    assert_eq!(stage.arrive().closed().await, Reason::Full);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_hold_timeout() {
    let for_ever = Step::StartForEver(AT_ONCE, Arc::default());
    let config = Service { hold_timeout: Duration::from_secs(30), ..config() };
    let mut stage = Stage::new(config, [Step::Probe(false), for_ever]);
    let began = Instant::now();
    assert_eq!(stage.arrive().closed().await, Reason::WaitedTooLong);
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn without_deciders_clients_are_refused() {
    let mut stage = Stage::with(config(), [], |_| None);
    let mut early = stage.arrive();
    assert_eq!(early.closed().await, Reason::Unusable);
    assert_eq!(stage.arrive().closed().await, Reason::Unusable);
}

#[tokio::test(start_paused = true)]
async fn at_the_exit_the_target_is_stopped_after_its_last_client() {
    let config = Service { stop_on_exit: true, ..config() };
    let mut stage = Stage::new(config, [Step::Probe(true)]);
    stage.played().await;
    let inside = stage.shared.door.enter().expect("the door is open");
    stage.tell(Message::Exit);
    assert_eq!(stage.arrive().closed().await, Reason::Exit);
    advance(Duration::from_secs(1000)).await;
    stage.script.0.lock().unwrap().push_back(stop(decide::Cause::Exit));
    drop(inside);
    stage.finished().await;
}

#[tokio::test(start_paused = true)]
async fn at_the_exit_a_start_that_runs_is_given_up() {
    let given_up = Arc::new(AtomicBool::new(false));
    let for_ever = Step::StartForEver(AT_ONCE, Arc::clone(&given_up));
    let mut stage = Stage::new(config(), [Step::Probe(false), for_ever]);
    let mut client = stage.arrive();
    stage.played().await;
    stage.tell(Message::Exit);
    assert_eq!(client.closed().await, Reason::Exit);
    stage.finished().await;
    assert!(given_up.load(Ordering::SeqCst));
}
