//! Makes connections. The worker dials the same address that the egress policy has checked.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use http::Uri;
use hyper_otel::Connections;
use postrider_queue::job::{Host, port_of};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;
use tracing::{Instrument, Span, debug_span};

use super::dial::dial;
use super::dialled::Measured;
use super::error::{BoxError, ConnectTimeout, DnsError, NetworkGone, ProxyError, TlsTimeout, error_type};
use super::machine::Machine;
use super::proxy::{Proxy, is_exempt};
use super::resolver::Resolver;
use super::server_name::server_name;
use super::settings::HttpConfig;
use super::stream::{OpenCount, Paced, Stream};
use super::tls::http1_only;
use super::tunnel::tunnel;
use crate::http::egress::{Egress, Refusal};

/// Makes connections: resolves the host, checks its addresses, dials the allowed ones, and makes the TLS
/// handshake. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connector(Arc<Shared>);

#[derive(Clone, Debug)]
struct Shared {
    egress: Egress,
    http: HttpConfig,
    tls: Arc<ClientConfig>,
    resolver: Resolver,
    machine: Machine,
    open: OpenCount,
    connections: Connections,
}

impl Connector {
    pub(super) fn new(
        egress: Egress,
        http: HttpConfig,
        tls: Arc<ClientConfig>,
        resolver: Resolver,
        machine: Machine,
        open: OpenCount,
        connections: Connections,
    ) -> Self {
        Self(Arc::new(Shared { egress, http, tls, resolver, machine, open, connections }))
    }

    /// The same without HTTP/2.
    pub(super) fn http1_only(&self) -> Self {
        Self(Arc::new(Shared { tls: http1_only(&self.0.tls), ..(*self.0).clone() }))
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.0);
        let measured = Measured::begin(shared.connections.begin(&uri));
        Box::pin(async move { shared.connect(uri, measured).await })
    }
}

/// The proxy that requests to a URL go through.
pub(super) fn proxy_of<'a>(http: &'a HttpConfig, uri: &Uri) -> Option<&'a Proxy> {
    http.proxy.as_ref().filter(|_| !is_exempt(uri.host().unwrap_or_default(), port_of(uri), &http.no_proxy))
}

impl Shared {
    async fn connect(&self, uri: Uri, measured: Measured) -> Result<Stream, BoxError> {
        let https = uri.scheme_str() == Some("https");
        let proxy = proxy_of(&self.http, &uri);
        let timeout = self.http.connect_timeout;
        let reached = match proxy {
            None => within(timeout, self.direct(&uri, &measured)).await?,
            Some(proxy) => {
                self.check_unresolved(&uri).await?;
                let through = within(timeout, self.through(proxy, &uri, https, &measured)).await;
                through.map_err(|error| ProxyError { place: place(&proxy.uri), error })?
            }
        };
        let open = self.open.open();
        measured.making.reached(reached.peer_addr().ok());
        let reached = Paced::new(reached);
        if !https {
            return Ok(Stream::plain(reached, proxy.is_some(), open, measured));
        }
        let name = server_name(&uri)?;
        let tls = TlsConnector::from(Arc::clone(&self.tls));
        let handshake = measured.tls(tls.connect(name, reached)).instrument(debug_span!("secure"));
        match tokio::time::timeout(self.http.tls_timeout, handshake).await {
            Ok(secured) => Ok(Stream::tls(secured?, open, measured)),
            Err(_) => Err(TlsTimeout(self.http.tls_timeout).into()),
        }
    }

    async fn direct(&self, uri: &Uri, measured: &Measured) -> Result<TcpStream, BoxError> {
        let addresses = self.allowed(uri, Some(measured)).await?;
        measured.connect(self.to_first(&addresses)).await
    }

