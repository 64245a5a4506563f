//! `wasi:http`, and its grant: from a guest to a server and back.

use std::future::Future;
use std::sync::Arc;

use dormouse::config::HttpGrant;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;
use crate::support::http::{
    BAD_CERTIFICATE, CONNECTION_TIMEOUT, DENIED, HEAD_TOO_LARGE, IP_PROHIBITED, REFUSED, Server,
    TOO_MANY, response, sending, sending_at_once, setting_header,
};

/// A stage for `guest` with these grants.
fn granted(guest: &Guest, grants: &[&str]) -> Stage {
    let mut stage = Stage::new(&guest.build());
    let folder = stage.folder.path().to_owned();
    stage.plugin().allow.http =
        grants.iter().map(|grant| HttpGrant::parse(grant, &folder).unwrap()).collect();
    stage
}

/// What came of the requests of the stage's guest.
async fn told(stage: &Stage) -> String {
    let failure = start(&stage.deciders().await).await.unwrap_err();
    failure.message.strip_prefix("the plugin `p`: ").expect(&failure.message).to_owned()
}

async fn outcome(requests: &[&str], grants: &[&str]) -> String {
    told(&granted(&sending(requests), grants)).await
}

#[tokio::test]
async fn a_request_that_is_granted_is_sent_and_answered() {
    let server = Server::on_tcp(&response("200 OK", "hello")).await;
    let port = server.port;
    let request = format!("POST http://LOCALHOST:{port}/vm/1?force=1");
    let grant = format!("POST http://localhost:{port}/vm/");
    assert_eq!(outcome(&[&request], &[&grant]).await, "200 hello");
    let heads = server.heads();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("post /vm/1?force=1 http/1.1\r\n"), "{heads:?}");
    let hosts: Vec<_> = heads[0].lines().filter(|line| line.starts_with("host:")).collect();
    assert_eq!(hosts, [format!("host: localhost:{port}")]);
}

#[tokio::test]
async fn a_request_that_is_not_granted_never_leaves_and_is_told_once() {
    let server = Server::on_tcp(&response("200 OK", "hello")).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let request = format!("DELETE {url}/vm/1");
    let grant = format!("GET {url}/vm/");
    let stage = granted(&sending(&[&request, &request]), &[&grant]);
    let warnings = Told::listen();
    assert_eq!(told(&stage).await, format!("{DENIED}; {DENIED}"));
    assert_eq!(server.heads().len(), 0);
    let warnings = warnings.at(Level::WARN);
    assert_eq!(
        warnings,
        [format!(
            "the plugin wanted to send {request} and was denied. To allow it, write this under \
             `[plugins.p.allow]`: http = [\"{grant}\", \"{request}\"] plugin=\"p\" service=\"s\""
        )]
    );
}

#[tokio::test]
async fn neighbours_of_a_grant_are_denied() {
    let server = Server::on_tcp(&response("200 OK", "hello")).await;
    let other = Server::on_tcp(&response("200 OK", "hello")).await;
    let (port, elsewhere) = (server.port, other.port);
    let requests = [
        format!("GET http://127.0.0.1:{elsewhere}/vm/1"),
        format!("GET https://127.0.0.1:{port}/vm/1"),
        format!("GET http://localhost:{port}/vm/1"),
        format!("GET http://127.0.0.2:{port}/vm/1"),
        format!("PUT http://127.0.0.1:{port}/vm/1"),
        format!("get http://127.0.0.1:{port}/vm/1"),
        format!("CONNECT http://127.0.0.1:{port}/vm/1"),
        format!("GET http://127.0.0.1:{port}/vms"),
        format!("GET http://127.0.0.1:{port}/"),
        format!("GET http://127.0.0.1:{port}/vm/../admin"),
        format!("GET http://127.0.0.1:{port}/vm/%2e%2e/admin"),
        format!("GET http://127.0.0.1:{port}/vm/..%2fadmin"),
        format!("GET http://127.0.0.1:{port}/vm/%252e%252e/admin"),
        format!("GET http://user@127.0.0.1:{port}/vm/1"),
    ];
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    let grant = format!("GET http://127.0.0.1:{port}/vm/");
    let expected = vec![DENIED; requests.len()].join("; ");
    assert_eq!(outcome(&requests, &[&grant]).await, expected);
    assert_eq!(server.heads().len() + other.heads().len(), 0);
}

