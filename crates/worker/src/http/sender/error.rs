//! Errors that end an attempt, their `error.type`, and whether the request may be repeated at once.

mod connecting;

use std::time::Duration;
use std::{error::Error, io};

use hyper_otel::causes;
use hyper_util::client::legacy;
use postrider_queue::names::WORKER_FAULT;
use rustls::CertificateError;
use telemetry::ErrorType;

use super::stream::Flood;
use crate::http::egress::Refusal;

pub(super) use connecting::{
    ConnectTimeout, DnsError, DnsTimeout, NetworkGone, NoConnection, NoLookupPermit, NoNameServer,
    ProxyError, TlsTimeout,
};

/// Any error on the way to a connection.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Why an attempt got no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("{}", phase.sentence(*limit))]
    Timeout {
        phase: Phase,
        /// The limit of the phase; `None` if it was that of the whole attempt.
        limit: Option<Duration>,
    },
    #[error("the request failed")]
    Client {
        #[source]
        error: legacy::Error,
        connection: Connection,
    },
    #[error("the body broke off")]
    Body(#[from] hyper::Error),
    #[error("the proxy requires a user and a password that it accepts (407)")]
    ProxyRefused,
}

/// The connection that ended a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// None could be made.
    None,
    /// It ended before it took the request, so nothing was sent.
    Unused,
    /// It was made for the request.
    New,
    /// It existed before, or was made for another request.
    Reused,
}

/// The progress of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connection,
    Upload,
    Headers,
    Body,
}

impl Phase {
    fn sentence(self, limit: Option<Duration>) -> String {
        let what = match self {
            Self::Connection => "no connection was ready",
            Self::Upload => "the request was not completely sent",
            Self::Headers => "no response headers arrived",
            Self::Body => "the response did not end",
        };
        match limit {
            Some(limit) => format!("{what} within {limit:?}"),
            None => format!("{what} before the attempt's deadline"),
        }
    }

    fn error_type(self) -> ErrorType {
        match self {
            Self::Connection => ErrorType::ConnectTimeout,
            Self::Upload => ErrorType::UploadTimeout,
            Self::Headers => ErrorType::HeadersTimeout,
            Self::Body => ErrorType::BodyTimeout,
        }
    }
}

