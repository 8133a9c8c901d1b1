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
use crate::egress::{Egress, Refusal};

pub(super) type Connector = HttpsConnector<Guard>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn new(config: &SenderConfig) -> std::io::Result<Connector> {
    let guard = Guard { egress: Arc::new(config.egress.clone()), timeout: config.connect_timeout };
    let builder = HttpsConnectorBuilder::new().with_native_roots()?;
    Ok(builder.https_or_http().enable_http1().enable_http2().wrap_connector(guard))
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
        let allowed = self.allowed(host, port).await?;
        let mut dial = HttpConnector::new_with_resolver(Fixed(allowed));
        dial.enforce_http(false);
        dial.set_nodelay(true);
        dial.set_connect_timeout(Some(self.timeout));
        // A host that is an address is dialled without asking the resolver: that address has been checked.
        Ok(dial.call(uri.clone()).await?)
    }

    /// The addresses of a host that may be reached; at least one.
    async fn allowed(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, BoxError> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let addresses: Vec<IpAddr> = match bare.parse() {
            Ok(address) => vec![address],
            // The system's resolver reads 0x7f.1 and 2130706433 too: what it makes of them is checked.
            Err(_) => tokio::net::lookup_host((bare, port))
                .await
                .map_err(DnsError)?
                .map(|address| address.ip())
                .collect(),
        };
        let mut refusal: Option<Refusal> = None;
        let mut allowed = Vec::with_capacity(addresses.len());
        for address in addresses {
            match self.egress.check(bare, address, port) {
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
        let guard = Guard { egress: Arc::new(Egress { allow }), timeout: Duration::from_secs(5) };
        guard.allowed(host, 80).await
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
}
