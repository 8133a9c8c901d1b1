//! What a Redis error is called in `error.type`.

use fred::error::{Error, ErrorKind};
use telemetry::ErrorType;

/// The error type of a fred error: the prefix of a server's error reply (`WRONGTYPE`), else what went wrong
/// on the way.
pub fn error_type(error: &Error) -> ErrorType {
    match ErrorType::redis(error.details()) {
        ErrorType::Other => match error.kind() {
            ErrorKind::Timeout => ErrorType::Timeout,
            ErrorKind::IO => ErrorType::ConnectionReset,
            ErrorKind::Canceled if is_broken_off(error) => ErrorType::ConnectionReset,
            ErrorKind::Tls => ErrorType::Tls,
            ErrorKind::Protocol | ErrorKind::Parse => ErrorType::Protocol,
            _ => ErrorType::Other,
        },
        prefix => prefix,
    }
}

/// What a span calls a failure; `None` where the server did as it was told and the caller got less than it had hoped
/// for (nothing, as of a transaction whose watched keys have changed), and where the caller has broken it off.
pub(crate) fn failure(error: &Error) -> Option<ErrorType> {
    match error.kind() {
        ErrorKind::NotFound => None,
        ErrorKind::Canceled if !is_broken_off(error) => None,
        _ => Some(error_type(error)),
    }
}

/// fred has one kind for what its user cancels and for what it gives up itself.
fn is_broken_off(error: &Error) -> bool {
    ["Connection closed unexpectedly", "Max reconnection attempts"]
        .iter()
        .any(|start| error.details().starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_named_by_its_prefix_and_a_fault_by_its_kind() {
        let named = |kind, details: &'static str| error_type(&Error::new(kind, details));
        assert_eq!(named(ErrorKind::Unknown, "NOGROUP No such key"), ErrorType::Redis("NOGROUP".into()));
        assert_eq!(named(ErrorKind::Timeout, "Request timed out."), ErrorType::Timeout);
        assert_eq!(named(ErrorKind::IO, "Connection refused"), ErrorType::ConnectionReset);
        assert_eq!(named(ErrorKind::Canceled, "Canceled."), ErrorType::Other);
    }

    #[test]
    fn what_the_caller_breaks_off_and_an_answer_of_nothing_are_no_failures() {
        let failed = |kind, details: &'static str| failure(&Error::new(kind, details));
        assert_eq!(failed(ErrorKind::Canceled, "Canceled."), None);
        assert_eq!(failed(ErrorKind::NotFound, "The response was nil"), None);
        let broken = failed(ErrorKind::Canceled, "Connection closed unexpectedly.");
        assert_eq!(broken, Some(ErrorType::ConnectionReset));
        assert_eq!(failed(ErrorKind::Timeout, "Request timed out."), Some(ErrorType::Timeout));
    }
}
