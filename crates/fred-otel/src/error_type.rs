//! `error.type` of a Redis error.

use std::borrow::Cow;

use fred::error::{Error, ErrorKind};
use otel_facade::ErrorType;

/// The error type of a fred error: the prefix of a server's error reply (`WRONGTYPE`), else the kind of
/// fred's error.
pub fn error_type(error: &Error) -> ErrorType {
    if let Some(code) = reply_code(error) {
        return of_reply(code.to_owned());
    }
    match error.kind() {
        ErrorKind::Timeout => ErrorType::Timeout,
        ErrorKind::IO => ErrorType::ConnectionReset,
        ErrorKind::Canceled if is_broken_off(error) => ErrorType::ConnectionReset,
        ErrorKind::Tls => ErrorType::Tls,
        ErrorKind::Protocol | ErrorKind::Parse => ErrorType::Protocol,
        _ => ErrorType::Other,
    }
}

/// The prefix of a server's error reply (`WRONGTYPE`): 1 to 24 capital letters or `_`. `None` for errors that are no
/// reply, and for replies that begin in another way, so that no server can make up error types at will.
pub fn reply_code(error: &Error) -> Option<&str> {
    code_of(error.details())
}

fn code_of(reply: &str) -> Option<&str> {
    let prefix = reply.split([' ', ':']).next().unwrap_or_default();
    let is_code = (1..=24).contains(&prefix.len())
        && prefix.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_code.then_some(prefix)
}

/// The error type of a reply with that prefix.
pub(crate) fn of_reply(code: String) -> ErrorType {
    ErrorType::custom(code.into(), "the Redis server answered with an error")
}

/// The error type of a failure. `None` where the server did its work and the reply is empty (as after a transaction whose
/// watched keys have changed), and where the caller cancelled the command.
pub(crate) fn failure(error: &Error) -> Option<ErrorType> {
    match error.kind() {
        ErrorKind::NotFound => None,
        ErrorKind::Canceled if !is_broken_off(error) => None,
        _ => Some(error_type(error)),
    }
}

/// Error replies whose text is Redis' own. Others may be a script's, and contain its arguments.
const OWN: [&str; 18] = [
    "BUSY",
    "BUSYGROUP",
    "CLUSTERDOWN",
    "CROSSSLOT",
    "EXECABORT",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOAUTH",
    "NOGROUP",
    "NOPERM",
    "NOREPLICAS",
    "NOSCRIPT",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "WRONGPASS",
    "WRONGTYPE",
];

/// A failure in one sentence, for people. The sentence ends before Redis quotes an argument.
pub(crate) fn description(error: &Error, failure: &ErrorType) -> Cow<'static, str> {
    match failure {
        ErrorType::Custom { name, .. } if OWN.contains(&&**name) => {
            let text = error.details();
            let end = text.find(['\'', '"', '`']).unwrap_or(text.len());
            Cow::Owned(text[..end].trim_end().to_owned())
        }
        _ => Cow::Borrowed(failure.sentence()),
    }
}

/// fred has one kind for cancellations by the caller and by fred itself.
fn is_broken_off(error: &Error) -> bool {
    ["Connection closed unexpectedly", "Max reconnection attempts"]
        .iter()
        .any(|start| error.details().starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_a_reply_is_its_code_and_prose_has_none() {
        assert_eq!(code_of("WRONGTYPE Operation against a key"), Some("WRONGTYPE"));
        assert_eq!(code_of("NOGROUP: no such key"), Some("NOGROUP"));
        for text in ["no such thing", "", &"A".repeat(25)] {
            assert_eq!(code_of(text), None);
        }
    }

    #[test]
    fn a_reply_is_named_by_its_prefix_and_a_fault_by_its_kind() {
        let named = |kind, details: &'static str| error_type(&Error::new(kind, details));
        assert_eq!(named(ErrorKind::Unknown, "NOGROUP No such key"), of_reply("NOGROUP".into()));
        assert_eq!(named(ErrorKind::Timeout, "Request timed out."), ErrorType::Timeout);
        assert_eq!(named(ErrorKind::IO, "Connection refused"), ErrorType::ConnectionReset);
        assert_eq!(named(ErrorKind::Canceled, "Canceled."), ErrorType::Other);
    }

    #[test]
    fn a_description_repeats_nothing_that_was_sent() {
        let described = |details: &'static str| {
            let error = Error::new(ErrorKind::Unknown, details);
            description(&error, &error_type(&error)).into_owned()
        };
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(described(wrong), wrong);
        assert_eq!(described("NOGROUP No such key 'hunter2' or consumer group"), "NOGROUP No such key");
        for reply in ["ERR unknown command 'hunter2'", "CARD 4111 hunter2 was refused"] {
            assert_eq!(described(reply), "the Redis server answered with an error");
        }
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
