//! Services: `[services.NAME]`.

use std::net::SocketAddr;
use std::time::Duration;

use toml::de::DeValue;

use super::addresses;
use super::deciders::deciders;
use super::fault::{Fault, Problem, Span};
use super::plugin::Plugins;
use super::reader::{Table, Value};
use super::routes::Route;
use super::values::{self, Folder};
use super::{Decider, Listener, OnGateError, OnIdlenessError, PluginId, Service, Target, Wakes};

/// What services share with each other while they are read.
pub(super) struct Services<'f> {
    folder: &'f Folder,
    claims: Vec<Claim>,
    /// Where each service leads, those with faults included.
    pub(super) routes: Vec<Route>,
}

/// An address that a service listens on.
struct Claim {
    address: SocketAddr,
    service: String,
    place: Span,
}

const SERVICE: &str = "`[services.NAME]` with `listen`, `target` and `hooks`";
const LISTEN: &str = "`\"0.0.0.0:8080\"`, or a list of such";
const AT: &str = "`\"0.0.0.0:8080\"`";
const TARGET: &str = "`\"192.168.1.5:80\"`";

const WAKES: &str = "a table, such as `{ per_hour = 12, per_client_per_hour = 4 }`";

const ANY: (Duration, &str) = (Duration::ZERO, "at most 365d");
const SOME: (Duration, &str) = (Duration::from_millis(1), "from 1ms to 365d");

/// The largest wake budget: as many wakes are remembered.
const MOST_WAKES: usize = 4096;

/// What each service has that does not say otherwise.
pub(super) struct Defaults;

impl Defaults {
    pub(super) const COOLDOWN: Duration = Duration::from_secs(30 * 60);
    pub(super) const START_TIMEOUT: Duration = Duration::from_secs(5 * 60);
    pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(2 * 60);
    pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    pub(super) const MAX_HELD: usize = 4096;
    pub(super) const GATE_TIMEOUT: Duration = Duration::from_secs(10);
    pub(super) const MAX_GATES: usize = 256;
    pub(super) const KEEPALIVE: Option<Duration> = Some(Duration::from_secs(60));
    pub(super) const PROBE_WHILE_ASLEEP: Option<Duration> = Some(Duration::from_secs(5 * 60));
}

