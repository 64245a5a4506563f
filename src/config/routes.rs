//! Where the services of a config lead, and what is wrong with that: rule 19 (Dormouse is never its
//! own target), and advice about targets that only `dormouse check` gives.
//!
//! A service that has another one of the same config as its target is legitimate, so long as there
//! is a server at the end.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;

use super::fault::{Fault, Problem, Span};
use super::machine::Machine;
use super::plugin::SHELL;
use super::{Plugin, PluginSource, Service, Target};

/// The most bytes of a hook that are searched.
const MAX_SCRIPT_BYTES: u64 = 64 << 10;

/// What the names of the variables begin with by which a hook knows its service.
const VARIABLES: &[u8] = b"DORMOUSE_";

/// The addresses of a service, each with the place where it is written: none for flags.
pub(super) struct Route {
    pub(super) service: String,
    pub(super) listen: Vec<(SocketAddr, Option<Span>)>,
    /// The target of the service comes first, if it could be read; then those of its listeners.
    pub(super) targets: Vec<(Target, Option<Span>)>,
}

impl Route {
    /// How a connection comes from here to `other`, if it does.
    fn hop<'r>(&'r self, other: &'r Route, machine: &Machine) -> Option<Hop<'r>> {
        self.targets.iter().find_map(|(target, place)| {
            let is_reached = |(listen, _): &&(SocketAddr, _)| machine.reaches(target, *listen);
            let (listen, _) = other.listen.iter().find(is_reached)?;
            Some(Hop { target, place, listen: *listen })
        })
    }
}

/// A target of one service, and the listener that it is.
struct Hop<'r> {
    target: &'r Target,
    place: &'r Option<Span>,
    listen: SocketAddr,
}

/// Reports each service that is its own target, and each circle of services once.
pub(super) fn find_loops(routes: &[Route], machine: &Machine, faults: &mut Vec<Fault>) {
    let hop = |from: usize, to: usize| routes[from].hop(&routes[to], machine);
    let all = 0..routes.len();
    let leads_to: Vec<Vec<usize>> = all
        .clone()
        .map(|from| all.clone().filter(|to| *to != from && hop(from, *to).is_some()).collect())
        .collect();
    let mut reported = vec![false; routes.len()];
    for first in all {
        if let Some(Hop { target, place, listen }) = hop(first, first) {
            let (listen, target) = (listen.to_string(), target.to_string());
            faults.push(Fault { place: place.clone(), problem: Problem::Loop { listen, target } });
            continue;
        }
        if reported[first] {
            continue;
        }
        let Some(circle) = circle(first, &leads_to) else { continue };
        circle.iter().for_each(|service| reported[*service] = true);
        let last = circle.last().copied().unwrap_or(first);
        let (Some(out), Some(back)) = (hop(first, circle[1]), hop(last, first)) else { continue };
        faults.push(Fault {
            place: out.place.clone(),
            problem: Problem::Circle {
                services: circle.iter().map(|at| routes[*at].service.clone()).collect(),
                listen: out.listen.to_string(),
                back: back.place.clone(),
            },
        });
    }
}

