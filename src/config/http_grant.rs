//! `allow.http`: HTTP requests that a plugin may send, as one writes them.
//!
//! ```text
//! [METHOD,METHOD ] http[s]://HOST[:PORT][/PATH] [ in NETWORK,NETWORK]
//! [METHOD,METHOD ] unix:SOCKET[:/PATH]          [ as NAME]
//! ```
//!
//! Without methods, all are meant but `CONNECT`; a path stands for itself and what is below it. `in`
//! says where a name may lead that leads to no public address. A unix socket is reached as
//! `http://NAME/…`, where `NAME` is the socket's file name if the grant says nothing else.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::addresses;
use super::fault::{Fault, Problem};
use super::http_path::{HttpPath, PathMistake};
use super::reader::Value;
use super::values::Folder;
use super::{AddressMistake, Target};

/// A list as it could be.
pub(super) const EXAMPLE: &str = "`[\"GET,POST https://api.example.com/vm/\"]`";

/// The most bytes of a socket's path: what `sockaddr_un` has room for.
const LONGEST_SOCKET: usize = 107;

/// Why a socket can't stand in a grant.
const UNWRITABLE: &str =
    "the path of a socket has no `:/` and no ` as ` in it, and no white space at its end";

/// Requests that a plugin may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// With these methods; with any if there are none.
    pub methods: Vec<String>,
    /// To this server.
    pub server: HttpServer,
    /// For this path and what is below it.
    pub path: HttpPath,
}

/// A server that requests are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpServer {
    /// One on the network.
    Host {
        /// Whether it is `https`.
        tls: bool,
        /// Its name in small letters, or its address, and its port.
        at: Target,
        /// The networks that the name may lead to; if there are none, to public addresses.
        networks: Vec<IpNet>,
    },
    /// One behind a unix socket.
    Socket {
        /// The socket, absolute.
        socket: PathBuf,
        /// The host of the URLs that lead there, in small letters.
        name: String,
    },
}

/// Why a text grants no requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpMistake {
    /// Nothing at all.
    Empty,
    /// What stands before the URL is no list of methods.
    Methods {
        /// What stands there.
        methods: String,
    },
    /// `CONNECT`, which asks for a tunnel and not for a path.
    Connect,
    /// Neither `http://` nor `https://` nor `unix:`.
    Scheme,
    /// A user or password in the URL.
    User,
    /// The host, or its port.
    Host(AddressMistake),
    /// A query or a fragment.
    Query,
    /// The path.
    Path(PathMistake),
    /// There is no socket's path, or one that can't be.
    Socket(&'static str),
    /// The socket's name can't be that of a host.
    Name {
        /// The name.
        name: String,
    },
    /// Another server has the socket's name.
    NameTaken {
        /// The name.
        name: String,
    },
    /// Not a network.
    Network {
        /// What stands in its place.
        network: String,
    },
    /// Networks of a server that is no name.
    NetworksOfAddress,
    /// A name for a server that is no socket.
    NameOfHost,
}

impl HttpMistake {
    /// What is wrong.
    pub(super) fn what(&self) -> String {
        match self {
            HttpMistake::Empty => "it is empty".into(),
            HttpMistake::Methods { methods } => format!("`{methods}` is no list of methods"),
            HttpMistake::Connect => "`CONNECT` asks for a tunnel, and no plugin gets one".into(),
            HttpMistake::Scheme => "it is no URL".into(),
            HttpMistake::User => "there is a user or a password in the URL".into(),
            HttpMistake::Host(mistake) => mistake.what(),
            HttpMistake::Query => "there is a query or a fragment in the URL".into(),
            HttpMistake::Path(mistake) => mistake.what().into(),
            HttpMistake::Socket(what) => (*what).into(),
            HttpMistake::Name { name } => format!("`{name}` can't be the host of a URL"),
            HttpMistake::NameTaken { name } => {
                format!("`http://{name}` is another server already")
            }
            HttpMistake::Network { network } => format!("`{network}` is no network"),
            HttpMistake::NetworksOfAddress => {
                "`in` says where a name may lead, and this is no name".into()
            }
            HttpMistake::NameOfHost => "`as` names a unix socket, and this is a URL".into(),
        }
    }

