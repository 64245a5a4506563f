//! Commands, and the environment: `allow.exec` and `allow.env`.

use crate::config::{ExecGrant, Plugin};
use crate::decide::CALL_VARIABLE;
use crate::plugin::children::MARK;
use crate::text;

use super::{Denial, toml_key, toml_string};

/// Variables that a plugin may set for a command: no program but a hook looks at these.
const VARIABLE_PREFIX: &str = "DORMOUSE_";

/// Variables by which Dormouse finds a process again that it has started before a crash: no plugin may
/// have it find another.
const RESERVED_VARIABLES: [&str; 2] = [CALL_VARIABLE, MARK];

/// Grants `allow.exec`: may `plugin` run `program` with `arguments`?
///
/// A program is compared as it is written: a name is not the path that it is found at. A grant
/// without arguments allows any.
pub(in crate::plugin) fn command(
    plugin: &Plugin,
    program: &str,
    arguments: &[String],
) -> Result<(), Denial> {
    let granted = plugin.allow.exec.iter().any(|grant| {
        grant.program == program
            && grant.arguments.as_ref().is_none_or(|allowed| allowed == arguments)
    });
    if granted {
        return Ok(());
    }
    let wanted = ExecGrant { program: program.to_owned(), arguments: Some(arguments.to_vec()) };
    let command = toml_command(&wanted);
    let remedy = match &plugin.hooks_of {
        Some(service) => format!(
            "It is none of the `hooks` of `[services.{}]`, and only these are allowed.",
            toml_key(service)
        ),
        None if command.len() > text::LONGEST => {
            "The command is too long to be shown in full.".to_owned()
        }
        None => {
            let grants = plugin.allow.exec.iter().chain([&wanted]).map(toml_command);
            format!(
                "To allow it, write this under `[plugins.{}.allow]`: exec = [{}]",
                toml_key(&plugin.name),
                grants.collect::<Vec<_>>().join(", ")
            )
        }
    };
    Err(Denial { wanted: format!("run {}", text::line(&command, 1024)), remedy })
}

/// May a plugin set the variable `name` for a command that it runs?
pub(in crate::plugin) fn command_variable(name: &str) -> Result<(), Denial> {
    if RESERVED_VARIABLES.contains(&name) {
        return Err(Denial {
            wanted: format!("set the variable `{name}` for a command"),
            remedy: "Dormouse itself sets it: choose another name.".to_owned(),
        });
    }
    let plain = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match name.strip_prefix(VARIABLE_PREFIX) {
        Some(rest) if !rest.is_empty() && plain(rest) => Ok(()),
        Some(_) | None => Err(Denial {
            wanted: format!("set the variable `{}` for a command", text::line(name, 100)),
            remedy: format!(
                "Names must begin with `{VARIABLE_PREFIX}` and go on with letters, digits and `_`: \
                 other variables could change what a granted command does."
            ),
        }),
    }
}

/// Grants `allow.env`: the variables of Dormouse's environment that `plugin` may see.
pub(in crate::plugin) fn environment(plugin: &Plugin) -> Vec<(String, String)> {
    let value = |name: &String| std::env::var_os(name).map(|value| (name.clone(), value));
    let visible = plugin.allow.env.iter().filter_map(value);
    visible.map(|(name, value)| (name, value.to_string_lossy().into_owned())).collect()
}

