//! `error.type` of an HTTP client's error.

use std::error::Error;
use std::io;

use otel_facade::ErrorType;

/// The error type of a client's error, from the chain of its causes: a broken connection, a refused one, a
/// timeout. Other types of errors are [`ErrorType::Other`]; a caller that knows them classifies
/// them first ([`Options::classify`](crate::Options::classify)).
pub fn error_type(error: &(dyn Error + 'static)) -> ErrorType {
    for cause in causes(error) {
        let Some(error) = cause.downcast_ref::<io::Error>() else { continue };
        match error.kind() {
            io::ErrorKind::TimedOut => return ErrorType::Timeout,
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable => return ErrorType::Connect,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof => return ErrorType::ConnectionReset,
            _ => {}
        }
    }
    ErrorType::Other
}

/// An error and all its causes, from the outside in: also what an I/O error wraps, which is not its source.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        };
        Some(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_counts_and_not_its_wrapping() {
        let inner = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(error_type(&io::Error::other(inner)), ErrorType::Connect);
        assert_eq!(error_type(&io::Error::from(io::ErrorKind::BrokenPipe)), ErrorType::ConnectionReset);
        assert_eq!(error_type(&io::Error::other("what")), ErrorType::Other);
    }
}
