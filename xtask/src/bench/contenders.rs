//! The ways from a client to the target: none at all, Dormouse, and the proxies that one might use
//! in its place, each as an expert would start it.
//!
//! Commands and files are templates. Their placeholders: `{listen}` (`{listen_port}`) and
//! `{target}`, addresses; `{dir}`, a folder of its own; `{hook}`, the start hook; `{dormouse}`, the
//! binary; `{services}`, further services of Dormouse; `{connections}`, as many as the limit of
//! open files allows a proxy.

use std::path::Path;

use super::options::Options;
use super::program::{Programs, first_line, is_installed};
use super::say;

/// Part that a contender has in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// No proxy: the limit.
    Direct,
    Ours,
    Peer,
}

/// A way from a client to the target.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    pub name: &'static str,
    pub role: Role,
    /// How it is started. Empty for [`Role::Direct`].
    pub command: &'static [&'static str],
    /// How it is started with a target that is down, if it can start one.
    pub waking: Option<&'static [&'static str]>,
    /// The files that it needs in its folder.
    pub files: &'static [(&'static str, &'static str)],
    /// Services of Dormouse beside the one that is measured.
    pub further_services: usize,
    /// Open files that it needs for each connection.
    pub files_each: usize,
    /// Connections at once, at most.
    pub most_connections: usize,
    /// Programs and files without which it can't be measured.
    needs: &'static [&'static str],
    /// The packages that have them, in Debian.
    packages: &'static str,
    /// The command that prints its version, if it is not ours.
    version: &'static [&'static str],
}

const SOCKET_PROXYD: &str = "/lib/systemd/systemd-socket-proxyd";

const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

const DORMOUSE_CONFIG: &str = r#"drain = "0s"
state_dir = "{dir}/state"
cache_dir = "{dir}/cache"

[services.measured]
listen = "{listen}"
target = "{target}"
cooldown = "1h"
hooks = { start = "{hook}", stop = "/bin/true" }
{services}"#;

macro_rules! haproxy {
    ($global:literal, $defaults:literal) => {
        concat!(
            "global\n    nbthread 2\n    maxconn {connections}\n    maxpipes 50\n",
            $global,
            "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 10m\n    timeout \
             server 10m\n",
            $defaults,
            "listen proxy\n    bind {listen} backlog 4096\n    server target {target}\n"
        )
    };
}

macro_rules! nginx {
    ($listen:literal, $server:literal) => {
        concat!(
            "daemon off;\npid {dir}/nginx.pid;\nerror_log /dev/null crit;\nworker_processes 2;\n\
             load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nevents { \
             worker_connections {files}; }\nstream {\n  server {\n    listen {listen} \
             backlog=4096",
            $listen,
            ";\n    proxy_pass {target};\n    proxy_timeout 10m;\n",
            $server,
            "  }\n}\n"
        )
    };
}

const DIRECT: Contender = Contender {
    name: "direct",
    role: Role::Direct,
    command: &[],
    waking: None,
    files: &[],
    further_services: 0,
    files_each: 1,
    most_connections: usize::MAX,
    needs: &[],
    packages: "",
    version: &[],
};

const DORMOUSE_COMMAND: &[&str] = &["{dormouse}", "-q", "run", "--config", "{dir}/dormouse.toml"];

const DORMOUSE: Contender = Contender {
    name: "dormouse",
    role: Role::Ours,
    command: DORMOUSE_COMMAND,
    waking: Some(DORMOUSE_COMMAND),
    files: &[("dormouse.toml", DORMOUSE_CONFIG)],
    files_each: 2,
    ..DIRECT
};

const HAPROXY: Contender = Contender {
    name: "haproxy",
    role: Role::Peer,
    command: &["haproxy", "-db", "-f", "{dir}/haproxy.cfg"],
    files: &[("haproxy.cfg", haproxy!("", ""))],
    files_each: 2,
    needs: &["haproxy"],
    packages: "haproxy",
    version: &["haproxy", "-v"],
    ..DIRECT
};

const NGINX: Contender = Contender {
    name: "nginx",
    role: Role::Peer,
    command: &["nginx", "-c", "{dir}/nginx.conf"],
    files: &[("nginx.conf", nginx!("", ""))],
    files_each: 2,
    needs: &["nginx", NGINX_STREAM],
    packages: "nginx-light libnginx-mod-stream",
    version: &["nginx", "-v"],
    ..DIRECT
};

