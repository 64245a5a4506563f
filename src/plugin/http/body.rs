//! The body of a request as it goes onto the wire.
//!
//! A server that does not read the body of a `GET` takes its bytes for the next request on the
//! connection, and no grant was asked for that one. So a body is sent only with methods whose body
//! each server reads, its length comes from here and never from the guest, and bytes past the
//! announced length never leave.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Method;
use hyper::body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::{Error, WasiBody};

/// Methods whose requests have no body. `DELETE` is one of them: RFC 9110 gives its body no meaning,
/// and some servers do not read it.
const WITHOUT_BODY: [&str; 6] = ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// Methods that announce that their body is empty.
const WITH_BODY: [&str; 3] = ["POST", "PUT", "PATCH"];

/// Why a body is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// The method has no body.
    #[error(
        "requests with this method have no body, because a server could take it for another request"
    )]
    NotAllowed,
    /// The method has no body, and the guest has not finished the one that it opened in this time.
    #[error(
        "requests with this method have no body, and the plugin has opened one and not finished it \
         within {0:?}"
    )]
    Unfinished(Duration),
    /// The guest wrote trailers.
    #[error("requests are sent without trailers")]
    Trailers,
    /// The guest wrote more or less than the `Content-Length` that it announced.
    #[error("the body is longer or shorter than the `Content-Length` that the plugin announced")]
    OtherLength,
}

/// Whether requests with this method may have a body. Servers differ in whether `get` is `GET`.
pub(super) fn is_allowed(method: &Method) -> bool {
    !WITHOUT_BODY.iter().any(|name| method.as_str().eq_ignore_ascii_case(name))
}

/// Whether a request with this method and without a body announces a length of 0.
pub(super) fn announces_none(method: &Method) -> bool {
    WITH_BODY.iter().any(|name| method.as_str().eq_ignore_ascii_case(name))
}

/// A body without bytes.
pub(super) fn empty() -> WasiBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Waits until the guest has finished `body` without having written to it, for at most `time`.
pub(super) async fn ends_empty(mut body: WasiBody, time: Duration) -> Result<(), BodyError> {
    let ended = async {
        while let Some(frame) = body.frame().await {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) if data.is_empty() => {}
                Ok(Err(trailers)) if is_without_trailers(&trailers) => {}
                Ok(Err(_)) => return Err(BodyError::Trailers),
                Ok(Ok(_)) => return Err(BodyError::NotAllowed),
                Err(_) => return Err(BodyError::OtherLength),
            }
        }
        Ok(())
    };
    tokio::time::timeout(time, ended).await.unwrap_or(Err(BodyError::Unfinished(time)))
}

fn is_without_trailers(frame: &Frame<Bytes>) -> bool {
    frame.trailers_ref().is_none_or(|trailers| trailers.is_empty())
}

/// What went wrong with a body while it was sent: hyper reports only that something did.
#[derive(Clone, Debug, Default)]
pub(super) struct BodyReport(Arc<Mutex<Option<BodyError>>>);

impl BodyReport {
    /// The error, if there was one.
    pub(super) fn error(&self) -> Option<BodyError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, error: BodyError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// A body with the length that the guest has announced, or in chunks, and without trailers.
pub(super) struct Outgoing {
    body: WasiBody,
    /// How many bytes are left, if a length was announced.
    left: Option<u64>,
    report: BodyReport,
}

impl Outgoing {
    /// Sends `body`, which has `length` bytes if that is known, and notes in `report` why it fails.
    pub(super) fn new(body: WasiBody, length: Option<u64>, report: &BodyReport) -> Outgoing {
        Outgoing { body, left: length, report: report.clone() }
    }