pub(super) fn error_type(error: &(dyn Error + 'static)) -> ErrorType {
    match causes(error).find_map(own) {
        Some(known) => known,
        None => match hyper_otel::error_type(error) {
            ErrorType::Other => by_role(error),
            ErrorType::Timeout if is_connect(error) => ErrorType::ConnectTimeout,
            known => known,
        },
    }
}

/// Classifies the error types of this module and of the libraries below it.
fn own(cause: &(dyn Error + 'static)) -> Option<ErrorType> {
    match cause.downcast_ref() {
        Some(SendError::Timeout { phase, .. }) => return Some(phase.error_type()),
        Some(SendError::ProxyRefused) => return Some(ErrorType::Proxy),
        _ => {}
    }
    if is_own_fault(cause) {
        Some(WORKER_FAULT)
    } else if cause.is::<ProxyError>() {
        Some(ErrorType::Proxy)
    } else if cause.is::<ConnectTimeout>() {
        Some(ErrorType::ConnectTimeout)
    } else if cause.is::<TlsTimeout>() {
        Some(ErrorType::TlsTimeout)
    } else if cause.is::<Refusal>() {
        Some(ErrorType::Refused)
    } else if cause.is::<DnsError>() {
        Some(ErrorType::Dns)
    } else if cause.is::<DnsTimeout>() {
        Some(ErrorType::DnsTimeout)
    } else if cause.is::<NoLookupPermit>() || cause.is::<NoNameServer>() || cause.is::<NetworkGone>() {
        Some(WORKER_FAULT)
    } else if cause.is::<Flood>() {
        Some(ErrorType::Protocol)
    } else if cause.is::<rustls::Error>() {
        Some(ErrorType::Tls)
    } else {
        None
    }
}

/// Whether the worker itself lacks what a connection needs, whatever the destination.
fn is_own_fault(cause: &(dyn Error + 'static)) -> bool {
    /// Linux' numbers of EMFILE, ENFILE, ENETDOWN and ENOBUFS.
    const NUMBERS: [i32; 4] = [24, 23, 100, 105];
    /// EADDRNOTAVAIL: no port is free. A host without IPv6 reports it for IPv6 addresses.
    const NO_PORT: i32 = 99;
    let is_one = |error: &io::Error| error.raw_os_error().is_some_and(|number| NUMBERS.contains(&number));
    if let Some(NoConnection { address, error }) = cause.downcast_ref() {
        return is_one(error) || address.is_ipv4() && error.raw_os_error() == Some(NO_PORT);
    }
    match cause.downcast_ref() {
        Some(DnsError(error)) => is_one(error),
        None => cause.downcast_ref().is_some_and(is_one),
    }
}

fn is_connect(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(
        |cause| matches!(cause.downcast_ref(), Some(SendError::Client { error, .. }) if error.is_connect()),
    )
}

/// Classifies an error by hyper's flags if the types of its causes are not enough.
fn by_role(error: &(dyn Error + 'static)) -> ErrorType {
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            if error.is_parse_too_large() {
                return ErrorType::TooLarge;
            }
            if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
                return ErrorType::ConnectionReset;
            }
            if error.is_parse() {
                return ErrorType::Protocol;
            }
        }
        // HTTP/2 passes on the kind of an I/O error, and not its cause, as of a flood.
        let invalid = |error: &io::Error| error.kind() == io::ErrorKind::InvalidData;
        if cause.is::<h2::Error>() || cause.downcast_ref().is_some_and(invalid) {
            return ErrorType::Protocol;
        }
    }
    if causes(error).any(|cause| matches!(cause.downcast_ref(), Some(SendError::Body(_)))) {
        return ErrorType::Body;
    }
    if is_connect(error) { ErrorType::Connect } else { ErrorType::Other }
}

/// Whether the request may be sent again at once, within the same attempt. This holds if it was not sent, or if the
/// destination reports that it has not processed it (RFC 9113 §8.7). It also holds if the destination closed a
/// reused connection before the head of a response: then it most likely closed an idle connection while the
/// request was under way (RFC 9112 §9.3.1). It may have processed the request all the same, but every request
/// has an idempotency key, and the next attempt would repeat it in the same way.
pub(super) fn may_repeat(error: &SendError) -> bool {
    let SendError::Client { connection, .. } = error else { return false };
    let unprocessed =
        |error: &h2::Error| error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
    match connection {
        Connection::None => false,
        Connection::Unused => true,
        Connection::New => by_peer(error).is_some_and(unprocessed),
        Connection::Reused => {
            by_peer(error).is_some_and(unprocessed) || error_type(error) == ErrorType::ConnectionReset
        }
    }
}

/// Whether the destination wants HTTP/1.1 for this request (RFC 9113 §7).
pub(super) fn needs_http1(error: &SendError) -> bool {
    by_peer(error).is_some_and(|error| error.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED))
}

/// The HTTP/2 error that the destination sent.
fn by_peer(error: &SendError) -> Option<&h2::Error> {
    causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>()).find(|error| error.is_remote())
}

/// The error and its causes in one sentence, starting with where it happened. None of them contains a URL or a
/// header of the job.
pub(super) fn sentence(error: &SendError, place: &str) -> String {
    sentence_from(error, place.to_owned())
}

/// The same for a span, which has the place in other attributes.
pub(super) fn description(error: &(dyn Error + 'static)) -> String {
    sentence_from(error, String::new())
}

fn sentence_from(error: &(dyn Error + 'static), mut text: String) -> String {
    if let Some(refusal) = causes(error).find_map(|cause| cause.downcast_ref::<Refusal>()) {
        return refusal.to_string();
    }
    for cause in causes(error) {
        let cause = cause.to_string();
        // The error of hyper's client adds nothing to its cause.
        if (!text.is_empty() && text.ends_with(&cause)) || cause.starts_with("client error (") {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    if let Some(hint) = causes(error).find_map(|cause| cause.downcast_ref().and_then(hint)) {
        text.push_str(hint);
    }
    text
}

/// What to do about a failed handshake.
fn hint(error: &rustls::Error) -> Option<&'static str> {
    use CertificateError::{BadSignature, Other, UnknownIssuer};
    match error {
        rustls::Error::InvalidMessage(_) => Some("; it speaks no TLS here; is it http?"),
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature | Other(_)) => Some(
            "; if the certificate is self-signed or of your own authority, name its file in `ca_files` in [http] \
             of the configuration",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
