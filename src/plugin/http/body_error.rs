//! Why the body of a request is not sent.

use std::time::Duration;

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