    /// What to write instead.
    pub(super) fn remedy(&self) -> String {
        match self {
            HttpMistake::Empty | HttpMistake::Scheme => {
                "write a URL, such as \"https://api.example.com\", or a socket, such as \
                 \"unix:/run/docker.sock\""
                    .into()
            }
            HttpMistake::Methods { .. } => {
                "methods stand in capitals before the URL, with commas and without spaces: \
                 \"GET,POST https://api.example.com\""
                    .into()
            }
            HttpMistake::Connect => {
                "leave it out; connections other than HTTP are no matter of `http`".into()
            }
            HttpMistake::User => {
                "leave it out: the plugin sends it as a header, from its `settings`".into()
            }
            HttpMistake::Host(_) => "write one host and, if it is not the usual one, its port: \
                 \"http://192.168.1.5:8006/api\""
                .into(),
            HttpMistake::Query => "leave it out: a grant is for a path, with whatever query".into(),
            HttpMistake::Path(_) => {
                "write it as a client sends it, such as \"/v1/machines/mc\"".into()
            }
            HttpMistake::Socket(_) => {
                "write its path, such as \"unix:/run/docker.sock\", and behind `:` the path of the \
                 requests, if you like: \"unix:/run/docker.sock:/containers/\""
                    .into()
            }
            HttpMistake::Name { .. } => "give the socket a name of letters, digits, `-` and `.`: \
                 \"unix:/run/api:1 as machines\" is reached as `http://machines/`"
                .into(),
            HttpMistake::NameTaken { .. } => {
                "give the socket another name: \"unix:/run/user/1000/docker.sock as mine\" is \
                 reached as `http://mine/`"
                    .into()
            }
            HttpMistake::Network { .. } => {
                "write networks with commas and without spaces, such as \"10.0.0.0/8\" or \
                 \"10.0.0.0/8,fd00::/8\""
                    .into()
            }
            HttpMistake::NetworksOfAddress => {
                "leave `in` out: the address is granted as it is".into()
            }
            HttpMistake::NameOfHost => "leave `as` out".into(),
        }
    }
}

/// An entry of `allow.http`; `servers` are those of the entries before it. One of another server
/// that has the name of one of these is none: nobody could say where a request goes.
pub(super) fn grant(
    value: &Value<'_>,
    folder: &Folder,
    servers: &mut Vec<HttpServer>,
    faults: &mut Vec<Fault>,
) -> Option<HttpGrant> {
    let example = "a string, such as `\"https://api.example.com\"`";
    let text = value.text("a URL", example, faults)?;
    let grant = parse(text, folder).and_then(|grant| {
        match servers.iter().find_map(|server| same_name(server, &grant.server)) {
            Some(name) => Err(HttpMistake::NameTaken { name: name.to_owned() }),
            None => Ok(grant),
        }
    });
    match grant {
        Ok(grant) => {
            servers.push(grant.server.clone());
            Some(grant)
        }
        Err(mistake) => {
            faults.push(value.fault(Problem::BadHttp { text: text.to_owned(), mistake }));
            None
        }
    }
}

/// The name of two servers, if they have one name and are not the same.
fn same_name<'s>(one: &'s HttpServer, other: &'s HttpServer) -> Option<&'s str> {
    match (one, other) {
        (HttpServer::Socket { socket, name }, HttpServer::Socket { socket: other, name: same }) => {
            (name == same && socket != other).then_some(name)
        }
        (HttpServer::Socket { name, .. }, HttpServer::Host { tls, at, .. })
        | (HttpServer::Host { tls, at, .. }, HttpServer::Socket { name, .. }) => {
            (!tls && at.host == *name && at.port == default_port(false)).then_some(name)
        }
        (HttpServer::Host { .. }, HttpServer::Host { .. }) => None,
    }
}

