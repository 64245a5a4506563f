//! One request and its response on a connection of their own.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::connect::Stream;
use super::failure::{self, Failure};

/// How many bytes the head of a response may have, and how many of its body are kept that the guest
/// has not read yet.
const BUFFER: usize = 32 << 10;

/// The response as the guest gets it.
pub(super) type Answer = Response<WasiBody>;

/// Drives a connection until the response has come, or it is dropped.
pub(super) type Connection = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Sends `request`, and waits for the head of its response. The response's body comes as long as
/// the connection is driven; `permit` is given back when it has come, or is dropped.
pub(super) async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<WasiBody>,
    options: &RequestOptions,
    permit: OwnedSemaphorePermit,
) -> Result<(Answer, Connection), Failure> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::Http)?;
    let mut connection = Some(Box::pin(connection));
    let mut response = pin!(sender.send_request(request));
    let response = std::future::poll_fn(|context| {
        if let Poll::Ready(response) = response.as_mut().poll(context) {
            return Poll::Ready(response);
        }
        // What the request waits for is that the connection is driven.
        if let Some(driven) = connection.as_mut()
            && driven.as_mut().poll(context).is_ready()
        {
            connection = None;
            return response.as_mut().poll(context);
        }
        Poll::Pending
    });
    let response = match options.first_byte_timeout {
        Some(time) => tokio::time::timeout(time, response).await.map_err(|_| Failure::Silent)?,
        None => response.await,
    };
    let response = response.map_err(Failure::Http)?;
    let between = options.between_bytes_timeout;
    let body = |incoming| Received { incoming, between, pause: None, _permit: permit };
    let driven = async move {
        if let Some(connection) = connection {
            // What goes wrong ends the body, and is told there.
            let _ = connection.await;
        }
        Ok(())
    };
    Ok((response.map(|incoming| body(incoming).boxed_unsync()), Box::new(driven)))
}

/// The body of a response.
struct Received {
    incoming: Incoming,
    /// How long the server may pause within it.
    between: Option<Duration>,
    /// The pause that it makes.
    pause: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let body = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut body.incoming).poll_frame(context) {
            body.pause = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| failure::code(&error))));
        }
        let Some(between) = body.between else { return Poll::Pending };
        let pause = body.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(between)));
        ready!(pause.as_mut().poll(context));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
