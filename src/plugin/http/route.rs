//! Is a request granted, and where does it go?

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::config::{HttpGrant, HttpPath, HttpServer, Plugin, Target};
use crate::plugin::grants::{Denial, toml_key, toml_string};
use crate::text;

use super::SHOWN;
use super::address::{self, Leads};

/// Where a request goes that is granted.
#[derive(Debug)]
pub(super) struct Route {
    /// Its `Host`.
    pub(super) host: String,
    pub(super) way: Way,
    /// The grant that allows it; the first, if several do.
    grant: HttpGrant,
}

/// To whom.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A host, and the addresses that its name may lead to.
    Host { tls: bool, at: Target, leads: Leads },
    /// A unix socket.
    Socket(PathBuf),
}

/// Grants `allow.http`: may `plugin` send `method` for `path` to `authority`, and where is that?
pub(super) fn route(
    plugin: &Plugin,
    method: &str,
    tls: bool,
    authority: &str,
    path: &str,
) -> Result<Route, Denial> {
    let scheme = if tls { "https" } else { "http" };
    let denied = |remedy: String| {
        let url = format!("{scheme}://{authority}{path}");
        Denial::new(format!("send {}", text::line(&format!("{method} {url}"), SHOWN)), remedy)
    };
    let never = |why: &str| denied(format!("No grant allows that: {why}."));
    if method == "CONNECT" {
        return Err(never("`CONNECT` asks for a tunnel"));
    }
    let at = HttpServer::authority(authority, tls)
        .map_err(|_| never("its host is neither a name nor an address"))?;
    let path = HttpPath::parse(path).map_err(|mistake| never(mistake.what()))?;

    let leads_there = |grant: &&HttpGrant| is_for(&grant.server, tls, &at);
    let there: Vec<&HttpGrant> = plugin.allow.http.iter().filter(leads_there).collect();
    let allows = |grant: &&&HttpGrant| {
        let any = grant.methods.is_empty();
        (any || grant.methods.iter().any(|granted| granted == method)) && grant.path.covers(&path)
    };
    let granted: Vec<&HttpGrant> = there.iter().filter(allows).copied().collect();
    let Some(grant) = granted.first() else {
        let server = match there.first() {
            Some(grant) => grant.server.clone(),
            None => HttpServer::Host { tls, at, networks: Vec::new() },
        };
        let wanted = HttpGrant { methods: vec![method.to_owned()], server, path };
        let remedy = to_allow(plugin, "To allow it", &wanted, plugin.allow.http.iter());
        return Err(denied(remedy));
    };
    let host = HttpServer::host_of_url(&at, tls);
    let way = match &grant.server {
        HttpServer::Socket { socket, .. } => Way::Socket(socket.clone()),
        HttpServer::Host { .. } => {
            let leads = Leads::new(&at.host, granted.iter().filter_map(|grant| networks(grant)));
            Way::Host { tls, at, leads }
        }
    };
    Ok(Route { host, way, grant: (*grant).clone() })
}

/// Whether requests to `at` are requests to `server`.
fn is_for(server: &HttpServer, tls: bool, at: &Target) -> bool {
    match server {
        HttpServer::Host { tls: granted, at: there, .. } => *granted == tls && there == at,
        HttpServer::Socket { name, .. } => !tls && at.host == *name && at.port == 80,
    }
}

fn networks(grant: &HttpGrant) -> Option<&[IpNet]> {
    match &grant.server {
        HttpServer::Host { networks, .. } => Some(networks),
        HttpServer::Socket { .. } => None,
    }
}

/// The host of a request that is granted leads to `address`, which is none of those that it may
/// lead to.
pub(super) fn elsewhere(plugin: &Plugin, route: &Route, address: IpAddr) -> Denial {
    let what = address::kind(address).unwrap_or("none of the networks of its grant");
    let mut wanted = route.grant.clone();
    if let HttpServer::Host { networks, .. } = &mut wanted.server {
        networks.push(IpNet::from(address));
    }
    let others = plugin.allow.http.iter().filter(|grant| **grant != route.grant);
    Denial::new(
        format!("send a request to `{}`, a name that leads to {address}, {what},", route.host),
        to_allow(plugin, "If it may lead there", &wanted, others),
    )
}

