//! The HTTP endpoint of a process: liveness, readiness, and metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use telemetry::{Prometheus, Telemetry};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::listen::{self, ServerBounds};

/// Requests are short and rare.
const BOUNDS: ServerBounds = ServerBounds {
    connections: 32,
    body: 1024,
    headers: Duration::from_secs(5),
    single: Some(Duration::from_secs(30)),
};

/// What probes get. Cheap to clone.
#[derive(Clone)]
pub struct Probes {
    live: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    ready: Arc<dyn Fn() -> Result<String, String> + Send + Sync>,
}

impl Probes {
    /// `live` returns why the process should be restarted, if it should; `ready` a sentence for 200, or why the process
    /// does not do its work.
    pub fn new(
        live: impl Fn() -> Option<String> + Send + Sync + 'static,
        ready: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self { live: Arc::new(live), ready: Arc::new(ready) }
    }
}

/// The server of the endpoint.
#[derive(Debug)]
pub struct StatusServer {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The process cannot listen on the address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}; choose another address or port with --listen")]
pub struct ListenError {
    address: SocketAddr,
    error: std::io::Error,
}

impl StatusServer {
    /// Serves until [`StatusServer::end`].
    ///
    /// # Errors
    /// If the address is in use, or is not an address of this machine.
    pub async fn start(
        address: SocketAddr,
        probes: Probes,
        telemetry: &Telemetry,
    ) -> Result<Self, ListenError> {
        let refused = |error| ListenError { address, error };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        info!("status listens on http://{address}/");
        let page = Page { probes, metrics: Metrics::new(telemetry) };
        let answer = move |request: Request<Bytes>| {
            let page = page.clone();
            async move { page.answer(&request).await }
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(listen::serve(listener, stop.clone(), BOUNDS, answer));
        Ok(Self { stop, task })
    }

    /// Stops the server.
    pub async fn end(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

#[derive(Clone)]
struct Page {
    probes: Probes,
    metrics: Metrics,
}

impl Page {
    async fn answer(&self, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are supported here");
        }
        match request.uri().path() {
            "/livez" => (self.probes.live)().map_or_else(ok, |why| unavailable(&why)),
            "/readyz" => match (self.probes.ready)() {
                Ok(sentence) => plain(StatusCode::OK, &sentence),
                Err(why) => unavailable(&why),
            },
            "/metrics" => self.metrics.answer().await,
            _ => plain(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics"),
        }
    }
}

#[derive(Clone)]
struct Metrics {
    prometheus: Option<Prometheus>,
    /// How to turn the metrics on.
    hint: &'static str,
    /// Metrics are collected for one request at a time.
    turn: Arc<Semaphore>,
}

impl Metrics {
    fn new(telemetry: &Telemetry) -> Self {
        let hint = if !telemetry::COMPILED {
            "this program was built without telemetry (the Cargo feature `otel`), so it has no metrics; \
             use the build that has it"
        } else if telemetry.is_on() {
            "metrics are not served here; start with OTEL_METRICS_EXPORTER=prometheus, or otlp,prometheus"
        } else {
            "telemetry is off; start with OTEL_ENABLED=true and OTEL_METRICS_EXPORTER=prometheus, or \
             otlp,prometheus"
        };
        Self { prometheus: telemetry.prometheus(), hint, turn: Arc::new(Semaphore::new(1)) }
    }

    async fn answer(&self) -> Response<Full<Bytes>> {
        let Some(prometheus) = self.prometheus.clone() else {
            return plain(StatusCode::NOT_FOUND, self.hint);
        };
        let _turn = self.turn.acquire().await;
        // On another thread, since it takes a millisecond or more.
        let text = tokio::task::spawn_blocking(move || prometheus.text()).await;
        match text.unwrap_or_else(|_| Err("the metrics could not be collected".to_owned())) {
            Ok(text) => {
                let mut response = Response::new(Full::from(text));
                let kind = HeaderValue::from_static(Prometheus::CONTENT_TYPE);
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Err(why) => plain(StatusCode::INTERNAL_SERVER_ERROR, &why),
        }
    }
}

fn ok() -> Response<Full<Bytes>> {
    plain(StatusCode::OK, "ok")
}

fn unavailable(why: &str) -> Response<Full<Bytes>> {
    plain(StatusCode::SERVICE_UNAVAILABLE, why)
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
