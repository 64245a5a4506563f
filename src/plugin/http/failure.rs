//! Why a request that was granted has no response: a code for the guest, and for the operator whose
//! fault it is and what would help.

use std::error::Error as _;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_rustls::rustls::{self, CertificateError};
use wasmtime_wasi_http::Error;

use crate::config::{Plugin, Target};
use crate::plugin::grants::toml_key;
use crate::plugin::voice::Loudness;

use super::body_error::BodyError;

/// Why there is no response.
#[derive(Debug)]
pub(super) enum Failure {
    /// It can't be sent over HTTP as it is.
    Request,
    /// Its body can't be sent.
    Body(BodyError),
    /// The host's name is not known.
    Lookup(io::Error),
    /// The host's name leads to this address, and may not.
    Elsewhere(IpAddr),
    /// Nobody accepts connections there.
    Connect { at: Target, error: io::Error },
    /// The socket can't be connected to.
    Socket { socket: PathBuf, error: io::Error },
    /// There is nobody whose certificates are trusted.
    NobodyTrusted,
    /// There is no agreement on TLS, or the certificate is none for this server.
    Tls(io::Error),
    /// There is no connection after so long.
    Slow(Duration),
    /// The response does not begin for as long as the guest wanted to wait.
    Silent,
    /// The server does not speak HTTP, or ends in the middle of it.
    Http(hyper::Error),
}

impl Failure {
    /// For the guest.
    pub(super) fn code(&self) -> Error {
        match self {
            Failure::Request => Error::HttpRequestUriInvalid,
            Failure::Body(error) => error.code(),
            Failure::Lookup(_) => {
                Error::DnsError { rcode: Some("address not available".to_owned()), info_code: None }
            }
            Failure::Elsewhere(_) => Error::DestinationIpProhibited,
            Failure::Connect { error, .. } | Failure::Socket { error, .. } => match error.kind() {
                io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
                io::ErrorKind::TimedOut => Error::ConnectionTimeout,
                io::ErrorKind::NotFound => Error::DestinationNotFound,
                io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                    Error::DestinationIpUnroutable
                }
                _ => Error::DestinationUnavailable,
            },
            Failure::NobodyTrusted => Error::TlsCertificateError,
            Failure::Tls(error) => match of_tls(error) {
                Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
                Some(rustls::Error::AlertReceived(alert)) => Error::TlsAlertReceived {
                    alert_id: Some(u8::from(*alert)),
                    alert_message: alert.as_str().map(str::to_owned),
                },
                _ => Error::TlsProtocolError,
            },
            Failure::Slow(_) => Error::ConnectionTimeout,
            Failure::Silent => Error::ConnectionReadTimeout,
            Failure::Http(error) => code(error),
        }
    }

    /// How much it matters to the operator. What can be an everyday matter, such as a server that is
    /// not up yet, is left to the plugin; what will be the same tomorrow is not.
    pub(super) fn loudness(&self) -> Loudness {
        match self {
            Failure::NobodyTrusted | Failure::Tls(_) => Loudness::Warning,
            Failure::Socket { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                Loudness::Warning
            }
            _ => Loudness::Debug,
        }
    }

    /// For the operator of `plugin`.
    pub(super) fn told(&self, plugin: &Plugin) -> String {
        match self {
            Failure::Request => "HTTP has no such request".to_owned(),
            Failure::Body(error) => error.to_string(),
            Failure::Lookup(error) => format!("the name leads nowhere: {error}"),
            Failure::Elsewhere(address) => format!("the name leads to {address}"),
            Failure::Connect { at, error } => format!("{at} can't be connected to: {error}"),
            Failure::Socket { socket, error } => {
                let help = match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        ". The user that Dormouse runs as has to be allowed to write to it, for \
                         example as a member of its group"
                    }
                    _ => "",
                };
                format!("{} can't be connected to: {error}{help}", socket.display())
            }
            Failure::NobodyTrusted => format!(
                "this machine has no certificates of authorities, so that nobody's is trusted. \
                 Install them (`ca-certificates`), or {}",
                own_authority(plugin)
            ),
            Failure::Tls(error) => match of_tls(error) {
                // An authority that was made anew has the old name and another key.
                Some(rustls::Error::InvalidCertificate(
                    CertificateError::UnknownIssuer | CertificateError::BadSignature,
                )) => {
                    format!(
                        "its certificate is signed by nobody whom this machine trusts. If it is \
                         yours, {}",
                        own_authority(plugin)
                    )
                }
                Some(error) => error.to_string(),
                None => error.to_string(),
            },
            Failure::Slow(time) => format!("there was no connection after {time:?}"),
            Failure::Silent => "the response took longer than the plugin wanted to wait".to_owned(),
            Failure::Http(error) => error.to_string(),
        }
    }
}

fn own_authority(plugin: &Plugin) -> String {
    format!(
        "name the file with the certificate of its authority under `[plugins.{}]`: \
         ca = \"./ca.pem\"",
        toml_key(&plugin.name)
    )
}

fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// For the guest: what the server did.
pub(super) fn code(error: &hyper::Error) -> Error {
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_incomplete_message() || ends_early(error) {
        Error::HttpResponseIncomplete
    } else if error.is_canceled() || error.is_closed() {
        Error::ConnectionTerminated
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else {
        Error::HttpProtocolError
    }
}

/// Whether the connection ended within the body.
fn ends_early(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof)
}
