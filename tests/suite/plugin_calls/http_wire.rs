//! What goes onto the wire for a request of a plugin: one request, which is the one that was
//! granted, whatever the plugin writes. Seen by a server that records bytes, and by a server in
//! Python that reads no bodies.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use dormouse::config::{HttpGrant, HttpPath};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::support::http::{
    Asked, BODY_REFUSED, Body, DENIED, TRAILERS_REFUSED, sending_all, setting_header,
};

/// The header by which a request is found again.
const NUMBER: &str = "x-number";

/// A request that no grant here allows.
const SECOND: &str = "POST /admin HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";

/// A server that keeps the bytes of each connection until its client closes it, and answers whole
/// requests.
struct Wire {
    port: u16,
    /// `None` for a connection that was opened, and its bytes when it is closed.
    news: tokio::sync::mpsc::UnboundedReceiver<Option<Vec<u8>>>,
}

impl Wire {
    async fn listen() -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (send, news) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let send = send.clone();
                let _ = send.send(None);
                tokio::spawn(async move {
                    let (mut bytes, mut answered) = (Vec::new(), false);
                    loop {
                        let mut buffer = [0; 4096];
                        match stream.read(&mut buffer).await {
                            Ok(0) | Err(_) => break,
                            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                        }
                        if !answered && is_whole(&bytes) {
                            answered = true;
                            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                            let _ = stream.write_all(answer).await;
                        }
                    }
                    let _ = send.send(Some(bytes));
                });
            }
        });
        Wire { port, news }
    }

    /// What came in on each connection that was opened before. All of them are closed.
    async fn connections(&mut self) -> Vec<Vec<u8>> {
        let last = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let own = last.local_addr().unwrap().to_string();
        write_and_close(last, own.as_bytes()).await;
        let (mut opened, mut connections, mut is_last) = (0, Vec::new(), false);
        while !is_last || connections.len() + 1 < opened {
            let news = tokio::time::timeout(LONG, self.news.recv());
            match news.await.expect("a connection stays open").unwrap() {
                None => opened += 1,
                Some(bytes) if bytes == own.as_bytes() => is_last = true,
                Some(bytes) => connections.push(bytes),
            }
        }
        connections
    }
}

async fn write_and_close(mut stream: TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// Whether these bytes have the end of a request in them.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    match (head.contains("transfer-encoding: chunked"), length(head)) {
        (true, _) => body.ends_with("0\r\n\r\n"),
        (false, length) => body.len() >= length.unwrap_or(0),
    }
}

fn length(head: &str) -> Option<usize> {
    let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    line.map(|length| length.parse().unwrap())
}

/// One request, of which the wire had no byte more.
#[derive(Debug, PartialEq, Eq)]
struct OnWire {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl OnWire {
    fn read(bytes: &[u8]) -> OnWire {
        let text = std::str::from_utf8(bytes).expect("ASCII");
        let (head, rest) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.split("\r\n");
        let words: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let [method, target, "HTTP/1.1"] = words[..] else { panic!("no request line: {head}") };
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let request =
            OnWire { method: method.into(), target: target.into(), headers, body: String::new() };
        let body = match (request.all("content-length"), request.all("transfer-encoding")) {
            (lengths, encodings) if encodings.is_empty() => {
                assert!(lengths.len() <= 1, "{request:?}");
                let length = lengths.first().map_or(0, |length| length.parse().unwrap());
                assert_eq!(rest.len(), length, "bytes behind the request: {rest:?}");
                rest.to_owned()
            }
            (lengths, encodings) => {
                assert_eq!((lengths.len(), encodings), (0, vec!["chunked"]), "{request:?}");
                unchunked(rest)
            }
        };
        assert_eq!(request.all("host").len(), 1, "{request:?}");
        assert_eq!(request.all("connection"), ["close"], "{request:?}");
        for name in ["te", "trailer", "expect", "upgrade", "keep-alive"] {
            assert!(request.all(name).is_empty(), "{request:?}");
        }
        OnWire { body, ..request }
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).collect()
    }

