//! HTTP for tests: guests that send requests, and servers that answer them.

#![allow(clippy::expect_used, reason = "a test that fails here should fail loudly")]

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::guest::{Guest, RETURNED};

/// The functions of `wasi:http` that guests of tests import.
pub(crate) const WASI_HTTP: &str = r"
    package wasi:http@0.2.0 {
        interface types {
            use wasi:io/poll@0.2.0.{pollable};
            use wasi:io/streams@0.2.0.{input-stream, output-stream};
            variant method {
                get, head, post, put, delete, connect, options, trace, patch, other(string)
            }
            variant scheme { HTTP, HTTPS, other(string) }
            record DNS-error-payload { rcode: option<string>, info-code: option<u16> }
            record TLS-alert-received-payload {
                alert-id: option<u8>, alert-message: option<string>
            }
            record field-size-payload { field-name: option<string>, field-size: option<u32> }
            variant error-code {
                DNS-timeout, DNS-error(DNS-error-payload), destination-not-found,
                destination-unavailable, destination-IP-prohibited, destination-IP-unroutable,
                connection-refused, connection-terminated, connection-timeout,
                connection-read-timeout, connection-write-timeout, connection-limit-reached,
                TLS-protocol-error, TLS-certificate-error,
                TLS-alert-received(TLS-alert-received-payload), HTTP-request-denied,
                HTTP-request-length-required, HTTP-request-body-size(option<u64>),
                HTTP-request-method-invalid, HTTP-request-URI-invalid, HTTP-request-URI-too-long,
                HTTP-request-header-section-size(option<u32>),
                HTTP-request-header-size(option<field-size-payload>),
                HTTP-request-trailer-section-size(option<u32>),
                HTTP-request-trailer-size(field-size-payload), HTTP-response-incomplete,
                HTTP-response-header-section-size(option<u32>),
                HTTP-response-header-size(field-size-payload),
                HTTP-response-body-size(option<u64>),
                HTTP-response-trailer-section-size(option<u32>),
                HTTP-response-trailer-size(field-size-payload),
                HTTP-response-transfer-coding(option<string>),
                HTTP-response-content-coding(option<string>), HTTP-response-timeout,
                HTTP-upgrade-failed, HTTP-protocol-error, loop-detected, configuration-error,
                internal-error(option<string>)
            }
            variant header-error { invalid-syntax, forbidden, immutable }
            resource fields {
                constructor();
                append: func(name: string, value: list<u8>) -> result<_, header-error>;
            }
            resource outgoing-request {
                constructor(headers: fields);
                set-method: func(method: method) -> result;
                set-path-with-query: func(path-with-query: option<string>) -> result;
                set-scheme: func(scheme: option<scheme>) -> result;
                set-authority: func(authority: option<string>) -> result;
                body: func() -> result<outgoing-body>;
            }
            resource outgoing-body {
                write: func() -> result<output-stream>;
                finish: static func(this: outgoing-body, trailers: option<fields>)
                    -> result<_, error-code>;
            }
            resource request-options;
            resource incoming-response {
                status: func() -> u16;
                consume: func() -> result<incoming-body>;
            }
            resource incoming-body { %stream: func() -> result<input-stream>; }
            resource future-incoming-response {
                subscribe: func() -> pollable;
                get: func() -> option<result<result<incoming-response, error-code>>>;
            }
        }
        interface outgoing-handler {
            use types.{outgoing-request, request-options, future-incoming-response, error-code};
            handle: func(request: outgoing-request, options: option<request-options>)
                -> result<future-incoming-response, error-code>;
        }
    }
";

/// The numbers of `error-code`, as guests tell them.
pub(crate) const IP_PROHIBITED: &str = "error 004";
pub(crate) const REFUSED: &str = "error 006";
pub(crate) const CONNECTION_TIMEOUT: &str = "error 008";
pub(crate) const TOO_MANY: &str = "error 011";
pub(crate) const BAD_CERTIFICATE: &str = "error 013";
pub(crate) const DENIED: &str = "error 015";
pub(crate) const BODY_REFUSED: &str = "error 017";
pub(crate) const TRAILERS_REFUSED: &str = "error 023";
pub(crate) const HEAD_TOO_LARGE: &str = "error 026";

/// Where a guest collects what it has to tell.
const TOLD: u32 = 131_072;

/// The methods that have a number of their own, in their order.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A request of a guest. A header that the guest may not set is left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// `METHOD URL`.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    /// Whether the body ends with a trailer.
    pub(crate) trailer: bool,
}

/// What a guest does about the body of a request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Body {
    /// It opens none.
    #[default]
    Absent,
    /// It writes this, and finishes it. At most 4096 bytes.
    Written(String),
    /// It opens one, and never finishes it.
    Open,
}

