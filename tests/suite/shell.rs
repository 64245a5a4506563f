//! The embedded shell plugin, from the port of decisions to real hooks.

#![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dormouse::config::{self, Config};
use dormouse::decide::{
    CallContext, Cause, Client, Deciders, Failure, FailureKind, Phase, Readiness, SleepVerdict,
    Verdict,
};
use dormouse::plugin::{Host, inspect_by};

use crate::support::process::{KillAtEnd, Log, in_time, is_alive, until};

/// Long enough for every hook here.
const LONG: Duration = Duration::from_secs(60);

/// A service `web` with hooks in a folder, and who decides for it.
struct Bench {
    folder: tempfile::TempDir,
    host: Host,
    deciders: Deciders,
}

impl Bench {
    /// Each hook is a shell script, `NAME.sh`.
    async fn with_hooks(scripts: &[(&str, &str)]) -> Bench {
        Bench::with_config(scripts, |hooks| {
            format!(
                "[services.web]\nlisten = '127.0.0.1:7777'\ntarget = '10.0.0.7:80'\n\
                 hooks = {{ {hooks} }}\n"
            )
        })
        .await
    }

    /// The config is made from the hooks in TOML.
    async fn with_config(scripts: &[(&str, &str)], toml: impl FnOnce(&str) -> String) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), scripts, toml);
        let host = crate::support::stage::host(&config);
        let deciders = host.deciders(&config, &config.services[0]).await.unwrap();
        Bench { folder, host, deciders }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Text in which the folder is `[FOLDER]`.
    fn redact(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "[FOLDER]")
    }

    async fn start(&self, deadline: Duration) -> Result<(), Failure> {
        let start = self.deciders.lifecycle.start(
            Cause::Client(client()),
            deadline,
            CallContext::detached(),
        );
        in_time("the answer", start).await
    }

    async fn ready(&self) -> Result<Readiness, Failure> {
        in_time(
            "the answer",
            self.deciders.readiness.as_ref().unwrap().ready(3, CallContext::detached()),
        )
        .await
    }

    async fn should_wake(&self, data: &[u8]) -> Result<dormouse::decide::Reply, Failure> {
        let mut conversation = self.deciders.gate.as_ref().unwrap().converse(client());
        in_time("the answer", conversation.should_wake(Phase::Asleep, data)).await
    }

    async fn should_sleep(&self) -> Result<SleepVerdict, Failure> {
        let idleness = self.deciders.idleness.as_ref().unwrap();
        in_time(
            "the answer",
            idleness.should_sleep(Duration::from_secs(90), CallContext::detached()),
        )
        .await
    }
}

/// Writes hooks and config into `folder`.
fn config(folder: &Path, scripts: &[(&str, &str)], toml: impl FnOnce(&str) -> String) -> Config {
    let hooks = scripts.iter().map(|(name, script)| {
        let file = folder.join(format!("{name}.sh"));
        fs::write(&file, script).unwrap();
        format!("{name} = ['/bin/sh', '{}']", file.display())
    });
    let file = folder.join("dormouse.toml");
    let hooks = hooks.collect::<Vec<_>>().join(", ");
    fs::write(&file, toml(&hooks)).unwrap();
    let (mut config, _) = config::read(&file).unwrap();
    config.state_dir = folder.join("state");
    config.cache_dir = folder.join("cache");
    config
}

fn client() -> Client {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    Client { address: address("192.0.2.1:4711"), listener: address("127.0.0.1:7777") }
}

/// A script that writes down Dormouse's variables, sorted, in `seen` beside it.
const LOOK: &str = r#"env | grep ^DORMOUSE_ | sort >"${0%/*}/seen""#;

const OF_SERVICE: &str =
    "DORMOUSE_SERVICE=web\nDORMOUSE_TARGET_HOST=10.0.0.7\nDORMOUSE_TARGET_PORT=80\n";