impl<'f> Services<'f> {
    pub(super) fn new(folder: &'f Folder) -> Services<'f> {
        Services { folder, claims: Vec::new(), routes: Vec::new() }
    }

    /// Reads `[services]`.
    pub(super) fn read(
        &mut self,
        value: Option<Value<'_>>,
        plugins: &mut Plugins,
        faults: &mut Vec<Fault>,
    ) -> Vec<Service> {
        let Some(value) = value else {
            faults.push(Fault::of(Problem::NoServices));
            return Vec::new();
        };
        let place = value.place.clone();
        let Some(table) = Table::of(&value, "services".into(), place.clone(), SERVICE, faults)
        else {
            return Vec::new();
        };
        let entries = table.entries();
        if entries.is_empty() {
            faults.push(Fault::at(place, Problem::NoServices));
        }
        let mut services = Vec::new();
        for (name, place, value) in entries {
            if !values::is_good_name(name) {
                let name = name.to_owned();
                faults.push(Fault::at(place.clone(), Problem::BadName { what: "service", name }));
            }
            let section = format!("services.{name}");
            if let Some(table) = Table::of(&value, section, place, SERVICE, faults) {
                services.extend(self.service(name, table, plugins, faults));
            }
        }
        services
    }

    /// One `[services.NAME]`.
    fn service(
        &mut self,
        name: &str,
        mut table: Table<'_>,
        plugins: &mut Plugins,
        faults: &mut Vec<Fault>,
    ) -> Option<Service> {
        let mut route = Route { service: name.to_owned(), listen: Vec::new(), targets: Vec::new() };
        let listen = table.require(
            "listen",
            "\"0.0.0.0:8080\"",
            |value, faults| self.listen(&mut route, value, faults),
            faults,
        );
        let target = table.require(
            "target",
            "\"192.168.1.5:80\"",
            |value, faults| {
                let target = target("target", value, faults)?;
                route.targets.insert(0, (target.clone(), Some(value.place.clone())));
                Some(target)
            },
            faults,
        );
        self.routes.push(route);
        let deciders = deciders(name, &mut table, self.folder, plugins, faults);
        let mut time = |key, default, (least, bounds), faults: &mut Vec<Fault>| {
            table.take_or(
                key,
                default,
                |value, faults| value.duration(least, bounds, faults),
                faults,
            )
        };
        let cooldown = time("cooldown", Defaults::COOLDOWN, ANY, faults);
        let start_timeout = time("start_timeout", Defaults::START_TIMEOUT, SOME, faults);
        let stop_timeout = time("stop_timeout", Defaults::STOP_TIMEOUT, SOME, faults);
        let hold = start_timeout.unwrap_or(Defaults::START_TIMEOUT);
        let hold_timeout = time("hold_timeout", hold, SOME, faults);
        let connect_timeout = time("connect_timeout", Defaults::CONNECT_TIMEOUT, SOME, faults);
        let gate_timeout = time("gate_timeout", Defaults::GATE_TIMEOUT, SOME, faults);
        let max_held = table.take_or(
            "max_held",
            Defaults::MAX_HELD,
            |value, faults| value.count(1_000_000, "from 1 to 1000000", faults),
            faults,
        );
        let max_gates = table.take_or(
            "max_gates",
            Defaults::MAX_GATES,
            |value, faults| value.count(100_000, "from 1 to 100000", faults),
            faults,
        );
        let on_gate_error =
            table.take_or("on_gate_error", OnGateError::Wake, on_gate_error, faults);
        let on_idleness_error =
            table.take_or("on_idleness_error", OnIdlenessError::Sleep, on_idleness_error, faults);
        let section = format!("services.{name}.wakes");
        let wakes = table.take_or(
            "wakes",
            Wakes::default(),
            |value, faults| {
                let table = Table::of(value, section, value.place.clone(), WAKES, faults)?;
                wakes(table, faults)
            },
            faults,
        );
        let keepalive = table.take_or("keepalive", Defaults::KEEPALIVE, keepalive, faults);
        let stop_on_exit = table.take_or("stop_on_exit", false, Value::flag, faults);
        let probe_while_asleep = table.take_or(
            "probe_while_asleep",
            Defaults::PROBE_WHILE_ASLEEP,
            probe_while_asleep,
            faults,
        );
        table.finish(faults);
        let deciders = deciders?;
        Some(Service {
            name: name.to_owned(),
            listen: listen?,
            target: target?,
            lifecycle: deciders.lifecycle,
            readiness: deciders.readiness,
            gate: deciders.gate,
            idleness: deciders.idleness,
            cooldown: cooldown?,
            start_timeout: start_timeout?,
            stop_timeout: stop_timeout?,
            hold_timeout: hold_timeout?,
            connect_timeout: connect_timeout?,
            max_held: max_held?,
            gate_timeout: gate_timeout?,
            max_gates: max_gates?,
            on_gate_error: on_gate_error?,
            on_idleness_error: on_idleness_error?,
            wakes: wakes?,
            keepalive: keepalive?,
            stop_on_exit: stop_on_exit?,
            probe_while_asleep: probe_while_asleep?,
        })
    }

    /// `listen`: one listener or a list of them, on addresses of which none is taken.
    fn listen(
        &mut self,
        route: &mut Route,
        value: &Value<'_>,
        faults: &mut Vec<Fault>,
    ) -> Option<Vec<Listener>> {
        let items = value.each();
        if items.is_empty() {
            let problem = Problem::EmptyList { key: value.key.clone(), example: LISTEN };
            faults.push(value.fault(problem));
            return None;
        }
        let listeners = items.iter().map(|item| self.listener(route, item, faults));
        // Every fault is reported before the list counts as unusable.
        listeners.collect::<Vec<_>>().into_iter().collect()
    }

    /// One listener: an address, or a table with an address and a target of its own.
    fn listener(
        &mut self,
        route: &mut Route,
        value: &Value<'_>,
        faults: &mut Vec<Fault>,
    ) -> Option<Listener> {
        if !matches!(value.inner, DeValue::Table(_)) {
            return self.address(route, "listen", LISTEN, value, faults).map(Listener::from);
        }
        let section = format!("services.{}.listen", route.service);
        let mut table = Table::of(value, section, value.place.clone(), LISTEN, faults)?;
        let at = table.require(
            "at",
            "\"0.0.0.0:8080\"",
            |value, faults| {
                self.address(route, "listen.at", AT, &value.called("listen.at"), faults)
            },
            faults,
        );
        let target = table.take_or(
            "target",
            None,
            |value, faults| {
                let target = target("listen.target", &value.called("listen.target"), faults)?;
                route.targets.push((target.clone(), Some(value.place.clone())));
                Some(Some(target))
            },
            faults,
        );
        table.finish(faults);
        Some(Listener { at: at?, target: target? })
    }

    /// The address of a listener.
    fn address(
        &mut self,
        route: &mut Route,
        key: &'static str,
        example: &'static str,
        value: &Value<'_>,
        faults: &mut Vec<Fault>,
    ) -> Option<SocketAddr> {
        let text = value.text("an address and a port", example, faults)?;
        match addresses::listen(text) {
            Ok(address) => {
                self.claim(address, &route.service, value, faults);
                route.listen.push((address, Some(value.place.clone())));
                Some(address)
            }
            Err(mistake) => {
                let text = text.to_owned();
                faults.push(value.fault(Problem::BadAddress { key, text, mistake }));
                None
            }
        }
    }

    /// Notes who listens where, and reports an address that is taken already.
    ///
    /// Two addresses that overlap (`0.0.0.0:80` and `127.0.0.1:80`) are left to the kernel, whose
    /// rules for that are its own.
    fn claim(
        &mut self,
        address: SocketAddr,
        service: &str,
        value: &Value<'_>,
        faults: &mut Vec<Fault>,
    ) {
        match self.claims.iter().find(|claim| claim.address == address) {
            Some(taken) => faults.push(value.fault(Problem::SameListen {
                address: address.to_string(),
                first: taken.service.clone(),
                place: taken.place.clone(),
            })),
            None => self.claims.push(Claim {
                address,
                service: service.to_owned(),
                place: value.place.clone(),
            }),
        }
    }
}

/// `target`: host and port.
fn target(key: &'static str, value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<Target> {
    let text = value.text("a host and a port", TARGET, faults)?;
    let bad = |mistake| {
        let text = text.to_owned();
        value.fault(Problem::BadAddress { key, text, mistake })
    };
    addresses::target(text).map_err(|mistake| faults.push(bad(mistake))).ok()
}

/// `probe_while_asleep`: a duration, or `"off"`.
fn probe_while_asleep(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<Option<Duration>> {
    if value.inner.as_str() == Some("off") {
        return Some(None);
    }
    value.duration(Duration::from_secs(1), "from 1s to 365d, or \"off\"", faults).map(Some)
}

/// `keepalive`: a duration that the kernel takes, or `"off"`.
fn keepalive(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<Option<Duration>> {
    /// What fits into `TCP_KEEPIDLE`, in seconds.
    const MOST: u64 = 32_767;
    if value.inner.as_str() == Some("off") {
        return Some(None);
    }
    let bounds = "whole seconds from 1s to 32767s, or \"off\"";
    let duration = value.duration(Duration::ZERO, bounds, faults)?;
    if duration.subsec_nanos() != 0 || !(1..=MOST).contains(&duration.as_secs()) {
        faults.push(value.out_of_range(bounds));
        return None;
    }
    Some(Some(duration))
}

fn on_gate_error(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<OnGateError> {
    match value.text("a word", "`\"wake\"` or `\"refuse\"`", faults)? {
        "wake" => Some(OnGateError::Wake),
        "refuse" => Some(OnGateError::Refuse),
        text => {
            let (key, text) = ("on_gate_error", text.to_owned());
            let choices = &["wake", "refuse"];
            faults.push(value.fault(Problem::BadChoice { key, text, choices }));
            None
        }
    }
}

fn on_idleness_error(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<OnIdlenessError> {
    match value.text("a word", "`\"sleep\"` or `\"stay\"`", faults)? {
        "sleep" => Some(OnIdlenessError::Sleep),
        "stay" => Some(OnIdlenessError::Stay),
        text => {
            let (key, text) = ("on_idleness_error", text.to_owned());
            let choices = &["sleep", "stay"];
            faults.push(value.fault(Problem::BadChoice { key, text, choices }));
            None
        }
    }
}

/// `wakes`: a budget, of which either half may be left out.
fn wakes(mut table: Table<'_>, faults: &mut Vec<Fault>) -> Option<Wakes> {
    let count = |value: &Value<'_>, faults: &mut Vec<Fault>| {
        value.count(MOST_WAKES, "from 1 to 4096", faults).map(Some)
    };
    let per_hour = table.take_or("per_hour", None, count, faults);
    let per_client_per_hour = table.take_or("per_client_per_hour", None, count, faults);
    table.finish(faults);
    Some(Wakes { per_hour: per_hour?, per_client_per_hour: per_client_per_hour? })
}

/// A service with the rules that hold where nothing else is said.
pub(super) fn plain(
    name: &str,
    listen: SocketAddr,
    target: Target,
    lifecycle: PluginId,
    cooldown: Duration,
) -> Service {
    Service {
        name: name.to_owned(),
        listen: vec![listen.into()],
        target,
        lifecycle,
        readiness: Decider::Nobody,
        gate: Decider::Nobody,
        idleness: Decider::Nobody,
        cooldown,
        start_timeout: Defaults::START_TIMEOUT,
        stop_timeout: Defaults::STOP_TIMEOUT,
        hold_timeout: Defaults::START_TIMEOUT,
        connect_timeout: Defaults::CONNECT_TIMEOUT,
        max_held: Defaults::MAX_HELD,
        gate_timeout: Defaults::GATE_TIMEOUT,
        max_gates: Defaults::MAX_GATES,
        on_gate_error: OnGateError::Wake,
        on_idleness_error: OnIdlenessError::Sleep,
        wakes: Wakes::default(),
        keepalive: Defaults::KEEPALIVE,
        stop_on_exit: false,
        probe_while_asleep: Defaults::PROBE_WHILE_ASLEEP,
    }
}