impl From<&str> for Asked {
    fn from(line: &str) -> Asked {
        Asked { line: line.to_owned(), ..Asked::default() }
    }
}

/// A guest whose `start` sends these requests (`METHOD URL`) one after the other, and fails with
/// what came of them: `200 the body` or `error 015`, with `; ` between them.
pub(crate) fn sending(requests: &[&str]) -> Guest {
    sending_all(&requests.iter().map(|line| Asked::from(*line)).collect::<Vec<_>>())
}

/// The same with headers and bodies. A request that can't be put together is told as `refused`.
pub(crate) fn sending_all(requests: &[Asked]) -> Guest {
    let (guest, calls) = with_requests(requests);
    let one = |call: String| format!("(call $finish {call}) (call $put {SEMICOLON})");
    let body: String = calls.into_iter().map(one).collect();
    guest.lifecycle(&format!("{body} (call $tell_all)"), "(call $done)")
}

/// A guest whose `start` sends these requests all at once, and fails with what comes of the last.
pub(crate) fn sending_at_once(requests: &[&str]) -> Guest {
    let requests: Vec<Asked> = requests.iter().map(|line| Asked::from(*line)).collect();
    let (guest, calls) = with_requests(&requests);
    let begun: String = calls.into_iter().map(|call| format!("(local.set $last {call})")).collect();
    let body = format!(
        "(local $last i32) {begun} (call $finish (local.get $last)) (call $put {SEMICOLON}) \
         (call $tell_all)"
    );
    guest.lifecycle(&body, "(call $done)")
}

/// A guest whose `start` sets a header, and fails with `0` if it could, else with `1` and the number
/// of the `header-error`.
pub(crate) fn setting_header(name: &str, value: &str) -> Guest {
    let (mut guest, _) = with_requests(&[]);
    let (name, value) = (guest.text(name), guest.text(value));
    guest.lifecycle(
        &format!(
            "(call $append (call $new_fields) {name} {value} (i32.const {RETURNED}))
             (call $put (call $digit (i32.load8_u (i32.const {RETURNED}))) (i32.const 1))
             (if (i32.load8_u (i32.const {RETURNED}))
                (then (call $put
                    (call $digit (i32.load8_u (i32.const {}))) (i32.const 1))))
             (call $put {SEMICOLON}) (call $tell_all)",
            RETURNED + 1
        ),
        "(call $done)",
    )
}

/// `; `, in the guest's memory.
const SEMICOLON: &str = "(i32.const 1600) (i32.const 2)";

/// A guest that can send requests, and for each of these the call that begins it.
fn with_requests(requests: &[Asked]) -> (Guest, Vec<String>) {
    let types = "wasi:http/types@0.2.0";
    let of = |resource: &str, name: &str| format!("[method]{resource}.{name}");
    let option = "(param i32 i32 i32 i32) (result i32)";
    let mut guest = Guest::bare()
        .knowing(WASI_HTTP)
        .import(types, "[constructor]fields", "new_fields", "(result i32)")
        .import(types, &of("fields", "append"), "append", "(param i32 i32 i32 i32 i32 i32)")
        .import(types, "[constructor]outgoing-request", "new", "(param i32) (result i32)")
        .import(types, &of("outgoing-request", "set-method"), "set_method", option)
        .import(
            types,
            &of("outgoing-request", "set-scheme"),
            "set_scheme",
            "(param i32 i32 i32 i32 i32) (result i32)",
        )
        .import(types, &of("outgoing-request", "set-authority"), "set_authority", option)
        .import(types, &of("outgoing-request", "set-path-with-query"), "set_path", option)
        .import(
            types,
            &of("future-incoming-response", "subscribe"),
            "subscribe",
            "(param i32) (result i32)",
        )
        .import(types, &of("future-incoming-response", "get"), "get", "(param i32 i32)")
        .import(types, &of("incoming-response", "status"), "status", "(param i32) (result i32)")
        .import(types, &of("incoming-response", "consume"), "consume", "(param i32 i32)")
        .import(types, &of("incoming-body", "stream"), "stream", "(param i32 i32)")
        .import(types, &of("outgoing-request", "body"), "body", "(param i32 i32)")
        .import(types, &of("outgoing-body", "write"), "write", "(param i32 i32)")
        .import(types, "[static]outgoing-body.finish", "finish_body", "(param i32 i32 i32 i32)")
        .import(
            "wasi:io/streams@0.2.0",
            "[method]output-stream.blocking-write-and-flush",
            "write_all",
            "(param i32 i32 i32 i32)",
        )
        .import(
            "wasi:io/streams@0.2.0",
            "[resource-drop]output-stream",
            "drop_output",
            "(param i32)",
        )
        .import("wasi:http/outgoing-handler@0.2.0", "handle", "handle", "(param i32 i32 i32 i32)")
        .import("wasi:io/poll@0.2.0", "[method]pollable.block", "block", "(param i32)")
        .import(
            "wasi:io/streams@0.2.0",
            "[method]input-stream.blocking-read",
            "read",
            "(param i32 i64 i32)",
        )
        .function(&functions());
    let calls = requests.iter().map(|request| {
        let space = request.line.find(" http").expect("a method and a URL");
        let (method, url) = (&request.line[..space], &request.line[space + 1..]);
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let number = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len());
        let tls = u8::from(scheme == "https");
        let (method, authority, path) =
            (guest.text(method), guest.text(authority), guest.text(path));
        let headers: String = request
            .headers
            .iter()
            .map(|(name, value)| {
                let (name, value) = (guest.text(name), guest.text(value));
                format!(" (call $add_header {name} {value})")
            })
            .collect();
        let (kind, body) = match &request.body {
            Body::Absent => (0, guest.text("")),
            Body::Written(body) => (1, guest.text(body)),
            Body::Open => (2, guest.text("")),
        };
        let trailer = u8::from(request.trailer);
        format!(
            "(block (result i32) (call $new_headers){headers} (call $begin (i32.const {number}) \
             {method} (i32.const {tls}) {authority} {path} (i32.const {kind}) {body} \
             (i32.const {trailer})))"
        )
    });
    let calls = calls.collect();
    (guest, calls)
}

