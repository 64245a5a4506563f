//! Who decides for a service: its own hooks, plugins that it names, or nobody.

use super::commands::Hooks;
use super::fault::{Fault, Problem};
use super::plugin::Plugins;
use super::reader::{Table, Value};
use super::values::Folder;
use super::{Decider, PluginId};

const HOOKS: &str = "`{ start = \"./start.sh\", stop = \"./stop.sh\" }`";

/// Who decides for a service.
pub(super) struct Deciders {
    pub(super) lifecycle: PluginId,
    pub(super) readiness: Decider,
    pub(super) gate: Decider,
    pub(super) idleness: Decider,
}

/// A decision that a plugin can be named for, apart from start and stop.
struct Decision {
    /// The key that names a plugin.
    key: &'static str,
    /// The hook that makes the decision.
    hook: &'static str,
    /// The hook as it is told to people.
    hook_key: &'static str,
    /// What is decided.
    words: &'static str,
    /// Whether the lifecycle plugin makes it if nobody is named.
    follows_lifecycle: bool,
}

const READINESS: Decision = Decision {
    key: "readiness",
    hook: "ready",
    hook_key: "hooks.ready",
    words: "say when the target is ready",
    follows_lifecycle: true,
};
const GATE: Decision = Decision {
    key: "gate",
    hook: "should_wake",
    hook_key: "hooks.should_wake",
    words: "judge clients",
    follows_lifecycle: false,
};
const IDLENESS: Decision = Decision {
    key: "idleness",
    hook: "should_sleep",
    hook_key: "hooks.should_sleep",
    words: "say whether the target may sleep",
    follows_lifecycle: true,
};

/// Who starts and stops the target of a service, as far as the config says.
enum Lifecycle {
    /// Its own hooks.
    Hooks(Hooks, PluginId),
    /// The shell plugin, with the hooks that it has.
    Shell(Hooks, PluginId),
    /// Another plugin.
    Plugin(PluginId),
}

/// `hooks`, `lifecycle`, `readiness`, `gate` and `idleness`.
pub(super) fn deciders(
    service: &str,
    table: &mut Table<'_>,
    folder: &Folder,
    plugins: &mut Plugins,
    faults: &mut Vec<Fault>,
) -> Option<Deciders> {
    let lifecycle = lifecycle(service, table, folder, plugins, faults);
    let mut decide =
        |decision| decider(service, &decision, lifecycle.as_ref(), table, plugins, faults);
    let readiness = decide(READINESS);
    let gate = decide(GATE);
    let idleness = decide(IDLENESS);
    let lifecycle = match lifecycle? {
        Lifecycle::Hooks(_, id) | Lifecycle::Shell(_, id) | Lifecycle::Plugin(id) => id,
    };
    Some(Deciders { lifecycle, readiness: readiness?, gate: gate?, idleness: idleness? })
}

/// `hooks` or `lifecycle`.
fn lifecycle(
    service: &str,
    table: &mut Table<'_>,
    folder: &Folder,
    plugins: &mut Plugins,
    faults: &mut Vec<Fault>,
) -> Option<Lifecycle> {
    const KEY: &str = "lifecycle";
    let hooks = table.take("hooks");
    let named = table.take(KEY);
    let (Some(value), place) = (&hooks, table.place_of("hooks")) else {
        let Some(value) = named else {
            let service = service.to_owned();
            faults.push(Fault::at(table.place.clone(), Problem::NoLifecycle { service }));
            return None;
        };
        let reference = plugins.refer(KEY, &value, faults)?;
        let Some(hooks) = reference.hooks else {
            return Some(Lifecycle::Plugin(reference.id));
        };
        let lifecycle = Lifecycle::Shell(hooks.clone(), reference.id);
        require_hooks(KEY, &value, hooks, &["start", "stop"], faults)?;
        return Some(lifecycle);
    };
    let place = place.unwrap_or_else(|| value.place.clone());
    if let Some(named) = named {
        faults.push(Fault::at(
            place.clone(),
            Problem::TwoDeciders {
                service: service.to_owned(),
                hook: "hooks",
                key: KEY,
                decision: "start and stop the target",
            },
        ));
        // So that the plugin is not called unused as well.
        plugins.refer(KEY, &named, faults);
    }
    let section = format!("services.{service}.hooks");
    let hooks_table = Table::of(value, section.clone(), place.clone(), HOOKS, faults)?;
    for (key, example) in [("start", "\"./start.sh\""), ("stop", "\"./stop.sh\"")] {
        if hooks_table.place_of(key).is_none() {
            let problem = Problem::MissingKey { key, section: section.clone(), example };
            faults.push(Fault::at(place.clone(), problem));
        }
    }
    let hooks = Hooks::read(hooks_table, folder, faults);
    let id = plugins.add_hooks(service, &hooks);
    Some(Lifecycle::Hooks(hooks, id))
}

/// Who makes one of the other decisions.
fn decider(
    service: &str,
    decision: &Decision,
    lifecycle: Option<&Lifecycle>,
    table: &mut Table<'_>,
    plugins: &mut Plugins,
    faults: &mut Vec<Fault>,
) -> Option<Decider> {
    if let Some(value) = table.take(decision.key) {
        if let Some(Lifecycle::Hooks(hooks, _)) = lifecycle
            && hooks.has(decision.hook)
        {
            let place = table.place_of(decision.key).unwrap_or_else(|| value.place.clone());
            faults.push(Fault::at(
                place,
                Problem::TwoDeciders {
                    service: service.to_owned(),
                    hook: decision.hook_key,
                    key: decision.key,
                    decision: decision.words,
                },
            ));
        }
        let reference = plugins.refer(decision.key, &value, faults)?;
        let id = reference.id;
        if let Some(hooks) = reference.hooks {
            require_hooks(decision.key, &value, hooks, &[decision.hook], faults)?;
        }
        return Some(Decider::Plugin(id));
    }
    Some(match lifecycle? {
        Lifecycle::Hooks(hooks, id) if hooks.has(decision.hook) => Decider::Plugin(*id),
        Lifecycle::Shell(hooks, id) if decision.follows_lifecycle && hooks.has(decision.hook) => {
            Decider::Plugin(*id)
        }
        Lifecycle::Plugin(id) if decision.follows_lifecycle => Decider::IfExported(*id),
        Lifecycle::Hooks(..) | Lifecycle::Shell(..) | Lifecycle::Plugin(_) => Decider::Nobody,
    })
}

/// Tells of hooks that a shell plugin needs for a decision and does not have.
fn require_hooks(
    key: &'static str,
    value: &Value<'_>,
    hooks: &Hooks,
    needed: &[&'static str],
    faults: &mut Vec<Fault>,
) -> Option<()> {
    if needed.iter().all(|hook| hooks.has(hook)) {
        return Some(());
    }
    let plugin = value.inner.as_str().unwrap_or_default().to_owned();
    faults.push(value.fault(Problem::NoHook { key, plugin, hooks: needed.to_vec() }));
    None
}
