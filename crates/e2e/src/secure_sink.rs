//! A destination over TLS that responds with little work, at once or after a delay, at one address or many, and counts
//! handshakes.
//!
//! It runs on its own thread until it is dropped.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::PrivateKeyDer;
use rustls::{HandshakeKind, ServerConfig};
use tempfile::NamedTempFile;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::background::Background;
use crate::quick_sink::{UnderWay, accepted};

/// The protocol of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1; connections stay open.
    Http1,
    /// HTTP/1.1; each connection closes after its first response.
    Http1Closing,
    /// HTTP/2.
    Http2,
}

/// A running destination.
pub struct SecureSink {
    urls: Vec<String>,
    certificate: NamedTempFile,
    seen: Arc<Seen>,
    _server: Background,
}

#[derive(Default)]
struct Seen {
    full: AtomicU64,
    resumed: AtomicU64,
    under_way: AtomicUsize,
}

/// Streams of one HTTP/2 connection. Servers on the Internet allow some hundred.
const STREAMS_MAX: u32 = 20_000;

/// Handshakes since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshakes {
    /// With a certificate.
    pub full: u64,
    /// That resume an earlier session.
    pub resumed: u64,
}

impl SecureSink {
    /// Starts it at that many addresses of the loopback network.
    ///
    /// # Panics
    ///
    /// If no port is free, or there are more than 250 hosts.
    pub fn start(protocol: Protocol, hosts: u8) -> SecureSink {
        SecureSink::start_slow(protocol, hosts, Duration::ZERO)
    }

    /// The same, and it responds after `delay`.
    ///
    /// # Panics
    ///
    /// As [`SecureSink::start`].
    pub fn start_slow(protocol: Protocol, hosts: u8, delay: Duration) -> SecureSink {
        assert!((1..=250).contains(&hosts), "{hosts} hosts");
        let listeners = listen(hosts);
        let addresses: Vec<SocketAddr> =
            listeners.iter().map(|listener| listener.local_addr().expect("it has an address")).collect();
        let names = addresses.iter().map(|address| address.ip().to_string());
        let made = rcgen::generate_simple_self_signed(names.collect::<Vec<_>>());
        let made = made.expect("a certificate can be made");
        let mut certificate = NamedTempFile::new().expect("the folder for temporary files can be written");
        certificate.write_all(made.cert.pem().as_bytes()).expect("a new file can be written");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let mut server =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .expect("ring has TLS 1.3")
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .expect("the key is that of the certificate");
        let name: &[u8] = if protocol == Protocol::Http2 { b"h2" } else { b"http/1.1" };
        server.alpn_protocols = vec![name.to_vec()];
        server.ticketer = rustls::crypto::ring::Ticketer::new().expect("the machine has random numbers");
        let (acceptor, seen) = (TlsAcceptor::from(Arc::new(server)), Arc::new(Seen::default()));
        let serve = serve(listeners, acceptor, seen.clone(), (protocol, delay));
        let urls = addresses.iter().map(|address| format!("https://{address}/")).collect();
        SecureSink { urls, certificate, seen, _server: Background::start("secure sink", serve) }
    }

    /// A URL for each address.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The file of the certificate that clients must trust.
    pub fn certificate(&self) -> &Path {
        self.certificate.path()
    }

    /// How many requests it has received and not answered.
    pub fn under_way(&self) -> usize {
        self.seen.under_way.load(Ordering::Relaxed)
    }

    /// How many handshakes there were.
    pub fn handshakes(&self) -> Handshakes {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Handshakes { full: count(&self.seen.full), resumed: count(&self.seen.resumed) }
    }
}

/// A free port of each address.
fn listen(hosts: u8) -> Vec<TcpListener> {
    let at = |host: u8| {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 2, host), 0))?;
        listener.set_nonblocking(true)?;
        Ok::<_, std::io::Error>(listener)
    };
    (1..=hosts).map(|host| at(host).expect("a port of the loopback network is free")).collect()
}

async fn serve(
    listeners: Vec<TcpListener>,
    acceptor: TlsAcceptor,
    seen: Arc<Seen>,
    answers: (Protocol, Duration),
) {
    let accept = |listener| {
        let (acceptor, seen) = (acceptor.clone(), seen.clone());
        async move {
            let listener =
                tokio::net::TcpListener::from_std(listener).expect("the runtime takes the listener");
            loop {
                let stream = accepted(&listener).await;
                tokio::spawn(connection(stream, acceptor.clone(), seen.clone(), answers));
            }
        }
    };
    futures_util::future::join_all(listeners.into_iter().map(accept)).await;
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    seen: Arc<Seen>,
    answers: (Protocol, Duration),
) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    if is_resumed { &seen.resumed } else { &seen.full }.fetch_add(1, Ordering::Relaxed);
    let respond = service_fn(move |request| respond(request, seen.clone(), answers));
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http2().max_concurrent_streams(STREAMS_MAX);
    // Each run ends by killing the client within a request.
    let _ = server.serve_connection(TokioIo::new(stream), respond).await;
}

async fn respond(
    request: Request<Incoming>,
    seen: Arc<Seen>,
    (protocol, delay): (Protocol, Duration),
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let _ = request.into_body().collect().await;
    if !delay.is_zero() {
        let _under_way = UnderWay::begin(&seen.under_way);
        tokio::time::sleep(delay).await;
    }
    let mut response = Response::new(Empty::new());
    if protocol == Protocol::Http1Closing {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
