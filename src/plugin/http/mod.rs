//! `wasi:http`: requests that a plugin sends, under `allow.http`.
//!
//! A guest names a URL; what happens between that and the wire is all Dormouse's own:
//!
//! ```text
//! Hooks::send_request ─ route     is it granted? by method, scheme, host, port and path
//!                     ─ permit    how many are open at once
//!   connect           ─ address   where does the name lead, and may it lead there?
//!                     ─ TCP, TLS or a unix socket, to the very address that was checked
//!   wire, body        ─ nothing but what was checked, and no bytes that could be a second request
//!   exchange          ─ one request and its response; the connection is for nothing else
//! ```
//!
//! A redirect is a response like any other: the guest may follow it with a request of its own, which
//! is checked like any other. Nothing outlives the instance: the connection is driven by a task that
//! ends when the guest drops its response, or is dropped with all that it has.

mod address;
mod body;
mod body_error;
mod connect;
mod exchange;
mod failure;
mod imports;
mod route;
mod trust;
mod wire;

use std::sync::Arc;

use hyper::Request;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks,
};

use super::grants::Denial;
use super::guest::Worker;
use super::voice::Voice;
use exchange::{Answer, Connection};
use failure::Failure;
use route::Route;

pub(super) use imports::add_to_linker;
pub(super) use trust::Trust;

/// How many bytes the names and values of a guest's headers may take: far more than any server
/// reads.
const HEADERS: usize = 16 << 10;

/// How many bytes of a request's body are under way between the guest and the connection.
const CHUNK: usize = 8 << 10;

/// How many bytes of a request are shown.
const SHOWN: usize = 1024;

/// The requests of one instance.
pub(super) struct Hooks {
    worker: Arc<Worker>,
    voice: Arc<Voice>,
    open: Arc<Semaphore>,
}

impl Hooks {
    /// For an instance of `worker`, which speaks with `voice`.
    pub(super) fn new(worker: &Arc<Worker>, voice: &Arc<Voice>) -> Hooks {
        Hooks {
            worker: Arc::clone(worker),
            voice: Arc::clone(voice),
            open: Arc::new(Semaphore::new(worker.plugin.limits.requests)),
        }
    }

    /// What wasmtime keeps for these requests.
    pub(super) fn context() -> WasiHttpCtx {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(HEADERS);
        context
    }

    /// A place among the open requests, if the request may be sent at all.
    fn admit(&self, asked: &Asked) -> Result<(Route, OwnedSemaphorePermit), Error> {
        let plugin = &self.worker.plugin;
        let route = asked.route(plugin).map_err(|denial| {
            self.worker.warn(&denial);
            Error::HttpRequestDenied
        })?;
        let permit = Arc::clone(&self.open).try_acquire_owned().map_err(|_| {
            self.worker.warn(&route::too_many(plugin));
            Error::ConnectionLimitReached
        })?;
        Ok((route, permit))
    }
}

/// What a guest asks for.
struct Asked {
    method: String,
    tls: bool,
    authority: String,
    path: String,
    /// Why it is not sent, whatever is granted.
    mistake: Option<&'static str>,
}

impl Asked {
    fn of(request: &Request<WasiBody>) -> Asked {
        let uri = request.uri();
        Asked {
            method: request.method().as_str().to_owned(),
            tls: uri.scheme_str() == Some("https"),
            authority: uri.authority().map(|authority| authority.to_string()).unwrap_or_default(),
            path: uri.path().to_owned(),
            mistake: wire::mistake_in(uri),
        }
    }

    fn route(&self, plugin: &crate::config::Plugin) -> Result<Route, Denial> {
        if let Some(mistake) = self.mistake {
            return Err(route::never(&self.shown(), mistake));
        }
        route::route(plugin, &self.method, self.tls, &self.authority, &self.path)
    }

    /// For people.
    fn shown(&self) -> String {
        route::shown(&self.method, self.tls, &self.authority, &self.path)
    }
}

impl WasiHttpHooks for Hooks {
    /// Never: the one that is sent is of the grant.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(wire::is_forbidden)
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _received: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<(Answer, Connection), Error>> + Send> {
        let asked = Asked::of(&request);
        let admitted = self.admit(&asked);
        let (worker, voice) = (Arc::clone(&self.worker), Arc::clone(&self.voice));
        Box::new(async move {
            let (route, permit) = admitted?;
            let options = options.unwrap_or_default();
            let sent = async {
                let time = connect::time(&worker, options.connect_timeout);
                let (request, report) = wire::request(request, &route, time).await?;
                let stream = connect::connect(&worker, &route, time).await?;
                let answer = exchange::exchange(stream, request, &options, permit).await;
                answer.map_err(|failure| report.error().map_or(failure, Failure::Body))
            };
            sent.await.map_err(|failure| {
                match &failure {
                    Failure::Elsewhere(address) => {
                        worker.warn(&route::elsewhere(&worker.plugin, &route, *address));
                    }
                    Failure::Body(error) => {
                        worker.warn(&route::body_refused(&asked.shown(), &asked.method, *error));
                    }
                    failure => voice.say(
                        failure.loudness(),
                        &format!("{} failed: {}", asked.shown(), failure.told(&worker.plugin)),
                    ),
                }
                failure.code()
            })
        })
    }
}
