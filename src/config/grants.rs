//! Grants: `[plugins.NAME.allow]`, what a plugin may do outside its sandbox.

use std::path::{Component, Path};

use super::fault::{Fault, Problem};
use super::reach::{self, ReachMistake};
use super::reader::{Table, Value};
use super::values::{Folder, ProgramMistake};
use super::{FolderGrant, Grants, commands, http_grant};

/// What the table looks like.
pub(super) const EXAMPLE: &str = "a table, such as `{ exec = [\"/usr/bin/docker\"] }`";

/// `allow`: one line a grant.
pub(super) fn read(mut table: Table<'_>, folder: &Folder, faults: &mut Vec<Fault>) -> Grants {
    let exec = |value: &Value<'_>, faults: &mut Vec<Fault>| commands::grant(value, folder, faults);
    let mut servers = Vec::new();
    let http = |value: &Value<'_>, faults: &mut Vec<Fault>| {
        http_grant::grant(value, folder, &mut servers, faults)
    };
    let folders = |value: &Value<'_>, faults: &mut Vec<Fault>| opened(value, folder, faults);
    let mut grants = Grants {
        exec: list(table.take("exec"), "`[\"/usr/bin/docker\"]`", exec, faults),
        env: list(table.take("env"), "`[\"HOME\"]`", variable, faults),
        http: list(table.take("http"), http_grant::EXAMPLE, http, faults),
        connect: list(table.take("connect"), REACH, by_tcp_or_udp, faults),
        udp: list(table.take("udp"), REACH, by_tcp_or_udp, faults),
        wake_on_lan: list(table.take("wake_on_lan"), "`[\"192.168.1.255\"]`", broadcast, faults),
        read: list(table.take("read"), FOLDERS, folders, faults),
        write: list(table.take("write"), FOLDERS, folders, faults),
    };
    // A guest finds a folder by its path, so each is there once, with all that is granted.
    grants.read.retain(|read| !grants.write.iter().any(|write| write.path == read.path));
    table.finish(faults);
    grants
}

const REACH: &str = "`[\"192.168.1.5:22\"]`";
const FOLDERS: &str = "`[\"./data\"]`";

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

/// A part of the network.
fn by_tcp_or_udp(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<super::Reach> {
    let text = value.text("a list of strings", "a string, such as `\"192.168.1.5:22\"`", faults)?;
    reach::reach(text).map_err(|mistake| faults.push(bad_reach(value, text, mistake))).ok()
}

/// Where magic packets may be sent to.
fn broadcast(value: &Value<'_>, faults: &mut Vec<Fault>) -> Option<std::net::SocketAddrV4> {
    let text = value.text("a list of strings", "a string, such as `\"192.168.1.255\"`", faults)?;
    reach::broadcast(text).map_err(|mistake| faults.push(bad_reach(value, text, mistake))).ok()
}

fn bad_reach(value: &Value<'_>, text: &str, mistake: ReachMistake) -> Fault {
    let (key, text) = (value.key.clone(), text.to_owned());
    value.fault(Problem::BadReach { key, text, mistake })
}

/// A folder that the plugin sees under the path that is written here.
fn opened(value: &Value<'_>, folder: &Folder, faults: &mut Vec<Fault>) -> Option<FolderGrant> {
    let text = value.text("a list of paths", "a string, such as `\"./data\"`", faults)?;
    let mistake = match text {
        "~" => Some(ProgramMistake::Tilde),
        text => folder.program(text).err(),
    };
    if let Some(mistake) = mistake {
        let (key, text) = (value.key.clone(), text.to_owned());
        faults.push(value.fault(Problem::BadProgram { key, text, mistake }));
        return None;
    }
    let parts = Path::new(text).components().filter(|part| *part != Component::CurDir);
    let name = parts.collect::<std::path::PathBuf>().to_string_lossy().into_owned();
    let name = if name.is_empty() { ".".to_owned() } else { name };
    Some(FolderGrant { path: folder.path(text), name })
}