    /// Distinguishes a network that is gone from a destination that is.
    async fn to_first(&self, addresses: &[SocketAddr]) -> Result<TcpStream, BoxError> {
        match dial(addresses).await {
            Ok(stream) => {
                self.machine.network.reached();
                Ok(stream)
            }
            Err(error)
                if error.is_unreachable() && self.machine.network.is_gone(error.address, Instant::now()) =>
            {
                Err(NetworkGone(error).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The operator chooses the proxy, not a job, so its address is not checked.
    async fn through(
        &self,
        proxy: &Proxy,
        uri: &Uri,
        https: bool,
        measured: &Measured,
    ) -> Result<TcpStream, BoxError> {
        let addresses = self.addresses(proxy.uri.host().unwrap_or_default(), Some(measured)).await?;
        let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port_of(&proxy.uri)));
        let addresses: Vec<SocketAddr> = addresses.collect();
        let reach = async {
            let stream = self.to_first(&addresses).await?;
            if https { tunnel(stream, &place(uri), proxy.authorization.as_ref()).await } else { Ok(stream) }
        };
        measured.connect(reach).await
    }

    /// The allowed addresses of a host; at least one.
    async fn allowed(&self, uri: &Uri, measured: Option<&Measured>) -> Result<Vec<SocketAddr>, BoxError> {
        let (scheme, host, port) =
            (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default(), port_of(uri));
        self.egress.check_name(scheme, host, port)?;
        let mut refusal: Option<Refusal> = None;
        let (mut allowed, own) = (Vec::new(), self.machine.own.get(Instant::now()));
        for address in self.addresses(host, measured).await? {
            let checked = self.egress.check(host, address, port);
            match checked.and_then(|()| self.egress.check_own(host, address, port, &own)) {
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

    /// Checks what needs no name server: the proxy resolves the name.
    async fn check_unresolved(&self, uri: &Uri) -> Result<(), BoxError> {
        let host = uri.host().unwrap_or_default();
        match Host::parse(host)? {
            name @ Host::Name(_) if !name.is_localhost() => {
                self.egress.check_name(uri.scheme_str().unwrap_or_default(), host, port_of(uri))?;
            }
            _ => {
                self.allowed(uri, None).await?;
            }
        }
        Ok(())
    }

    async fn addresses(&self, host: &str, measured: Option<&Measured>) -> Result<Vec<IpAddr>, BoxError> {
        match (Host::parse(host)?, measured) {
            (Host::Address(address), _) => Ok(vec![address]),
            // The name unchanged: a dot at its end keeps the resolver from trying search domains.
            (Host::Name(_), None) => self.resolver.lookup(host).instrument(resolving(host)).await,
            (Host::Name(_), Some(measured)) => {
                let lookup = self.resolver.lookup(host).instrument(resolving(host));
                measured.dns(host, |error| error_type(&**error), lookup).await
            }
        }
    }
}

async fn within<T>(
    timeout: Duration,
    connecting: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    // This includes the lookup.
    match tokio::time::timeout(timeout, connecting).await {
        Ok(result) => result,
        Err(_) => Err(ConnectTimeout(timeout).into()),
    }
}

/// The span of a lookup, for `POSTRIDER_TRACE_INTERNALS`: a child of the attempt that waits for it. If the
/// log level is above debug, the macro compares two numbers and creates nothing.
fn resolving(host: &str) -> Span {
    debug_span!("resolve", server.address = host)
}

/// `HOST:PORT` of a URL, for logs and errors.
pub(super) fn place(uri: &Uri) -> String {
    format!("{}:{}", uri.host().unwrap_or_default(), port_of(uri))
}

#[cfg(test)]
mod tests {
    use hyper_otel::ConnectionOptions;

    use super::super::tls;
    use super::*;

    fn shared(egress: Egress) -> Shared {
        let http = HttpConfig::default();
        let tls = tls::client(&http, &tls::Trusted::nobody(), None).unwrap();
        let resolver = Resolver::new(Duration::from_secs(5), true);
        let connections = Connections::new(&telemetry::Telemetry::disabled(), ConnectionOptions::default());
        let (machine, open) = (Machine::new(), OpenCount::default());
        Shared { egress, http, tls, resolver, machine, open, connections }
    }

    fn uri(host: &str) -> Uri {
        format!("http://{host}/").parse().unwrap()
    }

    async fn allowed(rules: &[&str], host: &str) -> Result<Vec<SocketAddr>, BoxError> {
        let allow = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        shared(Egress { allow, ..Egress::default() }).allowed(&uri(host), None).await
    }

    const PRIVATE: [&str; 7] =
        ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]"];

    #[tokio::test]
    async fn every_spelling_of_a_private_address_is_refused() {
        for host in PRIVATE {
            let error = allowed(&[], host).await.expect_err(host);
            assert!(error.is::<Refusal>(), "{host}: {error}");
        }
    }

    #[tokio::test]
    async fn a_private_address_is_refused_before_the_proxy() {
        let shared = shared(Egress::default());
        for host in PRIVATE {
            let error = shared.check_unresolved(&uri(host)).await.expect_err(host);
            assert!(error.is::<Refusal>(), "{host}: {error}");
        }
        assert!(shared.check_unresolved(&uri("does-not-exist.invalid")).await.is_ok());
    }

    #[tokio::test]
    async fn an_allowed_address_is_dialled_on_its_port() {
        assert_eq!(allowed(&["127.0.0.0/8"], "127.0.0.1").await.unwrap(), ["127.0.0.1:80".parse().unwrap()]);
        assert!(allowed(&["127.0.0.0/8:81"], "127.0.0.1").await.is_err());
    }

    #[tokio::test]
    async fn a_name_that_no_rule_admits_is_refused_before_it_is_resolved() {
        let rules = |text: &str| vec![text.parse().unwrap()];
        for egress in [
            Egress { deny: rules("*.invalid"), ..Egress::default() },
            Egress { only: rules("example.org"), ..Egress::default() },
            Egress { ports: vec![443], ..Egress::default() },
            Egress { schemes: vec!["https".to_owned()], ..Egress::default() },
        ] {
            let shared = shared(egress);
            // A lookup would fail with another error.
            let error = shared.allowed(&uri("host.invalid"), None).await.unwrap_err();
            assert!(error.is::<Refusal>(), "{error}");
            assert!(shared.check_unresolved(&uri("host.invalid")).await.unwrap_err().is::<Refusal>());
        }
    }
}