    fn number(&self) -> usize {
        self.all(NUMBER)[0].parse().unwrap()
    }
}

/// The chunks of `text`, which ends with the last one, and without trailers.
fn unchunked(mut text: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n").expect("the size of a chunk");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let (chunk, rest) = rest.split_at(size);
        body.push_str(chunk);
        text = rest.strip_prefix("\r\n").expect("the end of a chunk");
        if size == 0 {
            assert_eq!(text, "", "bytes behind the request");
            return body;
        }
    }
}

/// Python's `http.server`, which answers every method and reads no body. It writes its port, then
/// a line for each request that it has understood.
const PYTHON: &str = r#"
import http.server, sys
def say(*words):
    sys.stdout.write("\t".join(words) + "\n"); sys.stdout.flush()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        say(self.headers.get("x-number", "none"), self.command, self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)
    def send_error(self, code, *_):
        say("none", "error", str(code))
        self.close_connection = True
    def finish(self):
        try:
            super().finish()
        except OSError:
            pass
        say("closed")
    log_message = lambda *_: None
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    def process_request(self, *connection):
        say("opened")
        super().process_request(*connection)
    handle_error = lambda *_: None
server = Server(("127.0.0.1", 0), Handler)
say(str(server.server_address[1]))
server.serve_forever()
"#;

struct Python {
    process: Child,
    port: u16,
    lines: mpsc::Receiver<Vec<String>>,
}