#[tokio::test]
async fn an_ipv4_address_within_ipv6_is_that_address_and_no_other() {
    let server = Server::on_tcp(&response("200 OK", "hello")).await;
    let request = format!("GET http://[::ffff:127.0.0.1]:{}/", server.port);
    let grant = format!("http://127.0.0.1:{}", server.port);
    assert_eq!(outcome(&[&request], &[&grant]).await, "200 hello");
    let grant = format!("http://127.0.0.2:{}", server.port);
    assert_eq!(outcome(&[&request], &[&grant]).await, DENIED);
}

/// A name to whoever looks at it, that every resolver knows to be 127.0.0.1.
const NAME_OF_LOOPBACK: &str = "0x7f000001";

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_denied_until_its_grant_says_so() {
    let server = Server::on_tcp(&response("200 OK", "hello")).await;
    let url = format!("http://{NAME_OF_LOOPBACK}:{}", server.port);
    let request = format!("GET {url}/");
    let warnings = Told::listen();
    assert_eq!(outcome(&[&request], &[&url]).await, IP_PROHIBITED);
    assert_eq!(server.heads().len(), 0);
    let warnings = warnings.at(Level::WARN);
    assert_eq!(
        warnings,
        [format!(
            "the plugin wanted to send a request to `{NAME_OF_LOOPBACK}:{}`, a name that leads to \
             127.0.0.1, this machine itself, and was denied. If it may lead there, \
             write this under `[plugins.p.allow]`: http = [\"{url} in 127.0.0.1/32\"] \
             plugin=\"p\" service=\"s\"",
            server.port
        )]
    );
    let networks = format!("{url} in 10.0.0.0/8");
    assert_eq!(outcome(&[&request], &[&networks]).await, IP_PROHIBITED);
    let networks = format!("{url} in 10.0.0.0/8,127.0.0.0/8");
    assert_eq!(outcome(&[&request], &[&networks]).await, "200 hello");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_does_not_widen_a_grant() {
    let secret = Server::on_tcp(&response("200 OK", "secret")).await;
    let there = format!("http://127.0.0.1:{}/", secret.port);
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {there}\r\ncontent-length: 0\r\n\r\n");
    let server = Server::on_tcp(&redirect).await;
    let here = format!("http://127.0.0.1:{}/", server.port);
    let requests = [format!("GET {here}"), format!("GET {there}")];
    let told = outcome(&[&requests[0], &requests[1]], &[&here]).await;
    assert_eq!(told, format!("302 ; {DENIED}"));
    assert_eq!((server.heads().len(), secret.heads().len()), (1, 0));
}

#[tokio::test]
async fn a_guest_cannot_set_the_headers_that_say_where_a_request_goes_or_ends() {
    // The second case of `header-error` is `forbidden`.
    for name in ["host", "Host", "transfer-encoding", "connection", "upgrade"] {
        assert_eq!(told(&granted(&setting_header(name, "x"), &[])).await, "11", "{name}");
    }
    assert_eq!(told(&granted(&setting_header("x-host", "x"), &[])).await, "0");
}

#[tokio::test]
async fn a_unix_socket_is_reached_by_its_name_within_its_grant() {
    let guest = sending(&[
        "POST http://docker.sock/v1.43/containers/mc/start",
        "POST http://docker.sock/v1.43/containers/mc/../other/start",
        "POST http://docker.sock/v1.43/containers/other/start",
        "DELETE http://docker.sock/v1.43/containers/mc/start",
        "POST https://docker.sock/v1.43/containers/mc/start",
    ]);
    let stage = granted(&guest, &["POST unix:./docker.sock:/v1.43/containers/mc/start"]);
    let socket = stage.folder.path().join("docker.sock");
    let server = Server::on_socket(&socket, "HTTP/1.1 204 No Content\r\n\r\n");
    let denied = [DENIED; 4].join("; ");
    assert_eq!(told(&stage).await, format!("204 ; {denied}"));
    let heads = server.heads();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("post /v1.43/containers/mc/start http/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains("\r\nhost: docker.sock\r\n"), "{heads:?}");
}

#[tokio::test]
async fn a_server_that_is_not_up_is_an_error_for_the_plugin_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    drop(listener);
    let warnings = Told::listen();
    assert_eq!(outcome(&[&format!("GET {url}")], &[&url]).await, REFUSED);
    assert!(warnings.at(Level::WARN).is_empty());
    assert!(warnings.at(Level::DEBUG).iter().any(|line| line.contains("can't be connected to")));
}

#[tokio::test]
async fn a_server_that_is_silent_in_the_middle_of_connecting_is_given_up() {
    // One that does not speak TLS waits for the rest of a request.
    let server = Server::on_tcp("").await;
    let url = format!("https://localhost:{}/", server.port);
    let mut stage = granted(&sending(&[&format!("GET {url}")]), &[&url]);
    let authority = stage.folder.path().join("ca.pem");
    fs::write(&authority, Authority::new().pem).unwrap();
    stage.plugin().ca = Some(authority);
    stage.service().connect_timeout = Duration::from_millis(200);
    assert_eq!(told(&stage).await, CONNECTION_TIMEOUT);
}

#[tokio::test]
async fn a_response_with_a_head_without_end_is_cut_off() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100 << 10));
    let server = Server::on_tcp(&head).await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    assert_eq!(outcome(&[&format!("GET {url}")], &[&url]).await, HEAD_TOO_LARGE);
}