#[tokio::test]
async fn a_start_hook_is_told_who_wakes_what() {
    let bench = Bench::with_hooks(&[("start", LOOK), ("stop", "")]).await;
    bench.start(LONG).await.unwrap();
    assert_eq!(
        fs::read_to_string(bench.path("seen")).unwrap(),
        format!("DORMOUSE_CAUSE=client\nDORMOUSE_CLIENT=192.0.2.1:4711\n{OF_SERVICE}")
    );
}

#[tokio::test]
async fn a_stop_hook_is_told_why() {
    let bench = Bench::with_hooks(&[("start", ""), ("stop", LOOK)]).await;
    for cause in [Cause::Operator, Cause::Cooldown, Cause::Exit, Cause::FailedStart] {
        bench.deciders.lifecycle.stop(cause, LONG, CallContext::detached()).await.unwrap();
        assert_eq!(
            fs::read_to_string(bench.path("seen")).unwrap(),
            format!("DORMOUSE_CAUSE={}\n{OF_SERVICE}", cause.word())
        );
    }
}

#[tokio::test]
async fn hooks_for_two_decisions_leave_the_others_to_dormouse() {
    let bench = Bench::with_hooks(&[("start", ""), ("stop", "")]).await;
    assert!(bench.deciders.readiness.is_none());
    assert!(bench.deciders.gate.is_none());
    assert!(bench.deciders.idleness.is_none());
}