impl Python {
    fn listen() -> Python {
        let mut process = Command::new("python3")
            .args(["-c", PYTHON])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need python3");
        let output = BufReader::new(process.stdout.take().unwrap());
        let (send, lines) = mpsc::channel::<Vec<String>>();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(line.split('\t').map(str::to_owned).collect()).is_err() {
                    return;
                }
            }
        });
        let port = lines.recv_timeout(LONG).expect("a port")[0].parse().unwrap();
        Python { process, port, lines }
    }

    /// The method and path of each request that was understood, by its number. All connections are
    /// closed.
    async fn requests(&self) -> BTreeMap<usize, (String, String)> {
        let last = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let end = "GET /end HTTP/1.1\r\nx-number: end\r\nconnection: close\r\n\r\n";
        write_and_close(last, end.as_bytes()).await;
        let (mut requests, mut opened, mut closed, mut is_last) = (BTreeMap::new(), 0, 0, false);
        while !is_last || closed < opened {
            let line = self.lines.recv_timeout(LONG).expect("a connection stays open");
            match line[0].as_str() {
                "opened" => opened += 1,
                "closed" => closed += 1,
                "end" => is_last = true,
                number => {
                    let number = number.parse().unwrap_or_else(|_| panic!("{line:?}"));
                    let request = (line[1].clone(), line[2].clone());
                    assert_eq!(requests.insert(number, request), None, "sent twice: {line:?}");
                }
            }
        }
        requests
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `METHOD PATH` on each of the two servers.
#[derive(Clone, Default)]
struct Trick {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Body,
    trailer: bool,
}

fn trick(method: &'static str, path: &str) -> Trick {
    Trick { method, path: path.to_owned(), ..Trick::default() }
}

impl Trick {
    fn header(mut self, name: &'static str, value: &str) -> Trick {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn body(mut self, body: &str) -> Trick {
        self.body = Body::Written(body.to_owned());
        self
    }

    fn trailer(mut self) -> Trick {
        self.trailer = true;
        self
    }

    fn at(&self, port: u16, number: usize) -> Asked {
        let mut headers = vec![(NUMBER.to_owned(), number.to_string())];
        headers.extend(self.headers.iter().map(|(name, value)| ((*name).into(), value.clone())));
        let line = format!("{} http://127.0.0.1:{port}{}", self.method, self.path);
        Asked { line, headers, body: self.body.clone(), trailer: self.trailer }
    }
}

/// What a hostile plugin could try.
fn tricks() -> Vec<Trick> {
    let length = SECOND.len().to_string();
    let mut tricks = Vec::new();
    let methods = [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "CONNECT",
        "OPTIONS",
        "TRACE",
        "PATCH",
        "get",
        "Get",
        "GETS",
        "FOO",
        "PRI",
        "POST /admin",
        "GET\r\nx: y",
        "",
    ];
    for method in methods {
        tricks.push(trick(method, "/vm/1"));
        tricks.push(trick(method, "/vm/1").body(""));
        tricks.push(trick(method, "/vm/1").body(SECOND));
        tricks.push(trick(method, "/vm/1").body(SECOND).header("content-length", &length));
        tricks.push(trick(method, "/vm/1").header("content-length", &length));
    }
    for path in [
        "",
        "/",
        "/vm",
        "/vm/",
        "/vm/1?a=b",
        "/vm/1?a=/../b",
        "/vm/1?//",
        "/vm//1",
        "//vm/1",
        "//admin/vm/1",
        "/vm/../admin",
        "/vm/./1",
        "/vm/%2e%2e/admin",
        "/vm/..%2fadmin",
        "/vm/%252e%252e/admin",
        "/vm/..;/admin",
        "/vm;/1",
        "/vm%2f1",
        "/vm/1#frag",
        "/vm/1#/../..",
        "/vm/1?a#b",
        "/vm/1%23x",
        "/vm/1%0d%0aX:%20y",
        "/vm/1%00",
        "/vm/\u{e9}",
        "/vm/1?q=\u{e9}",
        "/vm/1 HTTP/1.1\r\nx: y\r\n\r\n",
        "/vm/1\r\n",
        "/vm/\t1",
        "/vm/1?a b",
        "/vm/\\..\\admin",
        "/vm/1\u{7f}",
        "?a=b",
        "/vm/http://127.0.0.1/admin",
        "/vm/%zz",
        "/VM/1",
        "/vm/1/*",
        "/vm/{\"a\":[1]}",
        "/vm/1?f={\"a\":[\"b\"]}",
    ] {
        tricks.push(trick("GET", path));
        tricks.push(trick("POST", path).body("x=y"));
    }
    for (name, value) in [
        ("content-length", "0"),
        ("content-length", "3"),
        ("content-length", "4"),
        ("content-length", "2"),
        ("content-length", "+3"),
        ("content-length", "0x3"),
        ("content-length", "3, 3"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("upgrade", "websocket"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("host", "admin.example"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("expect", "100-continue"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/admin"),
        ("x-a", "b\r\nhost: admin.example"),
        ("x-a\r\nb", "c"),
        ("x-a ", "b"),
        ("x-a:", "b"),
    ] {
        tricks.push(trick("GET", "/vm/1").header(name, value));
        tricks.push(trick("GET", "/vm/1").header(name, value).body("x=y"));
        tricks.push(trick("POST", "/vm/1").header(name, value).body("x=y"));
        tricks.push(trick("POST", "/vm/1").header(name, value).header(name, value).body("x=y"));
    }
    tricks.push(trick("GET", "/vm/1").body("").trailer());
    tricks.push(trick("POST", "/vm/1").body("x=y").trailer());
    tricks.push(trick("POST", "/vm/1").body("x=y").trailer().header("trailer", "x"));
    tricks
}

/// The grants that the tricks are played under: each method alone, and all of them.
const GRANTED: [&str; 3] = ["GET", "GET,POST,DELETE", ""];

fn grant_at(methods: &str, port: u16) -> HttpGrant {
    let text = format!("{methods} http://127.0.0.1:{port}/vm/");
    HttpGrant::parse(text.trim_start(), Path::new("/")).unwrap()
}

/// What came of each trick.
async fn played(grant: &HttpGrant, port: u16, tricks: &[Trick]) -> Vec<String> {
    let requests: Vec<Asked> =
        tricks.iter().enumerate().map(|(number, trick)| trick.at(port, number)).collect();
    let mut stage = Stage::new(&sending_all(&requests).build());
    stage.plugin().allow.http = vec![grant.clone()];
    let failure = start(&stage.deciders().await).await.unwrap_err();
    let told = failure.message.strip_prefix("the plugin `p`: ").expect(&failure.message);
    let outcomes: Vec<String> = told.split("; ").map(str::to_owned).collect();
    assert_eq!(outcomes.len(), requests.len(), "{told}");
    outcomes
}

/// How many of a guest's texts fit into its answer.
const AT_ONCE: usize = 60;

fn assert_covered(grant: &HttpGrant, method: &str, target: &str) {
    let path = target.split('?').next().unwrap();
    let path = HttpPath::parse(path).unwrap_or_else(|error| panic!("{target}: {error:?}"));
    assert!(grant.path.covers(&path), "{method} {target}");
    let granted = grant.methods.is_empty() || grant.methods.iter().any(|name| name == method);
    assert!(granted && method != "CONNECT", "{method} {target}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_sees_of_a_request_is_one_request_and_is_what_the_grant_says() {
    let tricks = tricks();
    let mut sent = 0;
    for methods in GRANTED {
        for tricks in tricks.chunks(AT_ONCE) {
            sent += recorded(methods, tricks).await.len();
            understood(methods, tricks).await;
        }
    }
    assert!(sent > 100, "{sent} requests were sent: the tricks are denied");
}

/// Plays `tricks` against the recorder, and returns method and target of those that it answered.
async fn recorded(methods: &str, tricks: &[Trick]) -> BTreeMap<usize, (String, String)> {
    let mut wire = Wire::listen().await;
    let grant = grant_at(methods, wire.port);
    let outcomes = played(&grant, wire.port, tricks).await;
    let mut seen = BTreeMap::new();
    for bytes in wire.connections().await {
        if !is_whole(&bytes) {
            assert_is_beginning(&grant, &bytes);
            continue;
        }
        let request = OnWire::read(&bytes);
        assert_covered(&grant, &request.method, &request.target);
        let number = request.number();
        let written = match &tricks[number].body {
            Body::Written(body) => body.as_str(),
            Body::Absent | Body::Open => "",
        };
        let announces_none = tricks[number].headers.contains(&("content-length", "0".to_owned()));
        let expected = if announces_none { "" } else { written };
        assert_eq!(request.body, expected, "{request:?}");
        let known = seen.insert(number, (request.method, request.target));
        assert_eq!(known, None, "sent twice: {:?}", tricks[number].path);
    }
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.starts_with("200"), seen.contains_key(&number), "{outcome}");
    }
    seen
}

/// What was cut off in the middle: a body that is not as long as the guest announced.
fn assert_is_beginning(grant: &HttpGrant, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).expect("ASCII");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let Some(line) = head.split("\r\n").next().filter(|line| !line.is_empty()) else {
        return;
    };
    let words: Vec<&str> = line.split(' ').collect();
    assert_covered(grant, words[0], words[1]);
    assert!(head.contains("\r\nconnection: close"), "{head}");
    match length(head) {
        Some(length) => assert!(body.len() < length, "{text}"),
        None => assert!(head.contains("\r\ntransfer-encoding: chunked"), "{text}"),
    }
}

/// Plays `tricks` against Python.
async fn understood(methods: &str, tricks: &[Trick]) {
    let python = Python::listen();
    let grant = grant_at(methods, python.port);
    let outcomes = played(&grant, python.port, tricks).await;
    let understood = python.requests().await;
    for (method, path) in understood.values() {
        assert_covered(&grant, method, path);
    }
    for (number, outcome) in outcomes.iter().enumerate() {
        if outcome.starts_with("200") {
            let expected = (tricks[number].method.to_owned(), sent_path(&tricks[number].path));
            assert_eq!(understood.get(&number), Some(&expected));
        }
    }
}

/// What stands on the wire of a path that is granted.
fn sent_path(path: &str) -> String {
    path.split('#').next().unwrap().to_owned()
}

async fn outcome_of(trick: Trick, methods: &str) -> (String, Vec<String>) {
    let wire = Wire::listen().await;
    let warnings = Told::listen();
    let outcomes = played(&grant_at(methods, wire.port), wire.port, &[trick]).await;
    let warnings = warnings.at(Level::WARN).into_iter();
    let port = wire.port.to_string();
    (outcomes[0].clone(), warnings.map(|line| line.replace(&port, "PORT")).collect())
}

#[tokio::test]
async fn a_body_of_a_method_without_one_is_refused_and_reported() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "get"] {
        let (outcome, warnings) = outcome_of(trick(method, "/vm/1").body("x"), "").await;
        assert_eq!(outcome, BODY_REFUSED, "{method}");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
    let (_, warnings) = outcome_of(trick("GET", "/vm/1").body("x"), "GET").await;
    insta::assert_snapshot!(warnings[0], @r#"the plugin wanted to send a body with GET http://127.0.0.1:PORT/vm/1 and was denied. No grant allows that: requests with this method have no body, because a server could take it for another request. The author of the plugin can put the data into the query, or send it with a method that has a body, such as POST, in place of GET. plugin="p" service="s""#);
    let (outcome, warnings) = outcome_of(trick("GET", "/vm/1").body(""), "GET").await;
    assert_eq!((outcome.trim_end(), warnings.len()), ("200", 0));
}

#[tokio::test]
async fn a_body_that_is_never_finished_is_waited_for_as_long_as_for_a_connection() {
    let wire = Wire::listen().await;
    let asked = Asked { body: Body::Open, ..trick("GET", "/vm/1").at(wire.port, 0) };
    let mut stage = Stage::new(&sending_all(&[asked]).build());
    stage.plugin().allow.http = vec![grant_at("GET", wire.port)];
    stage.service().connect_timeout = Duration::from_millis(50);
    let failure = start(&stage.deciders().await).await.unwrap_err();
    assert!(failure.message.ends_with(BODY_REFUSED), "{}", failure.message);
}

#[tokio::test]
async fn trailers_and_other_lengths_are_refused_and_reported() {
    let trailed = trick("POST", "/vm/1").body("x=y").trailer();
    let (outcome, warnings) = outcome_of(trailed, "").await;
    assert_eq!(outcome, TRAILERS_REFUSED);
    insta::assert_snapshot!(warnings[0], @r#"the plugin wanted to send trailers with POST http://127.0.0.1:PORT/vm/1 and was denied. No grant allows that: requests are sent without trailers. The author of the plugin can leave them out. plugin="p" service="s""#);
    let longer = trick("POST", "/vm/1").body("x=y").header("content-length", "4");
    let (outcome, warnings) = outcome_of(longer, "").await;
    assert_eq!(outcome, BODY_REFUSED);
    insta::assert_snapshot!(warnings[0], @r#"the plugin wanted to send a body of another length than it announced with POST http://127.0.0.1:PORT/vm/1 and was denied. No grant allows that: the body is longer or shorter than the `Content-Length` that the plugin announced. The author of the plugin can leave out `Content-Length`, which Dormouse sets. plugin="p" service="s""#);
}

#[tokio::test]
async fn characters_that_a_url_does_not_have_are_denied() {
    for path in ["/vm/\u{e9}", "/vm/1?q=\u{e9}", "/vm/\u{7f}"] {
        let (outcome, warnings) = outcome_of(trick("GET", path), "GET").await;
        if outcome != "refused" {
            assert_eq!(outcome, DENIED, "{path}");
            assert!(warnings[0].contains("a URL writes with `%`"), "{warnings:?}");
        }
    }
}

#[tokio::test]
async fn a_guest_cannot_set_headers_that_override_the_method_or_the_path() {
    for name in ["x-http-method-override", "X-Original-URL", "te", "trailer", "expect"] {
        let stage = Stage::new(&setting_header(name, "x").build());
        let failure = start(&stage.deciders().await).await.unwrap_err();
        // The second case of `header-error` is `forbidden`.
        assert!(failure.message.ends_with(": 11"), "{name}: {}", failure.message);
    }
}
