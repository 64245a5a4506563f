//! Commands: the programs of hooks and of grants.

use toml::de::DeValue;

use super::ExecGrant;
use super::fault::{Fault, Problem, Span};
use super::reader::{Table, Value};
use super::values::{self, Folder, ProgramMistake};

/// The hooks that the shell plugin knows. `start` and `stop` make a lifecycle.
pub(super) const HOOKS: [&str; 5] = ["start", "stop", "ready", "should_wake", "should_sleep"];

const COMMAND: &str = "a path or a list of arguments";
const COMMAND_EXAMPLE: &str = "`\"./start.sh\"` or `[\"./start.sh\", \"--fast\"]`";

/// A command: the program, absolute or to be found in `PATH`, and its arguments.
pub(super) type Command = Vec<String>;

/// What `hooks` of a service, and the settings of a shell plugin, say: the hooks that are given,
/// in the order of [`HOOKS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hooks(Vec<Hook>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hook {
    name: &'static str,
    command: Command,
    /// Where it stands; nowhere for flags.
    place: Span,
}

impl Hooks {
    /// Reads the hooks of `table` and tells of all other keys.
    pub(super) fn read(mut table: Table<'_>, folder: &Folder, faults: &mut Vec<Fault>) -> Hooks {
        let mut hooks = Vec::new();
        // `hooks` or `settings`.
        let parent = table.section.rsplit('.').next().unwrap_or_default().to_owned();
        for name in HOOKS {
            let Some(mut value) = table.take(name) else {
                continue;
            };
            value.key = format!("{parent}.{name}");
            if let Some(command) = command(&value, folder, faults) {
                let place = value.place;
                hooks.push(Hook { name, command, place });
            }
        }
        table.finish(faults);
        Hooks(hooks)
    }

    /// Two programs without arguments.
    pub(super) fn start_and_stop(start: String, stop: String) -> Hooks {
        let hook = |name, program| Hook { name, command: vec![program], place: 0..0 };
        Hooks(vec![hook("start", start), hook("stop", stop)])
    }

    /// Whether there is this one.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|hook| hook.name == name)
    }

    /// The settings of the shell plugin that runs them.
    pub(super) fn settings(&self) -> serde_json::Value {
        self.0
            .iter()
            .map(|hook| (hook.name.to_owned(), serde_json::Value::from(hook.command.clone())))
            .collect()
    }

    /// A grant for exactly these commands.
    pub(super) fn grants(&self) -> Vec<ExecGrant> {
        let mut grants: Vec<ExecGrant> = Vec::new();
        for hook in &self.0 {
            let Some((program, arguments)) = hook.command.split_first() else {
                continue;
            };
            let grant = ExecGrant { program: program.clone(), arguments: Some(arguments.to_vec()) };
            if !grants.contains(&grant) {
                grants.push(grant);
            }
        }
        grants
    }

    /// Warns of those that the plugin may not run.
    pub(super) fn warn_of_denials(
        &self,
        plugin: &str,
        exec: &[ExecGrant],
        faults: &mut Vec<Fault>,
    ) {
        for Hook { name, command, place } in &self.0 {
            let is_granted = |grant: &ExecGrant| {
                command.split_first().is_some_and(|(program, arguments)| {
                    *program == grant.program
                        && grant.arguments.as_deref().is_none_or(|granted| granted == arguments)
                })
            };
            if !exec.iter().any(is_granted) {
                faults.push(Fault::at(
                    place.clone(),
                    Problem::NotGranted {
                        plugin: plugin.to_owned(),
                        hook: name,
                        command: serde_json::Value::from(command.clone()).to_string(),
                    },
                ));
            }
        }
    }
}

/// A path, or a list of a program and its arguments.
fn command(value: &Value<'_>, folder: &Folder, faults: &mut Vec<Fault>) -> Option<Command> {
    match value.inner {
        DeValue::String(_) => Some(vec![program(value, folder, faults)?]),
        DeValue::Array(_) => {
            let items = value.each();
            let Some((first, rest)) = items.split_first() else {
                let key = value.key.clone();
                faults.push(value.fault(Problem::EmptyList { key, example: COMMAND_EXAMPLE }));
                return None;
            };
            let mut command = vec![program(first, folder, faults)];
            command.extend(rest.iter().map(|value| argument(value, faults)));
            command.into_iter().collect()
        }
        _ => {
            faults.push(value.wrong_type(COMMAND, COMMAND_EXAMPLE));
            None
        }
    }
}

/// An entry of `allow.exec`: a program that may have any arguments, or one with exactly these.
pub(super) fn grant(
    value: &Value<'_>,
    folder: &Folder,
    faults: &mut Vec<Fault>,
) -> Option<ExecGrant> {
    let mut command = command(value, folder, faults)?;
    let arguments = value.is_list().then(|| command.split_off(1));
    Some(ExecGrant { program: command.pop()?, arguments })
}

fn program(value: &Value<'_>, folder: &Folder, faults: &mut Vec<Fault>) -> Option<String> {
    let text = value.text("a string", COMMAND_EXAMPLE, faults)?;
    folder.program(text).map_err(|mistake| faults.push(bad(value, text, mistake))).ok()
}

fn argument(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let text = value.text("a list of strings", COMMAND_EXAMPLE, faults)?;
    values::argument(text)
        .map(str::to_owned)
        .map_err(|mistake| faults.push(bad(value, text, mistake)))
        .ok()
}

fn bad(value: &Value<'_>, text: &str, mistake: ProgramMistake) -> Fault {
    let (key, text) = (value.key.clone(), text.to_owned());
    value.fault(Problem::BadProgram { key, text, mistake })
}