/// The requests that `text` grants.
fn parse(text: &str, folder: &Folder) -> Result<HttpGrant, HttpMistake> {
    let text = text.trim();
    if text.is_empty() {
        return Err(HttpMistake::Empty);
    }
    let (methods, url) = methods(text)?;
    let (server, path) = match url.strip_prefix("unix:") {
        Some(rest) => socket(rest, folder)?,
        None => host(url)?,
    };
    let path = HttpPath::parse(path).map_err(HttpMistake::Path)?;
    Ok(HttpGrant { methods, server, path })
}

/// The methods before the URL, and the URL.
fn methods(text: &str) -> Result<(Vec<String>, &str), HttpMistake> {
    let Some((first, url)) = text.split_once(' ').filter(|(first, _)| !first.contains(':')) else {
        return Ok((Vec::new(), text));
    };
    let is_method = |method: &str| {
        !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
    };
    let methods: Vec<String> = first.split(',').map(str::to_owned).collect();
    if !methods.iter().all(|method| is_method(method)) {
        return Err(HttpMistake::Methods { methods: first.to_owned() });
    }
    if methods.iter().any(|method| method == "CONNECT") {
        return Err(HttpMistake::Connect);
    }
    Ok((methods, url.trim_start()))
}

/// A server on the network, and the path behind it.
fn host(text: &str) -> Result<(HttpServer, &str), HttpMistake> {
    let (url, networks) = match text.split_once(" in ") {
        Some((url, networks)) => (url.trim_end(), self::networks(networks.trim())?),
        None => (text, Vec::new()),
    };
    let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(HttpMistake::Scheme),
    };
    if url.contains(" as ") {
        return Err(HttpMistake::NameOfHost);
    }
    if rest.contains(['?', '#']) {
        return Err(HttpMistake::Query);
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(HttpMistake::User);
    }
    if path.contains(char::is_whitespace) {
        return Err(HttpMistake::Path(PathMistake::Encoding));
    }
    let at = self::authority(authority, tls).map_err(HttpMistake::Host)?;
    if !networks.is_empty() && at.host.parse::<IpAddr>().is_ok() {
        return Err(HttpMistake::NetworksOfAddress);
    }
    Ok((HttpServer::Host { tls, at, networks }, path))
}

/// Networks, with commas between them. An address is a network of its own.
fn networks(text: &str) -> Result<Vec<IpNet>, HttpMistake> {
    let network = |text: &str| {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network = network.map(|network: IpNet| network.trunc());
        network.map_err(|_| HttpMistake::Network { network: text.to_owned() })
    };
    text.split(',').map(network).collect()
}

/// A server behind a socket, and the path of its requests.
fn socket<'t>(text: &'t str, folder: &Folder) -> Result<(HttpServer, &'t str), HttpMistake> {
    let (rest, name) = match text.rsplit_once(" as ") {
        Some((rest, name)) => (rest.trim_end(), Some(name.trim())),
        None => (text, None),
    };
    let (file, path) = rest.split_at(rest.find(":/").unwrap_or(rest.len()));
    let path = path.strip_prefix(':').unwrap_or(path);
    if path.contains(['?', '#']) {
        return Err(HttpMistake::Query);
    }
    if path.contains(" in ") {
        return Err(HttpMistake::NetworksOfAddress);
    }
    if path.contains(char::is_whitespace) {
        return Err(HttpMistake::Path(PathMistake::Encoding));
    }
    // Others write it as a URL: `unix:///run/docker.sock`.
    let file = if file.starts_with("///") { file.trim_start_matches("//") } else { file };
    if file.is_empty() || file.ends_with('/') {
        return Err(HttpMistake::Socket("the path of the socket is missing"));
    }
    if file.starts_with("//") {
        return Err(HttpMistake::Socket("a socket has no host, and `//` begins one"));
    }
    if file.starts_with("~/") {
        return Err(HttpMistake::Socket("only a shell knows what `~` is"));
    }
    if file.contains('\0') {
        return Err(HttpMistake::Socket("there is a NUL in it"));
    }
    let socket = folder.path(file);
    let Some(file_name) = socket.file_name() else {
        return Err(HttpMistake::Socket("the path of the socket is missing"));
    };
    if socket.as_os_str().len() > LONGEST_SOCKET {
        return Err(HttpMistake::Socket("the path of a socket has at most 107 bytes"));
    }
    // Such a grant could not be shown so that it is read as the same one.
    let shown = socket.to_string_lossy();
    if shown.contains(":/") || shown.contains(" as ") || shown.ends_with(char::is_whitespace) {
        return Err(HttpMistake::Socket(UNWRITABLE));
    }
    let name = name.or(file_name.to_str()).unwrap_or_default();
    let is_name = addresses::host(name).is_ok_and(|host| host.parse::<IpAddr>().is_err());
    if !is_name {
        return Err(HttpMistake::Name { name: name.to_owned() });
    }
    let name = name.to_ascii_lowercase();
    Ok((HttpServer::Socket { socket, name }, path))
}

