//! Fuzz target of requests: every request that is sent is granted, and the message of a denial is harmless.

use std::path::Path;

use super::{Denial, Route, Way, route};
use crate::config::{Grants, HttpGrant, HttpPath, HttpServer, Limits, Plugin, PluginSource};
use crate::text::fuzz::{assert_harmless, text_of};

const WORDS: &[&str] = &[
    "\n",
    "GET",
    "POST",
    "CONNECT",
    "get",
    ",",
    " ",
    "http://",
    "https://",
    "unix:/run/a.sock",
    ":/vm",
    " as box",
    "box",
    "a.example",
    "A.EXAMPLE",
    "10.0.0.7",
    "[::1]",
    "[::ffff:10.0.0.7]",
    ":80",
    ":443",
    "/",
    "/vm",
    "/vm/",
    "/vm/1",
    "..",
    "%2e%2e",
    "%2f",
    "%",
    "@",
    "?x",
    "#x",
    " in 10.0.0.0/8",
    "\"",
    "\\",
    "\u{1b}",
    "\u{202e}",
    "\r",
    "ä",
    "\u{a0}",
];

/// The first line is the request, the others are grants.
#[test]
fn http_requests() {
    bolero::check!(name = "http_requests").with_iterations(1000).with_max_len(60).for_each(
        |input: &[u8]| {
            let text = text_of(input, WORDS);
            let (request, grants) = text.split_once('\n').unwrap_or((&text, ""));
            let Some((method, tls, authority, path)) = parts(request) else { return };
            let grants = grants.split('\n');
            let grants = grants.filter_map(|text| HttpGrant::parse(text, Path::new("/srv")).ok());
            let plugin = plugin(grants.collect());
            match route(&plugin, method, tls, authority, path) {
                Ok(route) => check_route(&plugin, &route, (method, tls, authority, path)),
                Err(denial) => check_denial(&plugin, &denial, (method, tls, authority, path)),
            }
        },
    );
}

type Parts<'t> = (&'t str, bool, &'t str, &'t str);

fn parts(request: &str) -> Option<Parts<'_>> {
    let (method, url) = request.split_once(' ')?;
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // No path of a `Uri` has these.
    if path.contains(|letter: char| letter <= ' ' || matches!(letter, '\x7f' | '?' | '#')) {
        return None;
    }
    Some((method, scheme == "https", authority, path))
}

fn check_route(plugin: &Plugin, route: &Route, (method, tls, authority, path): Parts<'_>) {
    let grant = &route.grant;
    assert!(plugin.allow.http.contains(grant));
    assert!(grant.methods.is_empty() || grant.methods.iter().any(|granted| granted == method));
    assert_ne!(method, "CONNECT");
    let path = HttpPath::parse(path).expect("the path of a request that is sent");
    assert!(grant.path.covers(&path));
    // The `Host` is a header of ours: it is one word, and means the server of the grant.
    assert!(route.host.chars().all(|letter| letter.is_ascii_graphic()), "{:?}", route.host);
    assert!(!authority.contains('@'), "{authority:?} has a user in it");
    let host = HttpServer::authority(&route.host, tls).expect("a host that is sent");
    match (&grant.server, &route.way) {
        (HttpServer::Socket { socket, name }, Way::Socket(way)) => {
            assert!(!tls && socket == way && host.host == *name && host.port == 80);
        }
        (HttpServer::Host { tls: granted, at, .. }, Way::Host { tls: way, at: to, .. }) => {
            assert!(*granted == tls && *way == tls && at == to && *at == host);
        }
        (granted, way) => panic!("a grant for {granted:?} leads to {way:?}"),
    }
}

fn check_denial(plugin: &Plugin, denial: &Denial, (method, tls, authority, path): Parts<'_>) {
    let message = denial.for_guest();
    assert_harmless(&message);
    assert!(!message.contains('\n'), "{message:?} has a break");
    let Some((_, toml)) = denial.remedy.split_once("`: http = ") else { return };
    // The remedy, pasted, allows the request.
    let pasted: toml::Table = format!("http = {toml}").parse().expect("TOML in a remedy");
    let grants = pasted["http"].as_array().expect("a list");
    let grants = grants.iter().map(|grant| {
        let text = grant.as_str().expect("a string");
        HttpGrant::parse(text, Path::new("/srv")).expect("a grant in a remedy")
    });
    let grants: Vec<HttpGrant> = grants.collect();
    assert!(grants.starts_with(&plugin.allow.http));
    assert!(
        route(&self::plugin(grants), method, tls, authority, path).is_ok(),
        "what was pasted does not allow it: {toml}"
    );
}

fn plugin(http: Vec<HttpGrant>) -> Plugin {
    Plugin {
        name: "vm".to_owned(),
        hooks_of: None,
        source: PluginSource::Builtin("shell"),
        settings: serde_json::json!({}),
        allow: Grants { http, ..Grants::default() },
        limits: Limits::default(),
        ca: None,
        sha256: None,
    }
}
