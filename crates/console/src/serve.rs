//! Serves API and pages on an address, with bounds for each connection.

mod places;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use postrider_queue::ConnectError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use telemetry::Telemetry;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::access::{Access, Open, Peer};
use crate::router::router;
use crate::serve::places::{Connection, Places};
use crate::state::Shared;

/// Connections at once. A further one takes the place of one that has no request.
const CONNECTIONS_MAX: usize = 2_048;
/// Bytes of a request's head. A longer head is refused with 431.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a client may take for a request's head, or keep an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may read nothing of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that the kernel keeps for a connection before it sends them.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;
/// How long requests may take to end after a stop.
const GRACE: Duration = Duration::from_secs(5);

/// What to serve, where, and to which callers.
#[derive(Debug)]
pub struct Options {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The address of Redis.
    pub redis_url: String,
    /// How callers prove who they are.
    pub access: Access,
    /// The limit of a job's fields together, bytes: the same as of the workers.
    pub max_job_bytes: usize,
    /// The address of a trace in the tracing backend, with `{trace_id}` in place of its id.
    pub trace_url: Option<String>,
    /// Names in the header `Host` that are served, besides addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// The console cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is open to everybody.
    #[error(transparent)]
    Open(#[from] Open),
    /// Redis cannot be reached.
    #[error(transparent)]
    Redis(#[from] ConnectError),
    /// The address is not available.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
}

/// A console that listens.
#[derive(Debug)]
pub struct Console {
    listener: TcpListener,
    shared: Arc<Shared>,
    router: Router,
}

impl Console {
    /// Connects to Redis and listens.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(options: Options, telemetry: &Telemetry) -> Result<Self, StartError> {
        options.access.check(options.listen)?;
        let listener = TcpListener::bind(options.listen).await;
        let listener = listener.map_err(|error| StartError::Listen(options.listen, error))?;
        let shared =
            Shared::connect(&options.redis_url, options.max_job_bytes, options.trace_url, telemetry).await?;
        let shared = Arc::new(shared);
        let is_open = options.access.is_open();
        let router = router(shared.clone(), options.access, &options.hosts, telemetry);
        if let Ok(address) = listener.local_addr() {
            let who =
                if is_open { "everybody on this machine, without tokens" } else { "callers with a token" };
            info!(%address, "serves the console to {who}");
        }
        Ok(Self { listener, shared, router })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until stopped. Then requests have 5 s to end.
    pub async fn run(self, stop: CancellationToken) {
        raise_open_files();
        let places = Places::new(CONNECTIONS_MAX);
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.listener, &places) => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer, connection)) => self.spawn(stream, Peer(peer), connection, &graceful),
                // Most likely there are no file descriptors left, until connections close.
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        self.shared.hub.stop();
        if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
            warn!("requests that have not ended are cut");
        }
        self.shared.close().await;
    }

    fn spawn(&self, stream: TcpStream, peer: Peer, place: Arc<Connection>, graceful: &GracefulShutdown) {
        let _ = stream.set_nodelay(true);
        bound(&stream);
        let (router, own) = (self.router.clone(), place.clone());
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let (mut router, busy) = (router.clone(), own.becomes_busy());
            async move {
                use tower::Service;
                let response = router.call(request).await.unwrap_or_else(|never| match never {});
                Ok::<_, Infallible>(busy.until_sent(response))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        debug!(%error, "a connection ended with an error");
                    }
                }
                () = place.closed() => debug!("a connection without a request makes room for another"),
            }
        });
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Places>,
) -> io::Result<(TcpStream, SocketAddr, Arc<Connection>)> {
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, places.take().await))
}

/// Ends a connection whose client reads nothing, and limits what the kernel keeps for it.
fn bound(stream: &TcpStream) {
    // Other systems have no such options. A socket without them works.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    {
        let socket = socket2::SockRef::from(stream);
        let _ = socket.set_tcp_user_timeout(Some(WRITE_TIMEOUT));
        let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
    }
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = (stream, WRITE_TIMEOUT, UNSENT_BYTES_MAX);
}

/// Raises the soft limit of open files to the hard one: many clients may follow deliveries.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_kernel_ends_a_connection_whose_client_reads_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        bound(&stream);
        let socket = socket2::SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(WRITE_TIMEOUT));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_BYTES_MAX);
    }
}