/// The host and port that `text` is, as they stand in a URL: names in small letters, addresses in
/// the one form that they are compared in, IPv4 addresses within IPv6 as IPv4, and the port of the
/// scheme if there is none.
pub(super) fn authority(text: &str, tls: bool) -> Result<Target, AddressMistake> {
    let end = match text.strip_prefix('[') {
        Some(_) => text.find(']').map_or(text.len(), |end| end + 1),
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(end);
    let port = match port.strip_prefix(':') {
        Some(port) => addresses::port(port)?,
        None if port.is_empty() => default_port(tls),
        None => return Err(AddressMistake::Host { host: text.into() }),
    };
    let host = addresses::host(host)?;
    let host = match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host.to_ascii_lowercase(),
    };
    Ok(Target { host, port })
}

/// The port of a scheme.
fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

impl HttpServer {
    /// The server on the network that a request for `authority` is for.
    ///
    /// # Errors
    ///
    /// If it is neither a name nor an address, or has a user in it.
    pub fn authority(authority: &str, tls: bool) -> Result<Target, AddressMistake> {
        self::authority(authority, tls)
    }

    /// What a URL has behind its scheme for this host: the port is left out if it is the usual one.
    pub fn host_of_url(at: &Target, tls: bool) -> String {
        let whole = at.to_string();
        if at.port != default_port(tls) {
            return whole;
        }
        whole.strip_suffix(&format!(":{}", at.port)).unwrap_or(&whole).to_owned()
    }
}

impl HttpGrant {
    /// The requests that `text` grants, as in `allow.http`; a socket is relative to `folder`.
    ///
    /// # Errors
    ///
    /// If it grants none.
    pub fn parse(text: &str, folder: &Path) -> Result<HttpGrant, HttpMistake> {
        let folder = Folder::new(folder)
            .map_err(|_| HttpMistake::Socket("the folder that it is relative to is gone"))?;
        parse(text, &folder)
    }
}

