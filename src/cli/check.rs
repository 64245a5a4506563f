//! `dormouse check`: everything that can be known about a config without starting anything.
//!
//! What a plugin exports is found out by whoever loads plugins, who is handed in; the rest is
//! looked at here.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use super::{Complaint, Failure, failure, open_files, warn};
use crate::config::{
    self, Config, Decider, ExecGrant, FolderGrant, OnGateError, OnIdlenessError, Plugin, PluginId,
    PluginSource, Reach, Service, Severity, Wakes,
};
use crate::text::printable;

/// The decisions that a component can make: the interfaces that it exports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exports {
    /// Start and stop.
    pub lifecycle: bool,
    /// Ready.
    pub readiness: bool,
    /// May this client wake the target?
    pub gate: bool,
    /// May the target sleep?
    pub idleness: bool,
}

/// Checks a config, and prints who decides what.
///
/// `exports` loads the plugins and says what each exports, or why it can't be loaded.
pub(super) fn execute(
    given: Option<&Path>,
    exports: impl Fn(&Config) -> Result<Vec<Result<Exports, Complaint>>, Failure>,
) -> Result<(), Failure> {
    let path = config::locate(given).map_err(Failure::BadConfig)?;
    let (config, warnings) = config::examine(&path).map_err(Failure::BadConfig)?;
    warn(&warnings);
    let mut complaints = Vec::new();
    let exports: Vec<_> = exports(&config)?
        .into_iter()
        .map(|exports| exports.map_err(|complaint| complaints.push(complaint)).ok())
        .collect();
    let checked = Checked { config: &config, exports };
    checked.complain(&mut complaints);
    let limit = dormouse_child_limits::most_open_files();
    let capacity = open_files::capacity(&config, limit, None);
    let mut odd = checked.odd_grants();
    odd.extend(open_files::too_many_held(&config, limit, capacity));
    if !odd.is_empty() {
        failure::tell(Severity::Warning, &odd);
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(checked.report().as_bytes())?;
    writeln!(stdout, "{}", open_files::capacity_message(limit, capacity))?;
    if complaints.is_empty() {
        writeln!(stdout, "The config is good.")?;
    }
    stdout.flush()?;
    if complaints.is_empty() { Ok(()) } else { Err(Failure::Complaints(complaints)) }
}

/// A config, and what its plugins export: `None` for one that can't be loaded.
struct Checked<'c> {
    config: &'c Config,
    exports: Vec<Option<Exports>>,
}

