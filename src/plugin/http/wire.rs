//! A request as it goes onto the wire: nothing of it but what was checked, and no second one.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TE, TRAILER,
};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Request, Uri, Version};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, WasiBody};

use super::body::{self, BodyReport, Outgoing};
use super::body_error::BodyError;
use super::failure::Failure;
use super::route::Route;

/// Headers that say how a message is framed, or how long a connection is kept. With those that
/// wasmtime forbids (`DEFAULT_FORBIDDEN_HEADERS`), the guest can set none of them.
const OF_THE_CONNECTION: [HeaderName; 3] = [EXPECT, TE, TRAILER];

/// Headers by which some servers take another method or path than those that were granted.
const OVERRIDES: [HeaderName; 5] = [
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// Whether no guest may set the header `name`.
pub(super) fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name)
        || OF_THE_CONNECTION.contains(name)
        || OVERRIDES.contains(name)
}

/// Why the path and query of a guest are not sent.
pub(super) fn mistake_in(uri: &Uri) -> Option<&'static str> {
    let sent = uri.path_and_query().map_or("", PathAndQuery::as_str);
    // Servers differ in what they make of such bytes: some cut there, some decode.
    (!sent.bytes().all(|byte| byte.is_ascii_graphic()))
        .then_some("its path or query has characters that a URL writes with `%`")
}

/// The request as the server gets it on `route`, and what is reported of its body. A method without
/// a body is sent when the guest has finished its empty one, which may take `time`.
pub(super) async fn request(
    request: Request<WasiBody>,
    route: &Route,
    time: Duration,
) -> Result<(Request<WasiBody>, BodyReport), Failure> {
    let (mut parts, body) = request.into_parts();
    parts.uri = origin_form(&parts.uri)?;
    parts.version = Version::HTTP_11;
    let announced = announced(&parts.headers)?;
    parts.headers.remove(CONTENT_LENGTH);
    for name in parts.headers.keys().cloned().collect::<Vec<_>>() {
        // wasmtime has refused them already.
        if is_forbidden(&name) {
            parts.headers.remove(name);
        }
    }
    let host = HeaderValue::from_str(&route.host).map_err(|_| Failure::Request)?;
    parts.headers.insert(HOST, host);
    // A server that reads on after this request would take whatever comes for another one.
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let report = BodyReport::default();
    let body = if body::is_allowed(&parts.method) {
        let outgoing = Outgoing::new(body, announced, &report);
        if hyper::body::Body::is_end_stream(&outgoing) && body::announces_none(&parts.method) {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        outgoing.boxed_unsync()
    } else {
        if announced.is_some_and(|length| length > 0) {
            return Err(Failure::Body(BodyError::NotAllowed));
        }
        body::ends_empty(body, time).await.map_err(Failure::Body)?;
        body::empty()
    };
    Ok((Request::from_parts(parts, body), report))
}

/// Path and query alone, as they were checked.
fn origin_form(uri: &Uri) -> Result<Uri, Failure> {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    // A query alone has the root before it.
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let path: PathAndQuery = path.parse().map_err(|_| Failure::Request)?;
    Uri::builder().path_and_query(path).build().map_err(|_| Failure::Request)
}

/// The length that the guest says its body has.
fn announced(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(None);
    };
    let digits = length.to_str().map_err(|_| Failure::Request)?;
    if lengths.next().is_some() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::Request);
    }
    digits.parse().map(Some).map_err(|_| Failure::Request)
}