#[tokio::test]
async fn more_requests_at_once_than_the_limit_are_refused() {
    let server = Server::on_tcp("").await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    let request = format!("GET {url}");
    let mut stage = granted(&sending_at_once(&[request.as_str(); 3]), &[&url]);
    stage.plugin().limits.requests = 2;
    let warnings = Told::listen();
    assert_eq!(told(&stage).await, TOO_MANY);
    let warnings = warnings.at(Level::WARN);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("`requests = 2` under `[plugins.p.limits]`"), "{warnings:?}");
}

#[tokio::test]
async fn requests_one_after_the_other_are_not_counted_together() {
    let server = Server::on_tcp(&response("200 OK", "")).await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    let request = format!("GET {url}");
    let mut stage = granted(&sending(&[request.as_str(); 3]), &[&url]);
    // The guest never drops a response: that it was read to its end is enough.
    stage.plugin().limits.requests = 1;
    assert_eq!(told(&stage).await, "200 ; 200 ; 200");
}

/// Runs `start` of a guest until it is given up, and expects the server to see the connection end.
async fn is_given_up(answer: &str, give_up: impl AsyncFnOnce(&Deciders, &mut Server)) {
    let mut server = Server::on_tcp(answer).await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    let stage = granted(&sending(&[&format!("GET {url}")]), &[&url]);
    let deciders = stage.deciders().await;
    give_up(&deciders, &mut server).await;
    server.closed_by_clients(1).await;
}