/// All that are known, in the order of the tables.
pub const ALL: &[Contender] = &[
    DIRECT,
    DORMOUSE,
    Contender { name: "dormouse-100", further_services: 99, ..DORMOUSE },
    Contender { name: "dormouse-1000", further_services: 999, ..DORMOUSE },
    HAPROXY,
    Contender {
        name: "haproxy-tuned",
        files: &[(
            "haproxy.cfg",
            haproxy!(
                "    tune.pipesize 1048576\n",
                "    option splice-request\n    option splice-response\n"
            ),
        )],
        ..HAPROXY
    },
    NGINX,
    Contender {
        name: "nginx-tuned",
        files: &[("nginx.conf", nginx!(" reuseport", "    proxy_buffer_size 64k;\n"))],
        ..NGINX
    },
    Contender {
        name: "socket-proxyd",
        role: Role::Peer,
        // As under systemd, SIGPIPE is ignored: it would end it.
        command: &[
            "sh",
            "-c",
            "trap '' PIPE; exec systemd-socket-activate -l {listen} \
             /lib/systemd/systemd-socket-proxyd -c {connections} {target}",
        ],
        // What systemd does for a proxy unit that is ordered after its target's unit.
        waking: Some(&[
            "sh",
            "-c",
            "trap '' PIPE; exec systemd-socket-activate -l {listen} sh -c '{hook} --wait yes && \
             exec /lib/systemd/systemd-socket-proxyd -c {connections} {target}'",
        ]),
        // Two sockets and two pipes.
        files_each: 6,
        needs: &["systemd-socket-activate", SOCKET_PROXYD],
        packages: "systemd",
        version: &[SOCKET_PROXYD, "--version"],
        ..DIRECT
    },
    Contender {
        name: "socat",
        role: Role::Peer,
        command: &[
            "socat",
            "TCP-LISTEN:{listen_port},bind=127.0.0.1,fork,reuseaddr,backlog=4096",
            "TCP:{target}",
        ],
        // A process for each.
        most_connections: 1000,
        needs: &["socat"],
        packages: "socat",
        version: &["socat", "-V"],
        ..DIRECT
    },
];

impl Contender {
    /// What it needs and this machine lacks.
    fn lacks(&self) -> Option<&'static str> {
        self.needs.iter().copied().find(|need| !is_installed(Path::new(need)))
    }

    /// The version of the program behind it, if it is somebody else's.
    pub fn version(&self) -> Option<String> {
        let (program, arguments) = self.version.split_first()?;
        first_line(program, arguments)
    }

    /// As many connections as fit a limit of open files.
    pub fn fitting(&self, connections: usize, open_files: usize) -> usize {
        let room = open_files.saturating_sub(SPARE_FILES + self.further_services) / self.files_each;
        connections.min(self.most_connections).min(room)
    }
}

/// Open files that a process needs for itself. HAProxy counts 117.
pub const SPARE_FILES: usize = 200;

/// The contenders that were asked for and are there. Says of the others how to get them.
pub fn choose(options: &Options, programs: &Programs) -> Result<Vec<Contender>, String> {
    let wanted = |name: &str| {
        options.proxies.is_empty() || options.proxies.iter().any(|wanted| wanted == name)
    };
    if let Some(unknown) =
        options.proxies.iter().find(|name| ALL.iter().all(|contender| contender.name != **name))
    {
        let known: Vec<_> = ALL.iter().map(|contender| contender.name).collect();
        return Err(format!("no proxy is named `{unknown}`: there are {}", known.join(", ")));
    }
    say(&format!("dormouse: {}", programs.dormouse.display()));
    let mut chosen = Vec::new();
    for contender in ALL.iter().filter(|contender| wanted(contender.name)) {
        match contender.lacks() {
            None => chosen.push(*contender),
            Some(lack) => say(&format!(
                "{} is left out: `{lack}` is not installed (Debian: `apt install {}`)",
                contender.name, contender.packages
            )),
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_names_every_contender() {
        for contender in ALL {
            assert!(crate::bench::options::USAGE.contains(contender.name), "{}", contender.name);
        }
    }

    #[test]
    fn connections_are_as_many_as_open_files_allow() {
        assert_eq!(DORMOUSE.fitting(9500, 20_000), 9500);
        assert_eq!(DORMOUSE.fitting(9500, 1024), 412);
        assert_eq!(DORMOUSE.fitting(9500, 10), 0);
    }
}