/// What comes of a request stands in memory as the canonical ABI has it.
fn functions() -> String {
    let (result, payload) = (RETURNED, RETURNED + 4);
    format!(
        r#"(data (i32.const 1600) "; error refusedx")
        (global $fields (mut i32) (i32.const 0))
        (func $new_headers (global.set $fields (call $new_fields)))
        (func $add_header (param $name i32) (param $name_len i32)
            (param $value i32) (param $value_len i32)
            (call $append (global.get $fields) (local.get $name) (local.get $name_len)
                (local.get $value) (local.get $value_len) (i32.const {result})))
        (func $write_body (param $body i32) (param $at i32) (param $length i32)
            (local $stream i32)
            (call $write (local.get $body) (i32.const {result}))
            (local.set $stream (i32.load (i32.const {payload})))
            (if (local.get $length)
                (then (call $write_all (local.get $stream)
                    (local.get $at) (local.get $length) (i32.const {result}))))
            (call $drop_output (local.get $stream)))
        (func $end_body (param $body i32) (param $trailer i32)
            (if (local.get $trailer)
                (then
                    (call $new_headers)
                    (call $add_header (i32.const 1615) (i32.const 1) (i32.const 1615) (i32.const 1))))
            (call $finish_body (local.get $body) (local.get $trailer) (global.get $fields)
                (i32.const {result})))
        (global $told (mut i32) (i32.const {TOLD}))
        (func $put (param $at i32) (param $length i32)
            (memory.copy (global.get $told) (local.get $at) (local.get $length))
            (global.set $told (i32.add (global.get $told) (local.get $length))))
        (func $put_digit (param $value i32)
            (call $put (call $digit (i32.rem_u (local.get $value) (i32.const 10))) (i32.const 1)))
        (func $put_number (param $value i32)
            (call $put_digit (i32.div_u (local.get $value) (i32.const 100)))
            (call $put_digit (i32.div_u (local.get $value) (i32.const 10)))
            (call $put_digit (local.get $value)))
        (func $put_error (param $code i32)
            (call $put (i32.const 1602) (i32.const 6))
            (call $put_number (local.get $code)))
        (func $tell_all (result i32)
            (call $fail (i32.const 2) (i32.const {TOLD})
                (i32.sub (global.get $told) (i32.const {told_and_semicolon}))))
        ;; The response that is to come; -1 if the request can't be put together.
        (func $begin (param $number i32) (param $method i32) (param $method_len i32)
            (param $tls i32) (param $authority i32) (param $authority_len i32)
            (param $path i32) (param $path_len i32)
            (param $kind i32) (param $at i32) (param $length i32) (param $trailer i32) (result i32)
            (local $request i32) (local $body i32) (local $future i32)
            (local.set $request (call $new (global.get $fields)))
            (if (call $set_method (local.get $request) (local.get $number)
                (local.get $method) (local.get $method_len)) (then (return (i32.const -1))))
            (drop (call $set_scheme (local.get $request) (i32.const 1) (local.get $tls)
                (i32.const 0) (i32.const 0)))
            (if (call $set_authority (local.get $request) (i32.const 1)
                (local.get $authority) (local.get $authority_len)) (then (return (i32.const -1))))
            (if (call $set_path (local.get $request) (i32.const 1)
                (local.get $path) (local.get $path_len)) (then (return (i32.const -1))))
            (if (local.get $kind)
                (then
                    (call $body (local.get $request) (i32.const {result}))
                    (if (i32.load8_u (i32.const {result})) (then (return (i32.const -1))))
                    (local.set $body (i32.load (i32.const {payload})))))
            (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const {result}))
            (if (i32.load8_u (i32.const {result})) (then (return (i32.const -1))))
            (local.set $future (i32.load (i32.const {handled})))
            (if (i32.eq (local.get $kind) (i32.const 1))
                (then
                    (call $write_body (local.get $body) (local.get $at) (local.get $length))
                    (call $end_body (local.get $body) (local.get $trailer))))
            (local.get $future))
        (func $finish (param $future i32)
            (local $response i32) (local $stream i32)
            (if (i32.eq (local.get $future) (i32.const -1))
                (then (call $put (i32.const 1608) (i32.const 7)) (return)))
            (call $block (call $subscribe (local.get $future)))
            (call $get (local.get $future) (i32.const {result}))
            (if (i32.load8_u (i32.const {inner}))
                (then
                    (call $put_error (i32.load8_u (i32.const {answer})))
                    (return)))
            (local.set $response (i32.load (i32.const {answer})))
            (call $put_number (call $status (local.get $response)))
            (call $put (i32.const 1601) (i32.const 1))
            (call $consume (local.get $response) (i32.const {result}))
            (call $stream (i32.load (i32.const {payload})) (i32.const {result}))
            (local.set $stream (i32.load (i32.const {payload})))
            (loop $more
                (call $read (local.get $stream) (i64.const 4096) (i32.const {result}))
                (if (i32.eqz (i32.load8_u (i32.const {result})))
                    (then
                        (call $put (i32.load (i32.const {payload})) (i32.load (i32.const {length})))
                        (br $more)))))"#,
        told_and_semicolon = TOLD + 2,
        handled = RETURNED + 8,
        inner = RETURNED + 16,
        answer = RETURNED + 24,
        length = RETURNED + 8,
    )
}

