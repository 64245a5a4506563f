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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::sync::Arc;

    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::Semaphore;
    use tokio::task::JoinHandle;

    use super::*;

    /// A server that reads a little of the request, says `words`, and falls silent.
    fn server(words: &'static str) -> (DuplexStream, JoinHandle<DuplexStream>) {
        let (client, mut server) = duplex(4096);
        let silent = tokio::spawn(async move {
            server.read_u8().await.unwrap();
            server.write_all(words.as_bytes()).await.unwrap();
            server
        });
        (client, silent)
    }

    async fn sent(
        stream: DuplexStream,
        options: &RequestOptions,
        places: &Arc<Semaphore>,
    ) -> Result<(Answer, Connection), Failure> {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::get("/").body(body).unwrap();
        let permit = Arc::clone(places).try_acquire_owned().unwrap();
        exchange(Box::new(stream), request, options, permit).await
    }

    const SECOND: Option<Duration> = Some(Duration::from_secs(1));

    #[tokio::test(start_paused = true)]
    async fn a_guest_waits_for_the_first_byte_as_long_as_it_says() {
        let (stream, silent) = server("");
        let options = RequestOptions { first_byte_timeout: SECOND, ..RequestOptions::default() };
        let places = Arc::new(Semaphore::new(1));
        let answer = sent(stream, &options, &places).await;
        assert!(matches!(answer.err(), Some(Failure::Silent)));
        assert_eq!(places.available_permits(), 1);
        let mut rest = Vec::new();
        silent.await.unwrap().read_to_end(&mut rest).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_waits_between_two_bytes_as_long_as_it_says() {
        let (stream, _silent) = server("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx");
        let options = RequestOptions { between_bytes_timeout: SECOND, ..RequestOptions::default() };
        let places = Arc::new(Semaphore::new(1));
        let (answer, connection) = sent(stream, &options, &places).await.unwrap();
        let driven = tokio::spawn(Box::into_pin(connection));
        let mut body = answer.into_body();
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap().as_ref(), b"x");
        let second = body.frame().await.unwrap();
        assert!(matches!(second, Err(Error::ConnectionReadTimeout)), "{second:?}");
        driven.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_given_back_with_the_body_and_not_before() {
        let (stream, _silent) = server("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx");
        let places = Arc::new(Semaphore::new(1));
        let (answer, connection) = sent(stream, &RequestOptions::default(), &places).await.unwrap();
        assert_eq!(places.available_permits(), 0);
        drop(connection);
        assert_eq!(places.available_permits(), 0);
        drop(answer);
        assert_eq!(places.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_cut_off_is_not_taken_for_a_whole_one() {
        let (stream, silent) = server("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx");
        let places = Arc::new(Semaphore::new(1));
        let (answer, connection) = sent(stream, &RequestOptions::default(), &places).await.unwrap();
        drop(silent.await.unwrap());
        let driven = tokio::spawn(Box::into_pin(connection));
        let whole = answer.into_body().collect().await;
        assert!(matches!(whole, Err(Error::HttpResponseIncomplete)), "{whole:?}");
        driven.await.unwrap().unwrap();
    }
}
