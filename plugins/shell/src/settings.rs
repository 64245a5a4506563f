//! Which command makes which decision.
//!
//! The settings are a table with a key for each hook. A value is a list, the program and its
//! arguments, or a text, the program alone:
//!
//! ```json
//! { "start": ["/srv/start.sh", "--fast"], "stop": "/srv/stop.sh" }
//! ```

use serde_json::{Map, Value};

use crate::bindings::dormouse::plugin::types::{Failure, FailureKind};
use crate::hook::{Hook, Name};
use crate::text::printable;

/// The hooks that there are.
#[derive(Debug, PartialEq)]
pub(crate) struct Settings {
    hooks: Vec<Hook>,
}

impl Settings {
    /// Reads the settings; the error says what is wrong with them.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let table: Map<String, Value> = serde_json::from_str(json)
            .map_err(|error| format!("the settings of this plugin are no table: {error}"))?;
        let hooks =
            table.iter().map(|(key, value)| read_hook(key, value)).collect::<Result<_, _>>()?;
        Ok(Self { hooks })
    }

    /// The hook of this name. Dormouse asks only for decisions that have one, so that a missing hook
    /// is a fault of the settings.
    pub(crate) fn hook(self, name: Name) -> Result<Hook, Failure> {
        self.hooks.into_iter().find(|hook| hook.name == name).ok_or_else(|| Failure {
            kind: FailureKind::WrongSettings,
            message: format!(
                "the settings have no hook `{name}`. Add one, for example {name} = \"./{name}.sh\""
            ),
        })
    }
}

fn read_hook(key: &str, value: &Value) -> Result<Hook, String> {
    let Some(name) = Name::ALL.into_iter().find(|name| name.as_str() == key) else {
        let names = Name::ALL.map(|name| format!("`{name}`")).join(", ");
        return Err(format!("there is no hook `{}`: the hooks are {names}", printable(key)));
    };
    let words = match value {
        Value::String(program) => vec![program.clone()],
        Value::Array(words) => words
            .iter()
            .map(|word| match word {
                Value::String(word) => Ok(word.clone()),
                _ => Err(format!("the hook `{name}` has an item that is no text")),
            })
            .collect::<Result<_, _>>()?,
        _ => {
            return Err(format!("the hook `{name}` is neither a text nor a list of texts"));
        }
    };
    let mut words = words.into_iter();
    match words.next() {
        None => Err(format!("the hook `{name}` is an empty list: its first item is the program")),
        Some(program) if program.is_empty() => Err(format!("the hook `{name}` has no program")),
        Some(program) => Ok(Hook { name, program, arguments: words.collect() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(name: Name, program: &str, arguments: &[&str]) -> Hook {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Hook { name, program: program.to_owned(), arguments }
    }

    #[test]
    fn a_list_is_a_program_with_its_arguments_and_a_text_is_a_program() {
        let json = r#"{"start": ["/start.sh", "-x", ""], "should_wake": "/gate"}"#;
        assert_eq!(
            Settings::parse(json),
            Ok(Settings {
                hooks: vec![
                    hook(Name::ShouldWake, "/gate", &[]),
                    hook(Name::Start, "/start.sh", &["-x", ""])
                ]
            })
        );
    }

    #[test]
    fn a_hook_is_found_by_its_name() {
        let hooks = || vec![hook(Name::Start, "/start.sh", &[]), hook(Name::Stop, "/stop.sh", &[])];
        let found = Settings { hooks: hooks() }.hook(Name::Stop);
        assert_eq!(found.map_err(|failure| failure.message), Ok(hooks().remove(1)));
    }

    #[test]
    fn a_hook_that_is_missing_is_named() {
        let failure = Settings { hooks: vec![] }.hook(Name::Stop).map_err(|f| f.message);
        assert_eq!(
            failure,
            Err("the settings have no hook `stop`. Add one, for example stop = \"./stop.sh\""
                .into())
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let names = "`start`, `stop`, `ready`, `should_wake`, `should_sleep`";
        for (json, expected) in [
            (r#"{"strat": "x"}"#, format!("there is no hook `strat`: the hooks are {names}")),
            (
                r#"{"start": []}"#,
                "the hook `start` is an empty list: its first item is the program".into(),
            ),
            (r#"{"start": [""]}"#, "the hook `start` has no program".into()),
            (r#"{"stop": ["x", 7]}"#, "the hook `stop` has an item that is no text".into()),
            (r#"{"stop": true}"#, "the hook `stop` is neither a text nor a list of texts".into()),
            (
                "[]",
                "the settings of this plugin are no table: invalid type: sequence, expected a map \
                 at line 1 column 0"
                    .into(),
            ),
        ] {
            assert_eq!(Settings::parse(json), Err(expected), "{json}");
        }
    }
}