/// The shortest way from a service through others back to it; at least two services.
fn circle(first: usize, leads_to: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut from = vec![None; leads_to.len()];
    let mut queue = std::collections::VecDeque::from([first]);
    while let Some(at) = queue.pop_front() {
        for &next in &leads_to[at] {
            if next == first {
                let mut way = vec![at];
                while let Some(before) = from[way[way.len() - 1]] {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if from[next].is_none() {
                from[next] = Some(at);
                queue.push_back(next);
            }
        }
    }
    None
}

/// The names that have to be looked up to find more loops: those with the port of a listener.
pub(super) fn names_to_look_up(routes: &[Route]) -> Vec<String> {
    let listeners = || routes.iter().flat_map(|route| &route.listen);
    let mut names: Vec<String> = routes
        .iter()
        .flat_map(|route| &route.targets)
        .filter(|(target, _)| target.host.parse::<std::net::IpAddr>().is_err())
        .filter(|(target, _)| listeners().any(|(listen, _)| listen.port() == target.port))
        .map(|(target, _)| target.host.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Warns of services that stop one server, and of ports that the kernel may give away.
pub(super) fn advise(
    routes: &[Route],
    services: &[Service],
    plugins: &[Plugin],
    machine: &Machine,
    faults: &mut Vec<Fault>,
) {
    for route in routes {
        warn_of_ephemeral_ports(route, machine, faults);
    }
    let target = |service: &Service| {
        let route = routes.iter().find(|route| route.service == service.name)?;
        route.targets.first()
    };
    for (index, service) in services.iter().enumerate() {
        let before = services[..index].iter().find(|other| {
            machine.is_same_host(&other.target.host, &service.target.host)
                && is_same_stop(&plugins[other.lifecycle.0], &plugins[service.lifecycle.0])
        });
        let Some(before) = before else { continue };
        let place = target(service).and_then(|(_, place)| place.clone());
        let problem = Problem::SameServer {
            service: service.name.clone(),
            first: before.name.clone(),
            listen: format!(
                "listen = [\"{}\", {{ at = \"{}\", target = \"{}\" }}]",
                before.listen[0].at, service.listen[0].at, service.target
            ),
            place: target(before).and_then(|(_, place)| place.clone()),
        };
        faults.push(Fault { place, problem });
    }
}

fn warn_of_ephemeral_ports(route: &Route, machine: &Machine, faults: &mut Vec<Fault>) {
    let Some(ephemeral) = machine.ephemeral() else { return };
    for (target, place) in &route.targets {
        if ephemeral.contains(target.port) && machine.has(target) {
            let range = &ephemeral.range;
            let problem = Problem::EphemeralPort {
                target: target.to_string(),
                port: target.port,
                range: format!("{}-{}", range.start(), range.end()),
            };
            faults.push(Fault { place: place.clone(), problem });
        }
    }
}

/// Whether both stop the same server, given that their targets are on one host.
fn is_same_stop(one: &Plugin, other: &Plugin) -> bool {
    let stop = |plugin: &Plugin| plugin.settings.get("stop").cloned();
    if one.source != other.source {
        return false;
    }
    if one.source != PluginSource::Builtin(SHELL) {
        return one.settings == other.settings;
    }
    match (stop(one), stop(other)) {
        (Some(one), Some(other)) => one == other && !tells_services_apart(&one),
        _ => false,
    }
}

/// Whether a hook seems to look at the variables that name its service and its target.
fn tells_services_apart(command: &serde_json::Value) -> bool {
    let mentions = |text: &[u8]| text.windows(VARIABLES.len()).any(|part| part == VARIABLES);
    let words: Vec<&str> =
        command.as_array().into_iter().flatten().filter_map(|word| word.as_str()).collect();
    let Some(program) = words.first() else { return false };
    let mut script = Vec::new();
    // A pipe without a writer would hold this up.
    let is_file = std::fs::metadata(program).is_ok_and(|metadata| metadata.is_file());
    if is_file && let Ok(file) = File::open(program) {
        let _ = file.take(MAX_SCRIPT_BYTES).read_to_end(&mut script);
    }
    words.iter().any(|word| mentions(word.as_bytes())) || mentions(&script)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::path::Path;

    use super::super::machine::EphemeralPorts;
    use super::super::{Depth, Faults, understand};
    use super::*;

    /// What `check` says to a service with these keys on a machine with the address 192.168.1.5.
    fn said(depth: Depth, listen: &str, target: &str) -> String {
        let text = format!(
            "[services.web]\nlisten = {listen}\ntarget = \"{target}\"\n\
             hooks = {{ start = \"true\", stop = \"true\" }}\n"
        );
        let ephemeral = EphemeralPorts { range: 40000..=50000, reserved: vec![45000..=45010] };
        let resolved = [("nas.example", "192.168.1.5")];
        let mut machine = Machine::fake("box", &["192.168.1.5"], &resolved, Some(ephemeral));
        let mut faults = Vec::new();
        understand(&text, Path::new("dormouse.toml"), &mut machine, depth, &mut faults).unwrap();
        Faults::in_file("dormouse.toml", &text, faults).render(false)
    }

    #[test]
    fn rule_19_an_address_of_a_network_card_and_the_name_of_the_machine_are_found() {
        for target in ["192.168.1.5:80", "[::ffff:192.168.1.5]:80", "box:80", "nas.example:80"] {
            let said = said(Depth::Text, "\"0.0.0.0:80\"", target);
            assert!(said.contains("is the service itself"), "{target}: {said}");
        }
        assert_eq!(said(Depth::Text, "\"127.0.0.1:80\"", "192.168.1.5:80"), "");
    }

    #[test]
    fn a_target_at_an_ephemeral_port_of_this_machine_is_a_warning_of_check() {
        let expected = "\
warning: the port of `127.0.0.1:40000` can be taken while the server sleeps
 --> dormouse.toml:3:10
  |
3 | target = \"127.0.0.1:40000\"
  |          ^^^^^^^^^^^^^^^^^ the kernel gives ports 40000-50000 to outgoing connections
  |
  = help: let the server listen on a port outside of 40000-50000, or add 40000 to \
`net.ipv4.ip_local_reserved_ports` (`sysctl`)";
        let listen = "\"0.0.0.0:80\"";
        assert_eq!(said(Depth::Surroundings, listen, "127.0.0.1:40000"), expected);
        assert_eq!(said(Depth::Text, listen, "127.0.0.1:40000"), "");
        for target in ["192.168.1.5:50000", "box:40001", "localhost:44999"] {
            assert!(said(Depth::Surroundings, listen, target).contains("can be taken"), "{target}");
        }
        for target in ["192.168.1.6:40000", "127.0.0.1:39999", "localhost:45010"] {
            assert_eq!(said(Depth::Surroundings, listen, target), "", "{target}");
        }
    }

    #[test]
    fn the_target_of_a_listener_at_an_ephemeral_port_is_a_warning_too() {
        let listen = "[{ at = \"0.0.0.0:80\", target = \"127.0.0.1:40000\" }]";
        let said = said(Depth::Surroundings, listen, "127.0.0.1:81");
        assert!(said.contains("dormouse.toml:2:41"), "{said}");
    }

    #[test]
    fn only_names_with_the_port_of_a_listener_are_looked_up() {
        let route = Route {
            service: "web".into(),
            listen: vec![("0.0.0.0:80".parse().unwrap(), None)],
            targets: ["10.0.0.7:80", "a.example:80", "b.example:81", "a.example:80"]
                .map(|target| (Target::parse(target).unwrap(), None))
                .into(),
        };
        assert_eq!(names_to_look_up(&[route]), ["a.example"]);
    }
}