#[tokio::test]
async fn a_failed_hook_is_told_with_its_command_its_status_and_its_last_errors() {
    let script = "echo progress; echo starting >&2; echo 'no such machine' >&2; exit 3";
    let bench = Bench::with_hooks(&[("start", script), ("stop", "kill -9 $$")]).await;
    let failure = bench.start(LONG).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TryAgain(None));
    assert!(
        bench.redact(&failure.message).contains(
            "the start hook `/bin/sh [FOLDER]/start.sh` failed with status 3. Its last lines:\n  \
             starting\n  no such machine"
        ),
        "{}",
        failure.message
    );
    let failure = bench
        .deciders
        .lifecycle
        .stop(Cause::Cooldown, LONG, CallContext::detached())
        .await
        .unwrap_err();
    assert!(
        bench
            .redact(&failure.message)
            .contains("the stop hook `/bin/sh [FOLDER]/stop.sh` was ended by signal 9"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_ready_hook_says_ready_or_how_far_it_is() {
    let script = format!("{LOOK}; test -e \"${{0%/*}}/up\" || {{ echo 42 %; exit 1; }}");
    let bench = Bench::with_hooks(&[("start", ""), ("stop", ""), ("ready", &script)]).await;
    assert_eq!(bench.ready().await, Ok(Readiness::NotYet("42 %".into())));
    assert_eq!(
        fs::read_to_string(bench.path("seen")).unwrap(),
        format!("DORMOUSE_ATTEMPT=3\n{OF_SERVICE}")
    );
    fs::write(bench.path("up"), "").unwrap();
    assert_eq!(bench.ready().await, Ok(Readiness::Ready(None)));
}

#[tokio::test]
async fn a_should_wake_hook_reads_what_the_client_sent() {
    let script = format!("{LOOK}; read -r word; test \"$word\" = sesame");
    let bench = Bench::with_hooks(&[("start", ""), ("stop", ""), ("should_wake", &script)]).await;
    let reply = bench.should_wake(b"sesame\n").await.unwrap();
    assert_eq!((reply.verdict, reply.send.len(), reply.consumed), (Verdict::Wake, 0, 0));
    assert_eq!(
        fs::read_to_string(bench.path("seen")).unwrap(),
        format!(
            "DORMOUSE_CAUSE=client\nDORMOUSE_CLIENT=192.0.2.1:4711\nDORMOUSE_PHASE=asleep\n\
             {OF_SERVICE}"
        )
    );
    assert_eq!(bench.should_wake(b"friend\n").await.unwrap().verdict, Verdict::Refuse);
    assert_eq!(bench.should_wake(b"").await.unwrap().verdict, Verdict::Refuse);
}

#[tokio::test]
async fn a_should_wake_hook_need_not_read_all_that_a_client_may_send() {
    let bench = Bench::with_hooks(&[("start", ""), ("stop", ""), ("should_wake", "")]).await;
    let reply = bench.should_wake(&vec![0xff; 64 << 10]).await.unwrap();
    assert_eq!(reply.verdict, Verdict::Wake);
}

#[tokio::test]
async fn a_should_sleep_hook_says_sleep_or_asks_for_a_minute() {
    let script = format!("{LOOK}; test ! -e \"${{0%/*}}/busy\"");
    let bench = Bench::with_hooks(&[("start", ""), ("stop", ""), ("should_sleep", &script)]).await;
    assert_eq!(bench.should_sleep().await, Ok(SleepVerdict::Sleep));
    assert_eq!(
        fs::read_to_string(bench.path("seen")).unwrap(),
        format!("DORMOUSE_CAUSE=cooldown\nDORMOUSE_IDLE_SECONDS=90\n{OF_SERVICE}")
    );
    fs::write(bench.path("busy"), "").unwrap();
    assert_eq!(bench.should_sleep().await, Ok(SleepVerdict::StayAwake(Duration::from_secs(60))));
}

#[tokio::test]
async fn a_start_hook_that_runs_the_server_itself_is_told_so() {
    let bench = Bench::with_hooks(&[("start", "exec sleep 300"), ("stop", "")]).await;
    let failure = bench.start(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TryAgain(None));
    assert!(
        bench.redact(&failure.message).contains(
            "the start hook `/bin/sh [FOLDER]/start.sh` did not return in time and was ended. A \
             start hook has to return once the server is launched. If it runs the server itself, \
             have it put the server in the background (`server &`, `systemctl start`, `docker \
             start`); if the server only takes long, raise `start_timeout`"
        ),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_hook_that_can_not_be_started_says_why() {
    let bench = Bench::with_config(&[], |_| {
        "[services.web]\nlisten = '127.0.0.1:7777'\ntarget = '10.0.0.7:80'\n\
         hooks = { start = './gone.sh', stop = './gone.sh', ready = './gone.sh' }\n"
            .into()
    })
    .await;
    let said = "hook did not run: cannot run `[FOLDER]/gone.sh`: there is no such file";
    let failure = bench.start(LONG).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TryAgain(None));
    assert!(bench.redact(&failure.message).contains(said), "{}", failure.message);
    let failure = bench.ready().await.unwrap_err();
    assert!(bench.redact(&failure.message).contains(said), "{}", failure.message);
}

#[tokio::test]
async fn a_hook_that_is_not_granted_is_denied() {
    let bench = Bench::with_config(&[], |_| {
        "[services.web]\nlisten = '127.0.0.1:7777'\ntarget = '10.0.0.7:80'\nlifecycle = 'mine'\n\
         [plugins.mine]\nwasm = 'builtin:shell'\n\
         settings = { start = '/bin/true', stop = ['/bin/sh', '-c', 'echo'] }\n\
         [plugins.mine.allow]\nexec = [['/bin/sh', '-c', 'exit 0']]\n"
            .into()
    })
    .await;
    let failure = bench.start(LONG).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied);
    assert!(failure.message.contains("the start hook did not run: "), "{}", failure.message);
    let stop = bench.deciders.lifecycle.stop(Cause::Operator, LONG, CallContext::detached()).await;
    assert_eq!(stop.unwrap_err().kind, FailureKind::Denied);
}

#[tokio::test]
async fn what_a_hook_prints_is_in_the_log_with_service_and_hook() {
    let log = Log::capture();
    let bench = Bench::with_hooks(&[("start", "echo from the hook"), ("stop", "")]).await;
    bench.start(LONG).await.unwrap();
    let events = log.events();
    let line = events.iter().find(|event| event.message() == "from the hook").unwrap();
    let field = |name| line.fields.get(name).map(String::as_str);
    assert_eq!(
        (field("service"), field("hook"), field("stream")),
        (Some("web"), Some("start"), Some("stdout"))
    );
}

#[tokio::test]
async fn a_hook_whose_answer_nobody_waits_for_is_ended_with_its_children() {
    let log = Log::capture();
    let script = "sleep 300 & echo $!; wait";
    let bench = Bench::with_hooks(&[("start", script), ("stop", "")]).await;
    let start = bench.deciders.lifecycle.start(Cause::Operator, LONG, CallContext::detached());
    let child = tokio::select! {
        _ = start => panic!("the hook can't end by itself"),
        child = log.number_in_first_line() => child,
    };
    until("the child's end", || !is_alive(child)).await;
    in_time("the shutdown", bench.host.shutdown()).await;
}

#[tokio::test]
async fn the_component_wants_hooks_and_nothing_else_of_the_outside() {
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plugin/builtin/shell.wasm");
    let compiler = crate::support::stage::compiler(config::CompileLimits::default());
    let inspection = inspect_by(compiler, &component).await.unwrap();
    let ours = |name: &str| inspection.imports(&format!("dormouse:plugin/{name}"));
    assert!(ours("process") && ours("settings"));
    assert!(!ours("state") && !ours("log") && !ours("target"));
    for package in ["wasi:sockets/", "wasi:http/", "wasi:filesystem/"] {
        let imports = inspection.imports.iter().any(|import| import.name.starts_with(package));
        assert!(!imports, "it imports {package}");
    }
    assert!(inspection.imports.iter().all(|import| import.offered));
    assert_eq!(inspection.decisions.len(), 4);
}

/// `dormouse run` with a config, killed when it is dropped.
struct Dormouse(Child);

impl Dormouse {
    fn run(folder: &Path, config: &str) -> Dormouse {
        fs::write(folder.join("dormouse.toml"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_dormouse"))
            .arg("run")
            .current_dir(folder)
            .env("XDG_CACHE_HOME", folder)
            .env("CACHE_DIRECTORY", folder.join("cache"))
            .env("STATE_DIRECTORY", folder.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Dormouse(child)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Dormouse {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_daemon_that_a_hook_left_behind_prints_on_after_dormouse_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let ticks = folder.path().join("ticks");
    let pid = folder.path().join("pid");
    let hook = format!(
        "sh -c 'while :; do echo tick; printf . >>{}; sleep 0.05; done' & echo $! >{}",
        ticks.display(),
        pid.display()
    );
    fs::write(folder.path().join("start.sh"), hook).unwrap();
    let listen = free_address();
    let mut dormouse = Dormouse::run(
        folder.path(),
        &format!(
            "[services.web]\nlisten = '{listen}'\ntarget = '{}'\n\
             hooks = {{ start = ['/bin/sh', './start.sh'], stop = ['/bin/sh', '-c', ''] }}\n",
            free_address()
        ),
    );
    let mut client = None;
    until("a connection to Dormouse", || {
        client = TcpStream::connect(listen).ok();
        client.is_some()
    })
    .await;
    let length = |file: &Path| fs::metadata(file).map_or(0, |metadata| metadata.len());
    until("the daemon prints", || length(&pid) > 0 && length(&ticks) > 5).await;
    let daemon: u32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let daemon = KillAtEnd(daemon);

    dormouse.kill();
    let mut rest = Vec::new();
    let _ = client.unwrap().read_to_end(&mut rest);
    let before = length(&ticks);
    until("the daemon prints on", || length(&ticks) > before + 20).await;
    assert!(is_alive(daemon.0));
}

/// An address that nobody listens at.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
