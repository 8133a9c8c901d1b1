//! Errors on the way to a connection.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use super::BoxError;

/// The name of a host could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("the host cannot be resolved")]
pub(in crate::http::sender) struct DnsError(#[source] pub(in crate::http::sender) std::io::Error);

/// The lookup of a name took too long.
#[derive(Debug, thiserror::Error)]
#[error("the host was not resolved within {0:?}")]
pub(in crate::http::sender) struct DnsTimeout(pub(in crate::http::sender) Duration);

/// All permits were taken by other lookups, so this one did not begin. That is no fault of the destination.
#[derive(Debug, thiserror::Error)]
#[error("too many other names were being resolved for {0:?}")]
pub(in crate::http::sender) struct NoLookupPermit(pub(in crate::http::sender) Duration);

/// The name servers answer nothing at all. That is no fault of the destination.
#[derive(Debug, thiserror::Error)]
#[error("no name server answers; see /etc/resolv.conf")]
pub(in crate::http::sender) struct NoNameServer;

/// No address of a host accepted a connection. This is the first failure.
#[derive(Debug, thiserror::Error)]
#[error("no connection to {address}")]
pub(in crate::http::sender) struct NoConnection {
    pub(in crate::http::sender) address: SocketAddr,
    #[source]
    pub(in crate::http::sender) error: std::io::Error,
}

impl NoConnection {
    /// Whether there is no way to the address: ENETUNREACH or EHOSTUNREACH.
    pub(in crate::http::sender) fn is_unreachable(&self) -> bool {
        matches!(self.error.kind(), ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable)
    }
}

/// There is no way to this address, nor to any other. That is no fault of the destination.
#[derive(Debug, thiserror::Error)]
#[error("this machine reaches no destination; is its network up?")]
pub(in crate::http::sender) struct NetworkGone(#[source] pub(in crate::http::sender) NoConnection);

/// No connection within the connection's deadline, which is shorter than the attempt's.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(in crate::http::sender) struct ConnectTimeout(pub(in crate::http::sender) Duration);

/// The handshake took too long.
#[derive(Debug, thiserror::Error)]
#[error("the TLS handshake did not end within {0:?}")]
pub(in crate::http::sender) struct TlsTimeout(pub(in crate::http::sender) Duration);

/// The proxy could not be reached, or did not connect to the destination.
#[derive(Debug, thiserror::Error)]
#[error("the proxy {place} failed")]
pub(in crate::http::sender) struct ProxyError {
    pub(in crate::http::sender) place: String,
    #[source]
    pub(in crate::http::sender) error: BoxError,
}
