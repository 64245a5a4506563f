//! Is a request granted, and where does it go?

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::config::{HttpGrant, HttpPath, HttpServer, Plugin, Target};
use crate::plugin::grants::{Denial, toml_key, toml_string};
use crate::plugin::text;

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
        return Err(denied(to_allow(plugin, &wanted, plugin.allow.http.iter())));
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
        format!("If it may lead there: {}", to_allow(plugin, &wanted, others)),
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

/// What to write to grant `wanted` beside `others`.
fn to_allow<'g>(
    plugin: &Plugin,
    wanted: &'g HttpGrant,
    others: impl Iterator<Item = &'g HttpGrant>,
) -> String {
    let is_plain = |method: &String| {
        !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
    };
    if !wanted.methods.iter().all(is_plain) {
        return "Its method is none that a grant can name: these are in capitals.".to_owned();
    }
    if wanted.path.to_string().len() > text::LONGEST {
        return "Its path is too long to be shown in full.".to_owned();
    }
    let grants = others.chain([wanted]).map(|grant| toml_string(&grant.to_string()));
    format!(
        "To allow it, write this under `[plugins.{}.allow]`: http = [{}]",
        toml_key(&plugin.name),
        grants.collect::<Vec<_>>().join(", ")
    )
}