/// One request more than may be open at once.
pub(super) fn too_many(plugin: &Plugin) -> Denial {
    let most = plugin.limits.requests;
    Denial::new(
        format!("have more than {most} HTTP requests open at once"),
        format!(
            "A call may have so many at once. To allow more, raise `requests = {most}` under \
             `[plugins.{}.limits]`",
            toml_key(&plugin.name)
        ),
    )
}

/// What to write to grant `wanted` beside `others`: the sentence goes on after `what_for`.
fn to_allow<'g>(
    plugin: &Plugin,
    what_for: &str,
    wanted: &'g HttpGrant,
    others: impl Iterator<Item = &'g HttpGrant>,
) -> String {
    let is_plain = |method: &String| {
        !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
    };
    if !wanted.methods.iter().all(is_plain) {
        return "Its method is none that a grant can name: these are in capitals.".to_owned();
    }
    // `trim` would take it from the end of a grant, which would allow more than was asked for.
    if wanted.path.to_string().contains(char::is_whitespace) {
        return "Its path has white space in it, and a grant has none that is not encoded."
            .to_owned();
    }
    if wanted.path.to_string().len() > text::LONGEST {
        return "Its path is too long to be shown in full.".to_owned();
    }
    let grants = others.chain([wanted]).map(|grant| toml_string(&grant.to_string()));
    format!(
        "{what_for}, write this under `[plugins.{}.allow]`: http = [{}]",
        toml_key(&plugin.name),
        grants.collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
#[path = "route/fuzz.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::path::Path;

    use super::*;
    use crate::config::{Grants, Limits, PluginSource};

    fn plugin(grants: &[&str]) -> Plugin {
        let grant = |text: &&str| HttpGrant::parse(text, Path::new("/srv")).unwrap();
        Plugin {
            name: "vm".to_owned(),
            hooks_of: None,
            source: PluginSource::Builtin("shell"),
            settings: serde_json::json!({}),
            allow: Grants { http: grants.iter().map(grant).collect(), ..Grants::default() },
            limits: Limits::default(),
            ca: None,
            sha256: None,
        }
    }

    /// Where `METHOD URL` goes.
    fn sent(grants: &[&str], request: &str) -> Result<Route, Denial> {
        let (method, url) = request.split_once(' ').unwrap();
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        route(&plugin(grants), method, scheme == "https", authority, path)
    }

    fn allowed(grants: &[&str], requests: &[&str]) {
        for request in requests {
            assert!(sent(grants, request).is_ok(), "{request} is denied by {grants:?}");
        }
    }

    fn denied(grants: &[&str], requests: &[&str]) {
        for request in requests {
            assert!(sent(grants, request).is_err(), "{request} is allowed by {grants:?}");
        }
    }

    #[test]
    fn nothing_may_be_sent_without_a_grant() {
        denied(&[], &["GET http://a.example/", "GET https://a.example/", "GET http://127.0.0.1/"]);
    }

    #[test]
    fn a_host_is_granted_with_its_scheme_and_port_alone() {
        let grants = ["https://api.example.com"];
        allowed(
            &grants,
            &[
                "GET https://api.example.com",
                "DELETE https://api.example.com/a/b",
                "GET https://API.EXAMPLE.com/",
                "GET https://api.example.com:443/",
            ],
        );
        denied(
            &grants,
            &[
                "GET http://api.example.com/",
                "GET http://api.example.com:443/",
                "GET https://api.example.com:444/",
                "GET https://api.example.com:80/",
                "GET https://example.com/",
                "GET https://x.api.example.com/",
                "GET https://api.example.com.evil.example/",
                "GET https://api.example.com./",
                "GET https://api.example.com@evil.example/",
                "GET https://evil.example@api.example.com/",
                "GET https://api.example.com:443@evil.example/",
                "GET https://api.example.com:/",
                "GET https://api.example.com:0443/../",
                "GET https:///",
            ],
        );
    }

    #[test]
    fn a_port_that_is_granted_is_no_other_port() {
        allowed(&["http://127.0.0.1:8080"], &["GET http://127.0.0.1:8080/"]);
        denied(
            &["http://127.0.0.1:8080"],
            &["GET http://127.0.0.1/", "GET http://127.0.0.1:80/", "GET http://127.0.0.1:8081/"],
        );
        allowed(&["http://127.0.0.1:80"], &["GET http://127.0.0.1/"]);
    }

    #[test]
    fn methods_that_are_granted_are_no_others() {
        let grants = ["POST,GET http://127.0.0.1:8080/vm/"];
        let url = "http://127.0.0.1:8080/vm/1";
        allowed(&grants, &[&format!("GET {url}"), &format!("POST {url}")]);
        for method in ["PUT", "DELETE", "HEAD", "get", "PATCH", "POSTS", "CONNECT"] {
            denied(&grants, &[&format!("{method} {url}")]);
        }
    }

    #[test]
    fn no_grant_is_for_a_tunnel() {
        denied(&["http://127.0.0.1"], &["CONNECT http://127.0.0.1/"]);
    }

    #[test]
    fn a_path_that_is_granted_is_no_neighbour_of_it() {
        let grants = ["http://127.0.0.1/vm/mc", "GET http://127.0.0.1/status"];
        allowed(
            &grants,
            &[
                "PUT http://127.0.0.1/vm/mc",
                "PUT http://127.0.0.1/vm/mc/start",
                "PUT http://127.0.0.1/vm/%6dc/start",
                "GET http://127.0.0.1/status",
            ],
        );
        denied(
            &grants,
            &[
                "GET http://127.0.0.1",
                "GET http://127.0.0.1/",
                "GET http://127.0.0.1/vm",
                "GET http://127.0.0.1/vm/",
                "GET http://127.0.0.1/vm/mc2",
                "GET http://127.0.0.1/vm/mc/../other",
                "GET http://127.0.0.1/vm/mc/%2e%2e/other",
                "GET http://127.0.0.1/vm/mc/..%2fother",
                "GET http://127.0.0.1/vm/mc/..\\other",
                "GET http://127.0.0.1/vm/mc/%252e%252e/other",
                "GET http://127.0.0.1//vm/mc",
                "GET http://127.0.0.1/x/vm/mc",
                "POST http://127.0.0.1/status",
            ],
        );
    }

    #[test]
    fn a_path_that_goes_up_is_denied_even_where_all_paths_are_granted() {
        denied(&["http://127.0.0.1"], &["GET http://127.0.0.1/a/../b", "GET http://127.0.0.1/%2e"]);
    }

    #[test]
    fn an_ipv4_address_within_ipv6_is_the_ipv4_address() {
        let same = "GET http://[::ffff:127.0.0.1]:8080/";
        allowed(&["http://127.0.0.1:8080"], &[same, "GET http://[::ffff:7f00:1]:8080/"]);
        allowed(&["http://[::ffff:127.0.0.1]:8080"], &["GET http://127.0.0.1:8080/"]);
        denied(&["http://127.0.0.2:8080"], &[same]);
        denied(&["http://[::1]:8080"], &[same]);
    }

    #[test]
    fn an_address_in_another_notation_is_another_host() {
        denied(
            &["http://127.0.0.1"],
            &[
                "GET http://127.1/",
                "GET http://2130706433/",
                "GET http://0x7f000001/",
                "GET http://0177.0.0.1/",
                "GET http://localhost/",
                "GET http://[::1]/",
                "GET http://0.0.0.0/",
            ],
        );
    }

    #[test]
    fn a_socket_is_reached_by_its_name_over_http_at_the_usual_port() {
        let grants = ["GET unix:/run/docker.sock:/containers/"];
        let route = sent(&grants, "GET http://docker.sock/containers/json").unwrap();
        assert_eq!(route.way, Way::Socket("/run/docker.sock".into()));
        assert_eq!(route.host, "docker.sock");
        allowed(&grants, &["GET http://DOCKER.sock:80/containers/mc/json"]);
        denied(
            &grants,
            &[
                "POST http://docker.sock/containers/json",
                "GET http://docker.sock/images/json",
                "GET http://docker.sock/containers/../images/json",
                "GET https://docker.sock/containers/json",
                "GET http://docker.sock:8080/containers/json",
                "GET http://docker/containers/json",
                "GET http://podman.sock/containers/json",
            ],
        );
    }

    #[test]
    fn a_socket_with_a_name_of_its_own_is_reached_by_no_other() {
        let grants = ["unix:./docker.sock as mine"];
        let route = sent(&grants, "GET http://mine/x").unwrap();
        assert_eq!(route.way, Way::Socket("/srv/docker.sock".into()));
        denied(&grants, &["GET http://docker.sock/x"]);
    }

    #[test]
    fn a_name_may_lead_where_those_grants_say_that_allow_the_request() {
        let grants = ["http://vm.internal/a in 10.0.0.0/8", "http://vm.internal/b"];
        let leads = |request: &str, address: &str| match sent(&grants, request).unwrap().way {
            Way::Host { leads, .. } => leads.permit(address.parse().unwrap()),
            Way::Socket(_) => panic!("{request} goes to a socket"),
        };
        assert!(leads("GET http://vm.internal/a", "10.0.0.1"));
        assert!(!leads("GET http://vm.internal/a", "93.184.215.14"));
        assert!(!leads("GET http://vm.internal/b", "10.0.0.1"));
        assert!(leads("GET http://vm.internal/b", "93.184.215.14"));
    }

    #[test]
    fn the_host_that_is_sent_is_that_of_the_grant() {
        let host = |request: &str| sent(&["http://a.example:8080", "https://b.example"], request);
        assert_eq!(host("GET http://A.Example:8080/").unwrap().host, "a.example:8080");
        assert_eq!(host("GET https://b.EXAMPLE:443/").unwrap().host, "b.example");
    }

    /// The denial's remedy, of which `http` is as if it stood in the config.
    fn pasted(denial: &Denial) -> Vec<String> {
        let told = denial.for_guest();
        assert!(!told.contains('\n'), "a line of a log has no breaks");
        let (_, toml) = told.split_once("`: ").unwrap();
        let parsed: toml::Table = toml.parse().unwrap();
        let grants = parsed["http"].as_array().unwrap();
        grants.iter().map(|grant| grant.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_remedy_is_toml_that_allows_the_request_and_keeps_what_was_granted() {
        for (grants, request) in [
            (&["https://a.example in 10.0.0.0/8"][..], "POST http://b.example:81/x%20y"),
            (&["GET unix:/run/docker.sock:/a as d"], "POST http://d/b\"c"),
            (&[], "GET https://[::1]/"),
            (&["GET http://b.example"], "PUT http://b.example/"),
        ] {
            let denial = sent(grants, request).unwrap_err();
            let pasted = pasted(&denial);
            let pasted: Vec<&str> = pasted.iter().map(String::as_str).collect();
            assert_eq!(pasted[..grants.len()], *grants);
            assert_eq!(pasted.len(), grants.len() + 1);
            allowed(&pasted, &[request]);
        }
    }

    #[test]
    fn what_no_grant_can_allow_is_told_without_one() {
        for request in [
            "CONNECT http://a.example/",
            "GET http://a.example/..",
            "GET http://u@a/",
            "get http://a/",
            "GET http://a/x\u{a0}",
        ] {
            let told = sent(&[], request).unwrap_err().for_guest();
            assert!(!told.contains("write this"), "{told}");
        }
    }

    #[test]
    fn the_remedy_for_a_name_that_leads_elsewhere_names_the_address() {
        let grants = ["GET http://nas.lan/x", "http://b.example"];
        let address = "::ffff:192.168.1.5".parse::<IpAddr>().unwrap().to_canonical();
        let route = sent(&grants, "GET http://nas.lan/x/y").unwrap();
        let denial = elsewhere(&plugin(&grants), &route, address);
        let pasted = pasted(&denial);
        assert_eq!(pasted, ["http://b.example", "GET http://nas.lan/x in 192.168.1.5/32"]);
        let pasted: Vec<&str> = pasted.iter().map(String::as_str).collect();
        match sent(&pasted, "GET http://nas.lan/x/y").unwrap().way {
            Way::Host { leads, .. } => assert!(leads.permit(address)),
            Way::Socket(_) => panic!("a socket"),
        }
    }
}