async fn too_late(deciders: &Deciders, server: &mut Server) {
    let answer = deciders
        .lifecycle
        .start(Cause::Operator, Duration::from_millis(500), CallContext::detached())
        .await;
    assert!(broken(&answer.unwrap_err()).contains("start"));
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn a_server_that_never_answers_ends_with_the_call() {
    is_given_up("", too_late).await;
}

#[tokio::test]
async fn a_body_that_never_ends_ends_with_the_call() {
    is_given_up("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nx", too_late).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_connection() {
    is_given_up("", async |deciders: &Deciders, server: &mut Server| {
        tokio::select! {
            answer = deciders.lifecycle.start(Cause::Operator, LONG, CallContext::detached()) => panic!("{answer:?}"),
            () = until(|| server.heads().len() == 1) => {}
        }
    })
    .await;
}

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to be");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// An authority, and certificates that it signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A server with a certificate for `name` that is good until this year.
    async fn server(&self, name: &str, until: i32) -> Server {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Server::on_tls(&response("200 OK", "secret"), acceptor).await
    }
}

/// What comes of a request to `https://localhost`, with this authority as `ca`.
fn over_tls(server: &Server, ca: Option<&Authority>) -> impl Future<Output = String> {
    let url = format!("https://localhost:{}/", server.port);
    let mut stage = granted(&sending(&[&format!("GET {url}")]), &[&url]);
    if let Some(authority) = ca {
        let file = stage.folder.path().join("ca.pem");
        fs::write(&file, &authority.pem).unwrap();
        stage.plugin().ca = Some(file);
    }
    async move { told(&stage).await }
}

#[tokio::test]
async fn a_certificate_of_an_authority_in_the_config_is_accepted() {
    let authority = Authority::new();
    let server = authority.server("localhost", 4000).await;
    assert_eq!(over_tls(&server, Some(&authority)).await, "200 secret");
}

#[tokio::test]
async fn a_certificate_of_a_stranger_is_refused_and_the_operator_is_told_what_to_do() {
    let server = Authority::new().server("localhost", 4000).await;
    let warnings = Told::listen();
    assert_eq!(over_tls(&server, None).await, BAD_CERTIFICATE);
    assert_eq!(over_tls(&server, Some(&Authority::new())).await, BAD_CERTIFICATE);
    assert_eq!(server.heads().len(), 0);
    let warnings = warnings.at(Level::WARN);
    assert_eq!(warnings.len(), 2);
    for warning in warnings {
        assert!(warning.contains("under `[plugins.p]`: ca = \"./ca.pem\""), "{warning}");
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_or_is_for_another_name_is_refused() {
    let authority = Authority::new();
    for (name, until) in [("localhost", 2001), ("other.example", 4000)] {
        let server = authority.server(name, until).await;
        let told = over_tls(&server, Some(&authority)).await;
        assert_eq!(told, BAD_CERTIFICATE, "{name} until {until}");
        assert_eq!(server.heads().len(), 0);
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_is_none_keeps_the_plugin_from_loading() {
    let mut stage = granted(&sending(&[]), &[]);
    let file = stage.folder.path().join("ca.pem");
    stage.plugin().ca = Some(file.clone());
    let mut told = Vec::new();
    let key = KeyPair::generate().unwrap().serialize_pem();
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for content in [None, Some(""), Some(key.as_str()), Some(damaged)] {
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        told.push(stage.load_error().await.1);
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: its `ca` file `[FOLDER]/ca.pem` can't be used: there is no such file. Name a PEM file with the certificate of whoever signs the certificates of its servers, or remove `ca`
    the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: its `ca` file `[FOLDER]/ca.pem` can't be used: there is no certificate in it. Name a PEM file with the certificate of whoever signs the certificates of its servers, or remove `ca`
    the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: its `ca` file `[FOLDER]/ca.pem` can't be used: there is no certificate in it. Name a PEM file with the certificate of whoever signs the certificates of its servers, or remove `ca`
    the plugin `p` can't be loaded from `[FOLDER]/p.wasm`: its `ca` file `[FOLDER]/ca.pem` can't be used: a certificate in it can't be read (invalid peer certificate: BadEncoding). Name a PEM file with the certificate of whoever signs the certificates of its servers, or remove `ca`
    ");
}