/// A server that gives each connection the same bytes once it has read the head of a request.
pub(crate) struct Server {
    /// Its port, if it is on the network.
    pub(crate) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    closed: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A response with this status and body.
pub(crate) fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

impl Server {
    /// On a port of the loopback.
    pub(crate) async fn on_tcp(answer: &str) -> Server {
        Server::serve(answer, None).await
    }

    /// The same with TLS.
    pub(crate) async fn on_tls(answer: &str, acceptor: TlsAcceptor) -> Server {
        Server::serve(answer, Some(acceptor)).await
    }

    async fn serve(answer: &str, acceptor: Option<TlsAcceptor>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let answers = Answers::new(answer);
        let (heads, closed) = (Arc::clone(&answers.heads), answers.closed.subscribe());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                match &acceptor {
                    None => answers.begin(stream),
                    // One that does not trust the certificate hangs up.
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            answers.begin(stream);
                        }
                    }
                }
            }
        });
        Server { port, heads, closed, task }
    }

    /// On a unix socket.
    pub(crate) fn on_socket(socket: &Path, answer: &str) -> Server {
        let listener = UnixListener::bind(socket).expect("a socket");
        let answers = Answers::new(answer);
        let (heads, closed) = (Arc::clone(&answers.heads), answers.closed.subscribe());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                answers.begin(stream);
            }
        });
        Server { port: 0, heads, closed, task }
    }

    /// The heads of the requests that came, in small letters.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this many connections that had sent a request are closed by their clients.
    pub(crate) async fn closed_by_clients(&mut self, count: usize) {
        let closed = self.closed.wait_for(|closed| *closed >= count);
        let long = std::time::Duration::from_secs(60);
        tokio::time::timeout(long, closed).await.expect("they stay open").expect("a server");
    }
}

struct Answers {
    answer: Arc<str>,
    heads: Arc<Mutex<Vec<String>>>,
    closed: watch::Sender<usize>,
}

impl Answers {
    fn new(answer: &str) -> Answers {
        Answers { answer: answer.into(), heads: Arc::default(), closed: watch::Sender::new(0) }
    }

    fn begin(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (answer, heads) = (Arc::clone(&self.answer), Arc::clone(&self.heads));
        let closed = self.closed.clone();
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
            // The client may have gone; then there is nothing to wait for below.
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.flush().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
            closed.send_modify(|closed| *closed += 1);
        });
    }
}
