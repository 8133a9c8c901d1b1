//! What can end an attempt, and what it is called.

use std::error::Error;

use http_telemetry::causes;
use hyper_util::client::legacy;
use telemetry::ErrorType;

use crate::egress::Refusal;

/// What kept an attempt from an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("no answer within the deadline")]
    Timeout,
    #[error("the request failed")]
    Client(#[from] legacy::Error),
    #[error("the body broke off")]
    Body(#[from] hyper::Error),
}

/// The name of a host could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("the host cannot be resolved")]
pub(super) struct DnsError(#[source] pub(super) std::io::Error);

/// No connection within the connection's deadline, which is shorter than the attempt's.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(super) struct ConnectTimeout(pub(super) std::time::Duration);

pub(super) fn error_type(error: &(dyn Error + 'static)) -> ErrorType {
    for cause in causes(error) {
        if let Some(SendError::Timeout) = cause.downcast_ref() {
            return ErrorType::Timeout;
        }
        if cause.is::<ConnectTimeout>() {
            return ErrorType::Timeout;
        }
        if cause.is::<Refusal>() {
            return ErrorType::Refused;
        }
        if cause.is::<DnsError>() {
            return ErrorType::Dns;
        }
        if cause.is::<rustls::Error>() {
            return ErrorType::Tls;
        }
    }
    match http_telemetry::error_type(error) {
        ErrorType::Other => by_role(error),
        known => known,
    }
}

/// What the chain of causes does not tell, hyper's own flags may.
fn by_role(error: &(dyn Error + 'static)) -> ErrorType {
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
                return ErrorType::ConnectionReset;
            }
            if error.is_parse() {
                return ErrorType::Protocol;
            }
        }
    }
    for cause in causes(error) {
        match cause.downcast_ref() {
            Some(SendError::Body(_)) => return ErrorType::Body,
            Some(SendError::Client(error)) if error.is_connect() => return ErrorType::Connect,
            _ => {}
        }
    }
    ErrorType::Other
}

/// The error and its causes in one sentence. None of them holds a URL or a header of the job.
pub(super) fn sentence(error: &SendError) -> String {
    if let Some(refusal) = causes(error).find_map(|cause| cause.downcast_ref::<Refusal>()) {
        return refusal.to_string();
    }
    let mut text = String::new();
    for cause in causes(error) {
        let cause = cause.to_string();
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}
