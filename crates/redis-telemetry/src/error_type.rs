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
            ErrorKind::Tls => ErrorType::Tls,
            ErrorKind::Protocol | ErrorKind::Parse => ErrorType::Protocol,
            _ => ErrorType::Other,
        },
        prefix => prefix,
    }
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
}