    fn fail(&self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.report.set(error);
        Poll::Ready(Some(Err(error.code())))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                return Poll::Pending;
            };
            let data = match frame.map(|frame| frame.map(Frame::into_data)) {
                None if self.left.is_none_or(|left| left == 0) => return Poll::Ready(None),
                // wasmtime aborts a body that the guest ends early with an error of its own.
                None | Some(Err(_)) => return self.fail(BodyError::OtherLength),
                Some(Ok(Err(trailers))) if is_without_trailers(&trailers) => continue,
                Some(Ok(Err(_))) => return self.fail(BodyError::Trailers),
                Some(Ok(Ok(data))) => data,
            };
            if let Some(left) = self.left {
                let Some(rest) = left.checked_sub(data.len() as u64) else {
                    return self.fail(BodyError::OtherLength);
                };
                self.left = Some(rest);
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    /// Of a body that is finished and empty, the end is known before anything is sent.
    fn is_end_stream(&self) -> bool {
        self.left.unwrap_or(0) == 0 && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl BodyError {
    /// For the guest.
    pub(super) fn code(self) -> Error {
        match self {
            BodyError::NotAllowed | BodyError::OtherLength | BodyError::Unfinished(_) => {
                Error::HttpRequestBodySize(None)
            }
            BodyError::Trailers => Error::HttpRequestTrailerSectionSize(Some(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::collections::VecDeque;

    use hyper::HeaderMap;
    use hyper::header::HeaderValue;

    use super::*;

    /// A body of these frames, which then ends or goes on without a word.
    struct Frames {
        frames: VecDeque<Frame<Bytes>>,
        ends: bool,
    }

    impl Body for Frames {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            match self.frames.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    fn body(frames: Vec<Frame<Bytes>>) -> WasiBody {
        Frames { frames: frames.into(), ends: true }.boxed_unsync()
    }

    fn data(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    fn trailers(count: usize) -> Frame<Bytes> {
        let mut trailers = HeaderMap::new();
        for _ in 0..count {
            trailers.append("x", HeaderValue::from_static("y"));
        }
        Frame::trailers(trailers)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_body_without_bytes_is_empty_and_no_other_is() {
        assert_eq!(ends_empty(empty(), SECOND).await, Ok(()));
        assert_eq!(ends_empty(body(vec![data(""), trailers(0)]), SECOND).await, Ok(()));
        let written = body(vec![data(""), data("x")]);
        assert_eq!(ends_empty(written, SECOND).await, Err(BodyError::NotAllowed));
        let trailed = body(vec![trailers(1)]);
        assert_eq!(ends_empty(trailed, SECOND).await, Err(BodyError::Trailers));
        let open = Frames { frames: VecDeque::new(), ends: false }.boxed_unsync();
        assert_eq!(ends_empty(open, SECOND).await, Err(BodyError::Unfinished(SECOND)));
    }

    /// What is sent of `frames` under an announced length, and what was reported.
    async fn sent(frames: Vec<Frame<Bytes>>, length: Option<u64>) -> (Vec<u8>, Option<BodyError>) {
        let report = BodyReport::default();
        let mut outgoing = Outgoing::new(body(frames), length, &report);
        let mut bytes = Vec::new();
        while let Some(Ok(frame)) = outgoing.frame().await {
            bytes.extend(frame.into_data().unwrap());
        }
        (bytes, report.error())
    }

    #[tokio::test]
    async fn what_is_sent_has_the_length_that_is_announced() {
        let two = || vec![data("ab"), data("c"), trailers(0)];
        assert_eq!(sent(two(), Some(3)).await, (b"abc".to_vec(), None));
        assert_eq!(sent(two(), None).await, (b"abc".to_vec(), None));
        assert_eq!(sent(two(), Some(2)).await, (b"ab".to_vec(), Some(BodyError::OtherLength)));
        assert_eq!(sent(two(), Some(4)).await, (b"abc".to_vec(), Some(BodyError::OtherLength)));
        assert_eq!(sent(two(), Some(0)).await, (Vec::new(), Some(BodyError::OtherLength)));
    }

    #[tokio::test]
    async fn trailers_are_not_sent() {
        let frames = vec![data("ab"), trailers(1)];
        assert_eq!(sent(frames, None).await, (b"ab".to_vec(), Some(BodyError::Trailers)));
    }

    #[test]
    fn methods_without_a_body_are_so_in_small_letters_too() {
        for name in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "Delete"] {
            assert!(!is_allowed(&Method::from_bytes(name.as_bytes()).unwrap()), "{name}");
        }
        for name in ["POST", "PUT", "PATCH", "PROPFIND", "GETS"] {
            assert!(is_allowed(&Method::from_bytes(name.as_bytes()).unwrap()), "{name}");
        }
    }
}
