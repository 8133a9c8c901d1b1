//! Attributes of this crate, which the semantic conventions have no names for.

/// Whether the request went out on a connection that was there before.
pub(crate) const CONNECTION_REUSED: &str = "hyper.connection.reused";
/// Seconds that the attempt's new connection took to look up the name.
pub(crate) const DNS_DURATION: &str = "hyper.dns.duration";
/// Seconds that the attempt's new connection took to connect, with a proxy's part where there is one.
pub(crate) const CONNECT_DURATION: &str = "hyper.connect.duration";
/// Seconds that the TLS handshake of the attempt's new connection took.
pub(crate) const TLS_DURATION: &str = "hyper.tls.duration";
/// Seconds from the beginning of the attempt to the head of the response.
pub(crate) const FIRST_BYTE_DURATION: &str = "hyper.first_byte.duration";
/// Seconds from the head of the response to the end of its body.
pub(crate) const BODY_DURATION: &str = "hyper.body.duration";