/// A grant of `allow.exec` as one writes it.
fn toml_command(grant: &ExecGrant) -> String {
    match &grant.arguments {
        None => toml_string(&grant.program),
        Some(arguments) => {
            let words = [&grant.program].into_iter().chain(arguments);
            let words: Vec<_> = words.map(|word| toml_string(word)).collect();
            format!("[{}]", words.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;
    use crate::plugin::grants::for_tests;

    fn plugin(exec: &[(&str, Option<&[&str]>)]) -> Plugin {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let exec = exec.iter().map(|(program, arguments)| ExecGrant {
            program: (*program).to_owned(),
            arguments: arguments.map(owned),
        });
        let mut plugin = for_tests::plugin();
        plugin.allow.exec = exec.collect();
        plugin
    }

    fn allows(plugin: &Plugin, program: &str, arguments: &[&str]) -> bool {
        let arguments: Vec<_> = arguments.iter().map(|word| (*word).to_owned()).collect();
        command(plugin, program, &arguments).is_ok()
    }

    #[test]
    fn nothing_may_be_run_without_a_grant() {
        assert!(!allows(&plugin(&[]), "docker", &[]));
    }

    #[test]
    fn a_program_without_arguments_in_its_grant_may_have_any() {
        let plugin = plugin(&[("docker", None)]);
        assert!(allows(&plugin, "docker", &[]));
        assert!(allows(&plugin, "docker", &["rm", "-f", "mc"]));
        assert!(!allows(&plugin, "/usr/bin/docker", &[]));
        assert!(!allows(&plugin, "docker2", &[]));
    }

    #[test]
    fn a_grant_with_arguments_allows_exactly_these() {
        let plugin = plugin(&[("docker", Some(&["start", "mc"])), ("true", Some(&[]))]);
        assert!(allows(&plugin, "docker", &["start", "mc"]));
        assert!(allows(&plugin, "true", &[]));
        for others in [&["start"][..], &["start", "mc", "--all"], &["mc", "start"], &[]] {
            assert!(!allows(&plugin, "docker", others), "{others:?}");
        }
        assert!(!allows(&plugin, "true", &["start", "mc"]));
    }

    #[test]
    fn a_command_that_is_too_long_is_not_shown_in_the_remedy() {
        let length = |of: usize| {
            let program = "p".repeat(of);
            let denial = command(&plugin(&[]), &program, &[]).unwrap_err();
            denial.remedy.contains(&program)
        };
        // Around the program stand brackets and quotes.
        assert!(length(text::LONGEST - 4));
        assert!(!length(text::LONGEST - 3));
        assert!(!length(2 * text::LONGEST));
    }

    #[test]
    fn a_plugin_sees_the_variables_that_are_granted_and_set() {
        let mut plugin = plugin(&[]);
        assert_eq!(environment(&plugin), []);
        plugin.allow.env = vec!["PATH".to_owned(), "DORMOUSE_IS_NOT_SET".to_owned()];
        let path = std::env::var("PATH").unwrap();
        assert_eq!(environment(&plugin), [("PATH".to_owned(), path)]);
    }

    #[test]
    fn variables_of_commands_have_names_that_no_program_knows() {
        assert!(command_variable("DORMOUSE_SERVICE").is_ok());
        assert!(command_variable("DORMOUSE_CALLS").is_ok());
        for name in ["PATH", "LD_PRELOAD", "DORMOUSE_", "dormouse_x", "DORMOUSE_X=Y", "DORMOUSE_\0"]
        {
            assert!(command_variable(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_variables_by_which_processes_are_found_again_are_set_by_dormouse_alone() {
        assert!(command_variable("DORMOUSE_CALL").is_err());
        assert!(command_variable("DORMOUSE_CHILD").is_err());
    }

    #[test]
    fn the_remedy_is_toml_that_keeps_what_was_granted_and_adds_the_command() {
        let wanted = ["start".to_owned(), "a \"b\"\\\n\u{1b}".to_owned()];
        let mut plugin = plugin(&[("true", None), ("docker", Some(&["stop", "mc"]))]);
        plugin.name = "my docker".to_owned();
        let Err(denial) = command(&plugin, "docker", &wanted) else { panic!("it is granted") };
        assert!(!denial.remedy.contains('\n'), "a line of a log has no breaks");
        let (table, toml) = denial.remedy.split_once("`: ").unwrap();
        assert!(table.ends_with("[plugins.\"my docker\".allow]"), "{table}");
        let parsed: toml::Table = toml.parse().unwrap();
        let exec = &parsed["exec"];
        assert_eq!(exec[0].as_str(), Some("true"));
        assert_eq!(exec[1][1].as_str(), Some("stop"));
        assert_eq!(exec[2][0].as_str(), Some("docker"));
        assert_eq!(exec[2][2].as_str(), Some(wanted[1].as_str()));
        assert!(!toml.contains('\u{1b}'));
    }
}
