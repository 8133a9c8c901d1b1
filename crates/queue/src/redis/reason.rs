//! Errors of Redis and its connection in words: fred shows the errors of the system and of TLS in their debug format.

use fred::error::{Error, ErrorKind};

/// The readable part of an error: an I/O error is shown as `Os { code: 111, kind: …, message: "Connection refused" }`, a
/// failed lookup as `Custom { kind: Uncategorized, error: "failed to lookup address information: …" }`, an error of rustls
/// as `Custom { kind: InvalidData, error: InvalidCertificate(UnknownIssuer) }`.
pub fn error_text(error: &Error) -> String {
    let details = error.details();
    if let Some(flaw) = argument(details, "InvalidCertificate(") {
        return format!(
            "its certificate cannot be trusted ({flaw}); it must be valid now, for that host, and issued by an \
             authority of the system or of the file that SSL_CERT_FILE names"
        );
    }
    if let Some(alert) = argument(details, "AlertReceived(") {
        return format!("the server ended the TLS handshake ({alert})");
    }
    let after = |start: &str| details.split_once(start).and_then(|(_, rest)| rest.split_once('"'));
    let message = after("message: \"").or_else(|| after("error: \""));
    message.map_or_else(|| details.trim_end_matches('.').to_owned(), |(message, _)| message.to_owned())
}

/// The reason why the first connection failed, with advice where it looks as if only one side spoke TLS: a server without TLS
/// waits for more bytes of the handshake, and one with TLS ends a connection that begins with a command, or sends an alert.
pub(super) fn of_first(error: &Error, is_tls: bool) -> String {
    let text = error_text(error);
    let is_not_redis = text.contains("Invalid frame type");
    match error.kind() {
        ErrorKind::Timeout => of_silence(&text, is_tls),
        _ if !is_tls && (is_not_redis || text.contains("reset by peer") || text.contains("closed")) => {
            let text = if is_not_redis { "it does not answer as Redis does" } else { &text };
            format!("{text}; does the server expect TLS? then write rediss in place of redis in the URL")
        }
        _ => text,
    }
}

/// As [`of_first`], if nothing has answered in time.
pub(super) fn of_silence(text: &str, is_tls: bool) -> String {
    match is_tls {
        true => {
            format!("{text}; does the server speak TLS? if not, write redis in place of rediss in the URL")
        }
        false => text.to_owned(),
    }
}

fn argument<'a>(details: &'a str, variant: &str) -> Option<&'a str> {
    let (_, rest) = details.split_once(variant)?;
    rest.split([',', ' ', '{', ')']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_readable() {
        let shown = |details: &'static str| error_text(&Error::new(ErrorKind::IO, details));
        let refused = r#"Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }"#;
        assert_eq!(shown(refused), "Connection refused");
        let lookup =
            r#"Custom { kind: Uncategorized, error: "failed to lookup address information: Unknown" }"#;
        assert_eq!(shown(lookup), "failed to lookup address information: Unknown");
        assert_eq!(shown("Connection closed."), "Connection closed");
        let alert = "Custom { kind: InvalidData, error: AlertReceived(CertificateRequired) }";
        assert_eq!(shown(alert), "the server ended the TLS handshake (CertificateRequired)");
    }

    #[test]
    fn a_side_without_tls_is_suspected() {
        let of = |kind, details: &'static str, is_tls| of_first(&Error::new(kind, details), is_tls);
        let expects = "does the server expect TLS?";
        assert!(of(ErrorKind::IO, r#"message: "Connection reset by peer""#, false).contains(expects));
        assert!(
            of(ErrorKind::Protocol, "Decode Error: frame_type: Invalid frame type", false).contains(expects)
        );
        assert!(!of(ErrorKind::IO, r#"message: "Connection reset by peer""#, true).contains(expects));
        assert!(!of(ErrorKind::IO, r#"message: "Connection refused""#, false).contains(expects));
        let speaks = "Request timed out; does the server speak TLS?";
        assert!(of(ErrorKind::Timeout, "Request timed out.", true).starts_with(speaks));
        assert_eq!(of(ErrorKind::Timeout, "Request timed out.", false), "Request timed out");
    }
}