impl Checked<'_> {
    /// What is wrong with the plugins that services name, and with the programs that they run.
    fn complain(&self, complaints: &mut Vec<Complaint>) {
        for service in &self.config.services {
            let named = [
                ("lifecycle", Decider::Plugin(service.lifecycle)),
                ("readiness", service.readiness),
                ("gate", service.gate),
                ("idleness", service.idleness),
            ];
            for (key, decider) in named {
                let Decider::Plugin(id) = decider else {
                    continue;
                };
                if self.exports(id).is_some_and(|exports| !exports.has(key)) {
                    let (name, service) = (&self.config.plugin(id).name, &service.name);
                    complaints.push(
                        Complaint::new(format!(
                            "plugin `{name}` can't be the `{key}` of `{service}`: it does not \
                             export the interface `{key}`"
                        ))
                        .remedy("name another plugin, or ask the author of this one"),
                    );
                }
            }
        }
        for plugin in &self.config.plugins {
            for (hook, program) in hooks(plugin) {
                if let Some(problem) = config::problem_with(program) {
                    let owner = match &plugin.hooks_of {
                        Some(service) => format!("service `{service}`"),
                        None => format!("plugin `{}`", plugin.name),
                    };
                    complaints.push(
                        Complaint::new(format!("the `{hook}` hook of {owner}: {problem}"))
                            .remedy(problem.remedy()),
                    );
                }
            }
        }
    }

    /// Programs that plugins may run and that can't be run. It is no error: a plugin may have a
    /// grant for each of several programs, of which one is installed.
    fn odd_grants(&self) -> Vec<Complaint> {
        let mut odd = Vec::new();
        for plugin in &self.config.plugins {
            for ExecGrant { program, .. } in &plugin.allow.exec {
                if hooks(plugin).any(|(_, hook)| hook == program) {
                    continue;
                }
                if let Some(problem) = config::problem_with(program) {
                    let name = &plugin.name;
                    odd.push(
                        Complaint::new(format!("`allow.exec` of plugin `{name}`: {problem}"))
                            .remedy(problem.remedy()),
                    );
                }
            }
        }
        odd
    }

    fn exports(&self, id: PluginId) -> Option<Exports> {
        self.exports.get(id.0).copied().flatten()
    }

    /// A block of lines for each service.
    fn report(&self) -> String {
        let mut report = String::new();
        for service in &self.config.services {
            let _ = writeln!(report, "service {}", service.name);
            for (name, values) in self.rows(service) {
                for (line, value) in values.iter().enumerate() {
                    let name = if line == 0 { name } else { "" };
                    let _ = writeln!(report, "  {name:<10}{}", printable(value));
                }
            }
            report.push('\n');
        }
        report
    }

    /// The lines about a service: a word, and one or more values for it.
    fn rows(&self, service: &Service) -> Vec<(&'static str, Vec<String>)> {
        let lifecycle = Decider::Plugin(service.lifecycle);
        let ready = || "a TCP connection to the target".to_owned();
        let gate = || "every client may wake the target".to_owned();
        let sleep = || "the cool-down alone".to_owned();
        let cooldown = humantime::format_duration(service.cooldown).to_string();
        let on_gate_error = match service.on_gate_error {
            OnGateError::Wake => "wakes the target if the gate fails",
            OnGateError::Refuse => "is refused if the gate fails",
        };
        let mut gate = vec![self.decider(service.gate, "gate", "should_wake", gate)];
        if service.gate != Decider::Nobody {
            gate.push(format!("a client {on_gate_error}"));
        }
        let mut sleep = vec![self.decider(service.idleness, "idleness", "should_sleep", sleep)];
        if service.on_idleness_error == OnIdlenessError::Stay {
            sleep.push("the target stays up if that fails".to_owned());
        }
        let mut rows = vec![
            ("listen", service.listen.iter().map(ToString::to_string).collect()),
            ("target", vec![service.target.to_string()]),
            ("start", vec![self.decider(lifecycle, "lifecycle", "start", String::new)]),
            ("stop", vec![self.decider(lifecycle, "lifecycle", "stop", String::new)]),
            ("ready", vec![self.decider(service.readiness, "readiness", "ready", ready)]),
            ("gate", gate),
            ("sleep", sleep),
            ("cooldown", vec![cooldown]),
            ("grants", self.grants(service)),
        ];
        let wakes = wakes(service.wakes);
        if !wakes.is_empty() {
            rows.insert(rows.len() - 2, ("wakes", wakes));
        }
        rows
    }

    /// Who makes a decision, in words.
    fn decider(
        &self,
        decider: Decider,
        interface: &str,
        hook: &str,
        nobody: impl Fn() -> String,
    ) -> String {
        let id = match decider {
            Decider::Plugin(id) => id,
            Decider::IfExported(id) => match self.exports(id) {
                Some(exports) if exports.has(interface) => id,
                Some(_) => return nobody(),
                None => return "not known: the plugin can't be loaded".into(),
            },
            Decider::Nobody => return nobody(),
        };
        let plugin = self.config.plugin(id);
        if plugin.hooks_of.is_some() {
            let command = plugin.settings.get(hook).and_then(|command| command.as_array());
            let words = command.into_iter().flatten().filter_map(|word| word.as_str());
            return format!("hook {}", words.collect::<Vec<_>>().join(" "));
        }
        let pinned = if plugin.sha256.is_some() { ", pinned" } else { "" };
        match &plugin.source {
            PluginSource::Builtin(name) => {
                format!("plugin {} (builtin:{name}{pinned})", plugin.name)
            }
            PluginSource::File(path) => {
                format!("plugin {} ({}{pinned})", plugin.name, path.display())
            }
        }
    }

    /// What the plugins of a service may do outside their sandboxes.
    fn grants(&self, service: &Service) -> Vec<String> {
        let deciders =
            [Decider::Plugin(service.lifecycle), service.readiness, service.gate, service.idleness];
        let mut ids = Vec::new();
        for decider in deciders {
            if let Decider::Plugin(id) | Decider::IfExported(id) = decider
                && !ids.contains(&id)
            {
                ids.push(id);
            }
        }
        let mut grants = Vec::new();
        for id in ids {
            let plugin = self.config.plugin(id);
            let name = &plugin.name;
            grants.extend(plugin.allow.exec.iter().map(|exec| format!("{name} may {}", run(exec))));
            grants.extend(plugin.allow.env.iter().map(|env| format!("{name} may read ${env}")));
            grants.extend(plugin.allow.http.iter().map(|http| format!("{name} may send {http}")));
            let reach = |reach: &Reach| match reach {
                Reach::Target => format!("{} (its target)", service.target),
                Reach::Addresses { .. } => reach.to_string(),
            };
            let allow = &plugin.allow;
            grants.extend(
                allow.connect.iter().map(|to| format!("{name} may connect to {}", reach(to))),
            );
            grants.extend(
                allow.udp.iter().map(|to| format!("{name} may send to {} by UDP", reach(to))),
            );
            grants.extend(
                allow.wake_on_lan.iter().map(|to| format!("{name} may send magic packets to {to}")),
            );
            let folder = |folder: &FolderGrant| folder.path.display().to_string();
            grants.extend(allow.read.iter().map(|of| format!("{name} may read in {}", folder(of))));
            grants.extend(
                allow.write.iter().map(|of| format!("{name} may read and write in {}", folder(of))),
            );
        }
        if grants.is_empty() {
            grants.push("none".into());
        }
        grants
    }
}

impl Exports {
    /// Whether the interface of that name is among them.
    fn has(self, interface: &str) -> bool {
        match interface {
            "lifecycle" => self.lifecycle,
            "readiness" => self.readiness,
            "gate" => self.gate,
            "idleness" => self.idleness,
            _ => false,
        }
    }
}

/// The hooks of a shell plugin, and their programs.
fn hooks(plugin: &Plugin) -> impl Iterator<Item = (&str, &str)> {
    let is_shell = plugin.source == PluginSource::Builtin("shell");
    let hooks = plugin.settings.as_object().filter(|_| is_shell);
    hooks.into_iter().flatten().filter_map(|(hook, command)| {
        let program = command.as_array()?.first()?.as_str()?;
        Some((hook.as_str(), program))
    })
}

/// How often clients may wake the target; nothing if there is no limit.
fn wakes(wakes: Wakes) -> Vec<String> {
    let all = wakes.per_hour.map(|most| format!("at most {most} an hour"));
    let each = wakes.per_client_per_hour;
    let each = each.map(|most| format!("at most {most} an hour by one client"));
    all.into_iter().chain(each).collect()
}

fn run(grant: &ExecGrant) -> String {
    match &grant.arguments {
        None => format!("run {} with any arguments", grant.program),
        Some(arguments) if arguments.is_empty() => format!("run {}", grant.program),
        Some(arguments) => format!("run {} {}", grant.program, arguments.join(" ")),
    }
}
