//! Grants: `[plugins.NAME.allow]`, what a plugin may do outside its sandbox.

use super::fault::{Fault, Problem};
use super::reader::{Table, Value};
use super::values::Folder;
use super::{Grants, commands, http_grant};

/// What the table looks like.
pub(super) const EXAMPLE: &str = "a table, such as `{ exec = [\"/usr/bin/docker\"] }`";

/// `allow`: one line a grant.
pub(super) fn read(mut table: Table<'_>, folder: &Folder, faults: &mut Vec<Fault>) -> Grants {
    let exec = |value: &Value<'_>, faults: &mut Vec<Fault>| commands::grant(value, folder, faults);
    let mut servers = Vec::new();
    let http = |value: &Value<'_>, faults: &mut Vec<Fault>| {
        http_grant::grant(value, folder, &mut servers, faults)
    };
    let grants = Grants {
        exec: list(table.take("exec"), "`[\"/usr/bin/docker\"]`", exec, faults),
        env: list(table.take("env"), "`[\"HOME\"]`", variable, faults),
        http: list(table.take("http"), http_grant::EXAMPLE, http, faults),
    };
    table.finish(faults);
    grants
}

/// A list of grants of one kind.
fn list<'t, T>(
    value: Option<Value<'t>>,
    example: &'static str,
    mut read: impl FnMut(&Value<'t>, &mut Vec<Fault>) -> Option<T>,
    faults: &mut Vec<Fault>,
) -> Vec<T> {
    let Some(value) = value else {
        return Vec::new();
    };
    if !value.is_list() {
        faults.push(value.wrong_type("a list", example));
        return Vec::new();
    }
    value.each().iter().filter_map(|value| read(value, faults)).collect()
}

/// The name of an environment variable.
fn variable(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let text = value.text("the name of a variable", "a string, such as `\"HOME\"`", faults)?;
    if text.is_empty() || text.contains(['=', '$', '\0']) || text.contains(char::is_whitespace) {
        faults.push(value.fault(Problem::BadVariable { text: text.to_owned() }));
        return None;
    }
    Some(text.to_owned())
}