/// As one writes it.
impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join(","))?;
        }
        let path = self.path.to_string();
        let path = if path == "/" { "" } else { &path };
        match &self.server {
            HttpServer::Host { tls, at, networks } => {
                let scheme = if *tls { "https" } else { "http" };
                write!(f, "{scheme}://{}{path}", HttpServer::host_of_url(at, *tls))?;
                for (number, network) in networks.iter().enumerate() {
                    let before = if number == 0 { " in " } else { "," };
                    write!(f, "{before}{network}")?;
                }
                Ok(())
            }
            HttpServer::Socket { socket, name } => {
                write!(f, "unix:{}", socket.display())?;
                if !path.is_empty() {
                    write!(f, ":{path}")?;
                }
                let file_name = socket.file_name().and_then(|name| name.to_str());
                if file_name.is_some_and(|file_name| file_name.eq_ignore_ascii_case(name)) {
                    return Ok(());
                }
                write!(f, " as {name}")
            }
        }
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    fn read(text: &str) -> Result<HttpGrant, HttpMistake> {
        HttpGrant::parse(text, Path::new("/srv/game"))
    }

    /// The grant, as it is written in the form that all others are brought to.
    fn written(text: &str) -> String {
        read(text).unwrap().to_string()
    }

    #[test]
    fn a_grant_is_methods_and_a_url() {
        let grant = read("POST,GET http://127.0.0.1:8080/vm/").unwrap();
        assert_eq!(grant.methods, ["POST", "GET"]);
        let at = Target { host: "127.0.0.1".into(), port: 8080 };
        assert_eq!(grant.server, HttpServer::Host { tls: false, at, networks: Vec::new() });
        assert_eq!(grant.path.to_string(), "/vm/");
        let grant = read("https://api.example.com").unwrap();
        assert!(grant.methods.is_empty());
        let at = Target { host: "api.example.com".into(), port: 443 };
        assert_eq!(grant.server, HttpServer::Host { tls: true, at, networks: Vec::new() });
        assert_eq!(grant.path.to_string(), "/");
    }

    #[test]
    fn names_are_small_and_usual_ports_are_left_out() {
        assert_eq!(written("https://API.Example.com:443/"), "https://api.example.com");
        assert_eq!(written("http://a.example:80/X"), "http://a.example/X");
        assert_eq!(written("https://a.example:80"), "https://a.example:80");
        assert_eq!(written("  GET   http://[::1]:8080"), "GET http://[::1]:8080");
        assert_eq!(written("http://[::1]"), "http://[::1]");
        assert_eq!(written("http://[::ffff:10.0.0.1]/"), "http://10.0.0.1");
    }

    #[test]
    fn a_name_may_be_allowed_to_lead_to_networks() {
        assert_eq!(
            written("https://vm.internal/x in 10.1.2.3/8,fd00::/8"),
            "https://vm.internal/x in 10.0.0.0/8,fd00::/8"
        );
        assert_eq!(written("http://nas.lan in 192.168.1.5"), "http://nas.lan in 192.168.1.5/32");
        let network = |network: &str| Err(HttpMistake::Network { network: network.into() });
        assert_eq!(read("http://nas.lan in here"), network("here"));
        assert_eq!(read("http://nas.lan in 10.0.0.0/8, 11.0.0.0/8"), network(" 11.0.0.0/8"));
        assert_eq!(read("http://nas.lan in 10.0.0.0/33"), network("10.0.0.0/33"));
        assert_eq!(read("http://10.0.0.1 in 10.0.0.0/8"), Err(HttpMistake::NetworksOfAddress));
    }

    #[test]
    fn a_socket_is_reached_by_its_file_name_or_by_one_that_it_is_given() {
        let server = |text: &str| match read(text).unwrap().server {
            HttpServer::Socket { socket, name } => (socket.display().to_string(), name),
            HttpServer::Host { .. } => panic!("{text} is a host"),
        };
        let of = |socket: &str, name: &str| (socket.to_owned(), name.to_owned());
        assert_eq!(server("unix:/run/docker.sock"), of("/run/docker.sock", "docker.sock"));
        assert_eq!(server("unix:///run/docker.sock"), of("/run/docker.sock", "docker.sock"));
        assert_eq!(server("unix:./API.sock"), of("/srv/game/API.sock", "api.sock"));
        assert_eq!(server("unix:api.sock"), of("/srv/game/api.sock", "api.sock"));
        assert_eq!(server("unix:/run/a b as Box"), of("/run/a b", "box"));
        assert_eq!(
            server("GET unix:/run/user/1000/podman.sock:/v4.0.0/ as mine"),
            of("/run/user/1000/podman.sock", "mine")
        );
    }

    #[test]
    fn a_socket_may_be_narrowed_to_methods_and_a_path() {
        let text = "GET,POST unix:/run/podman/podman.sock:/v4.0.0/containers/";
        let grant = read(text).unwrap();
        assert_eq!(grant.methods, ["GET", "POST"]);
        assert_eq!(grant.path.to_string(), "/v4.0.0/containers/");
        assert_eq!(grant.to_string(), text);
        assert_eq!(written("unix:/run/a.sock:/x as b"), "unix:/run/a.sock:/x as b");
    }

    #[test]
    fn what_is_no_grant_is_told_apart() {
        let methods = |methods: &str| HttpMistake::Methods { methods: methods.into() };
        let name = |name: &str| HttpMistake::Name { name: name.into() };
        let host = |host: &str| HttpMistake::Host(AddressMistake::Host { host: host.into() });
        for (text, mistake) in [
            ("", HttpMistake::Empty),
            (" ", HttpMistake::Empty),
            ("api.example.com", HttpMistake::Scheme),
            ("ftp://api.example.com", HttpMistake::Scheme),
            ("HTTP://api.example.com", HttpMistake::Scheme),
            ("get http://a.example", methods("get")),
            ("GET, http://a.example", methods("GET,")),
            ("GET,CONNECT http://a.example", HttpMistake::Connect),
            ("http://user:word@a.example", HttpMistake::User),
            ("http://", HttpMistake::Host(AddressMistake::Empty)),
            ("http://:80", HttpMistake::Host(AddressMistake::Empty)),
            ("http://*.example.com", host("*.example.com")),
            ("http://10.0.0.300", host("10.0.0.300")),
            ("http://a.example:", HttpMistake::Host(AddressMistake::Port { port: "".into() })),
            ("http://a.example:0", HttpMistake::Host(AddressMistake::PortZero)),
            ("http://[fe80::1%25eth0]", host("[fe80::1%25eth0]")),
            ("http://a.example/?x=1", HttpMistake::Query),
            ("http://a.example/#x", HttpMistake::Query),
            ("http://a.example/../x", HttpMistake::Path(PathMistake::Dots)),
            ("http://a.example/a b", HttpMistake::Path(PathMistake::Encoding)),
            ("http://a.example as b", HttpMistake::NameOfHost),
            ("unix:", HttpMistake::Socket("the path of the socket is missing")),
            ("unix:/run/", HttpMistake::Socket("the path of the socket is missing")),
            ("unix:/. as b", HttpMistake::Socket("the path of the socket is missing")),
            ("unix://run/a", HttpMistake::Socket("a socket has no host, and `//` begins one")),
            ("unix:~/a", HttpMistake::Socket("only a shell knows what `~` is")),
            ("unix:/run/a_b c", name("a_b c")),
            ("unix:/run/x as 10.0.0.1", name("10.0.0.1")),
            ("unix:/run/x as a/b", name("a/b")),
            ("unix:/run/x:/%2e%2e", HttpMistake::Path(PathMistake::Dots)),
            ("unix:/run/x:/a?b", HttpMistake::Query),
            ("unix:/run/x\t:/ as b", HttpMistake::Socket(UNWRITABLE)),
            ("unix:/run/x as y/a.sock as a.sock", HttpMistake::Socket(UNWRITABLE)),
        ] {
            assert_eq!(read(text), Err(mistake), "{text}");
        }
        let long = format!("unix:/{}", "x".repeat(107));
        assert!(matches!(read(&long), Err(HttpMistake::Socket(_))));
    }

    #[test]
    fn two_servers_with_one_name_are_told_apart_from_one_server_with_two_grants() {
        let same = |one: &str, other: &str| {
            same_name(&read(one).unwrap().server, &read(other).unwrap().server).is_some()
        };
        assert!(same("unix:/run/docker.sock", "unix:/run/user/1/docker.sock"));
        assert!(same("unix:/run/x as nas", "http://nas/"));
        assert!(same("http://NAS:80", "unix:/run/x as nas"));
        assert!(!same("GET unix:/run/x:/a", "POST unix:/run/x:/b"));
        assert!(!same("unix:/run/docker.sock", "unix:/run/docker.sock as b"));
        assert!(!same("unix:/run/x as nas", "https://nas/"));
        assert!(!same("unix:/run/x as nas", "http://nas:8080/"));
    }
}
