//! `error.type`, the same on spans and metrics.

use std::borrow::Cow;

/// Why an operation failed, as `error.type` names it. Of low cardinality by construction.
///
/// Semantic conventions 1.44.0, `docs/general/recording-errors.md`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorType {
    /// A deadline passed.
    Timeout,
    /// No connection could be made.
    Connect,
    /// No connection within its deadline.
    ConnectTimeout,
    /// The name of the host could not be resolved.
    Dns,
    /// The name of the host was not resolved within the deadline of a lookup.
    DnsTimeout,
    /// The TLS handshake failed.
    Tls,
    /// The TLS handshake did not end within its deadline.
    TlsTimeout,
    /// The peer did not accept the request within the deadline.
    UploadTimeout,
    /// The request was sent, and the head of the response did not come within the deadline.
    HeadersTimeout,
    /// The head of the response came, and its body did not end within the deadline.
    BodyTimeout,
    /// The outbound proxy failed.
    Proxy,
    /// The connection broke while it was in use.
    ConnectionReset,
    /// The peer broke the protocol.
    Protocol,
    /// The body could not be sent or read to its end.
    Body,
    /// A message exceeds its limit.
    TooLarge,
    /// A rule of the program forbids the operation.
    Refused,
    /// The input could not be understood.
    Malformed,
    /// The code panicked.
    Panic,
    /// An HTTP status code that is an error, 400 to 999.
    Status(u16),
    /// A name of the program's or of an instrumentation's own; see [`ErrorType::custom`].
    Custom {
        /// The text of the attribute.
        name: Cow<'static, str>,
        /// What it means, in one sentence.
        sentence: &'static str,
    },
    /// None of these.
    Other,
}

impl ErrorType {
    /// An error type with its own name. There must be few names: one that comes from outside must be from a known
    /// set, or bounded in form.
    pub const fn custom(name: Cow<'static, str>, sentence: &'static str) -> Self {
        Self::Custom { name, sentence }
    }

    /// The text of the attribute.
    pub fn as_str(&self) -> Cow<'static, str> {
        match self {
            Self::Status(code) => Cow::Owned(code.to_string()),
            Self::Custom { name, .. } => name.clone(),
            _ => Cow::Borrowed(self.known()),
        }
    }

    /// The meaning in one sentence: the description of a failed span whose caller gives no other. Empty for a status
    /// code, which needs none (`docs/http/http-spans.md`, "Status").
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::Timeout => "a deadline passed",
            Self::Connect => "no connection could be made",
            Self::ConnectTimeout => "no connection was made within its deadline",
            Self::Dns => "the host could not be resolved",
            Self::DnsTimeout => "the host was not resolved within the deadline of a lookup",
            Self::Tls => "the TLS handshake failed",
            Self::TlsTimeout => "the TLS handshake did not end within its deadline",
            Self::UploadTimeout => "the peer did not take the request within the deadline",
            Self::HeadersTimeout => "the head of the response did not come within the deadline",
            Self::BodyTimeout => "the body of the response did not come to an end within the deadline",
            Self::Proxy => "the outbound proxy failed",
            Self::ConnectionReset => "the connection broke while it was in use",
            Self::Protocol => "the peer broke the protocol",
            Self::Body => "the body could not be sent or read to its end",
            Self::TooLarge => "more came than is allowed",
            Self::Refused => "a rule of this program forbids it",
            Self::Malformed => "the input could not be understood",
            Self::Panic => "the code panicked",
            Self::Status(_) => "",
            Self::Custom { sentence, .. } => sentence,
            Self::Other => "it failed for an unknown reason",
        }
    }

    fn known(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Dns => "dns",
            Self::DnsTimeout => "dns_timeout",
            Self::Tls => "tls",
            Self::TlsTimeout => "tls_timeout",
            Self::UploadTimeout => "upload_timeout",
            Self::HeadersTimeout => "headers_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::Proxy => "proxy",
            Self::ConnectionReset => "connection_reset",
            Self::Protocol => "protocol",
            Self::Body => "body",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Panic => "panic",
            // The convention's fallback value.
            Self::Other | Self::Status(_) | Self::Custom { .. } => "_OTHER",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[test]
    fn a_custom_type_has_its_name_and_its_sentence() {
        const FULL: ErrorType = ErrorType::custom(Cow::Borrowed("full"), "the box is full");
        assert_eq!((FULL.as_str(), FULL.sentence()), ("full".into(), "the box is full"));
        assert_eq!(Value::from(&FULL), Value::Static("full"));
    }
}
