//! Connections: the address that the egress policy has checked is the one that is dialled.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::SenderConfig;
use super::error::{ConnectTimeout, DnsError};
use super::server_name::server_name;
use crate::egress::{Egress, Refusal};
use crate::host::Host;

pub(super) type Connector = HttpsConnector<Guard>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn new(config: &SenderConfig) -> std::io::Result<Connector> {
    let guard = Guard { egress: Arc::new(config.egress.clone()), timeout: config.connect_timeout };
    let builder = HttpsConnectorBuilder::new().with_native_roots()?;
    let builder = builder.https_or_http().with_server_name_resolver(server_name);
    Ok(builder.enable_http1().enable_http2().wrap_connector(guard))
}

/// Resolves, checks, and dials what is left.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    egress: Arc<Egress>,
    timeout: Duration,
}

impl Guard {
    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
        let host = uri.host().unwrap_or_default();
        let https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let allowed = self.allowed(if https { "https" } else { "http" }, host, port).await?;
        self.dial(uri.clone(), allowed).await
    }

    /// Connects to one of these addresses, whatever the host would resolve to by now.
    async fn dial(&self, uri: Uri, allowed: Vec<SocketAddr>) -> Result<TokioIo<TcpStream>, BoxError> {
        let mut dial = HttpConnector::new_with_resolver(Fixed(allowed));
        dial.enforce_http(false);
        dial.set_nodelay(true);
        dial.set_connect_timeout(Some(self.timeout));
        // A host that is an address is dialled without asking the resolver: that address has been checked.
        Ok(dial.call(uri).await?)
    }

    /// The addresses of a host that may be reached; at least one.
    async fn allowed(&self, scheme: &str, host: &str, port: u16) -> Result<Vec<SocketAddr>, BoxError> {
        self.egress.check_name(scheme, host, port)?;
        let addresses: Vec<IpAddr> = match Host::parse(host)? {
            Host::Address(address) => vec![address],
            // The name as it came: a dot at its end keeps the resolver from trying search domains.
            Host::Name(_) => tokio::net::lookup_host((host, port))
                .await
                .map_err(DnsError)?
                .map(|address| address.ip())
                .collect(),
        };
        let mut refusal: Option<Refusal> = None;
        let mut allowed = Vec::with_capacity(addresses.len());
        for address in addresses {
            match self.egress.check(host, address, port) {
                Ok(()) => allowed.push(SocketAddr::new(address, port)),
                Err(refused) => refusal = refusal.or(Some(refused)),
            }
        }
        match refusal {
            Some(refusal) if allowed.is_empty() => Err(refusal.into()),
            _ if allowed.is_empty() => Err(DnsError(std::io::ErrorKind::NotFound.into()).into()),
            _ => Ok(allowed),
        }
    }
}

impl Service<Uri> for Guard {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let guard = self.clone();
        Box::pin(async move {
            let timeout = guard.timeout;
            // Over the lookup too, which the dialler's own timeout does not cover.
            match tokio::time::timeout(timeout, guard.connect(uri)).await {
                Ok(result) => result,
                Err(_) => Err(ConnectTimeout(timeout).into()),
            }
        })
    }
}

/// A resolver that knows its answer.
#[derive(Clone)]
struct Fixed(Vec<SocketAddr>);

impl Service<Name> for Fixed {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        std::future::ready(Ok(self.0.clone().into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn allowed(rules: &[&str], host: &str) -> Result<Vec<SocketAddr>, BoxError> {
        let allow = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let egress = Arc::new(Egress { allow, ..Egress::default() });
        let guard = Guard { egress, timeout: Duration::from_secs(5) };
        guard.allowed("http", host, 80).await
    }

    #[tokio::test]
    async fn every_spelling_of_a_private_address_is_refused() {
        for host in
            ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]"]
        {
            let error = allowed(&[], host).await.expect_err(host);
            assert!(error.is::<Refusal>(), "{host}: {error}");
        }
    }

    #[tokio::test]
    async fn what_is_allowed_is_dialled_on_its_port() {
        assert_eq!(allowed(&["127.0.0.0/8"], "127.0.0.1").await.unwrap(), ["127.0.0.1:80".parse().unwrap()]);
        assert!(allowed(&["127.0.0.0/8:81"], "127.0.0.1").await.is_err());
    }

    #[tokio::test]
    async fn what_was_checked_is_dialled_and_the_name_is_not_resolved_again() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let guard = Guard { egress: Arc::default(), timeout: Duration::from_secs(5) };
        // Names that no resolver knows, or knows as another address: only the checked address can be meant.
        for host in ["rebound.invalid", "localhost.", "2130706434"] {
            let uri = format!("http://{host}:{}/", address.port()).parse().unwrap();
            let stream = guard.dial(uri, vec![address]).await.expect(host);
            assert_eq!(stream.inner().peer_addr().unwrap(), address, "{host}");
        }
    }

    #[tokio::test]
    async fn what_the_name_alone_decides_is_refused_before_it_is_resolved() {
        let rules = |text: &str| vec![text.parse().unwrap()];
        for egress in [
            Egress { deny: rules("*.invalid"), ..Egress::default() },
            Egress { only: rules("example.org"), ..Egress::default() },
            Egress { ports: vec![443], ..Egress::default() },
            Egress { schemes: vec!["https".to_owned()], ..Egress::default() },
        ] {
            let guard = Guard { egress: Arc::new(egress), timeout: Duration::from_secs(5) };
            // A lookup would fail with another error.
            let error = guard.allowed("http", "host.invalid", 80).await.unwrap_err();
            assert!(error.is::<Refusal>(), "{error}");
        }
    }
}
