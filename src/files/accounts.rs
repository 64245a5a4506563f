//! Whether others than root and one user are in a group.
//!
//! Distributions give each user a group of its own, and let that group write to the home. Such a
//! group is harmless as long as nobody else is in it. What `/etc/group` does not list is not known,
//! and may have anybody in it.

use std::fs;

/// Whether `group` is known, and nobody but root and `user` is in it.
pub(super) fn is_private(group: u32, user: u32) -> bool {
    match (fs::read_to_string("/etc/passwd"), fs::read_to_string("/etc/group")) {
        (Ok(accounts), Ok(groups)) => is_private_by(&accounts, &groups, group, user),
        _ => false,
    }
}

fn is_private_by(accounts: &str, groups: &str, group: u32, user: u32) -> bool {
    let (mut trusted, mut strangers) = (Vec::new(), Vec::new());
    for line in accounts.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let (Some(name), Some(Ok(id)), Some(Ok(primary))) = (
            fields.first(),
            fields.get(2).map(|id| id.parse::<u32>()),
            fields.get(3).map(|id| id.parse::<u32>()),
        ) else {
            continue;
        };
        if id == 0 || id == user {
            trusted.push(*name);
        } else if primary == group {
            strangers.push(*name);
        }
    }
    let mut is_known = false;
    for line in groups.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let (Some(Ok(id)), Some(members)) =
            (fields.get(2).map(|id| id.parse::<u32>()), fields.get(3))
        else {
            continue;
        };
        if id == group {
            is_known = true;
            let members = members.split(',').map(str::trim).filter(|name| !name.is_empty());
            strangers.extend(members.filter(|name| !trusted.contains(name)));
        }
    }
    is_known && strangers.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: &str = "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/sh\n\
                            you:x:1001:1001::/home/you:/bin/sh\nweb:x:33:1002::/:/bin/false\n";
    const GROUPS: &str = "root:x:0:\nme:x:1000:\nyou:x:1001:\nours:x:50:me,you\nmine:x:51:me, root\n\
                          web:x:1002:\nbroken\n";

    #[test]
    fn a_group_is_private_if_only_root_and_the_user_are_in_it() {
        for (group, expected) in [
            (1000, true),
            (0, true),
            (51, true),
            (1001, false),
            (50, false),
            (1002, false),
            (7, false),
        ] {
            assert_eq!(is_private_by(ACCOUNTS, GROUPS, group, 1000), expected, "{group}");
        }
        assert!(!is_private_by("", "", 1000, 1000));
    }
}
