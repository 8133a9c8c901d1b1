//! A worker's HTTP endpoint: liveness, readiness, and metrics.

use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use telemetry::{Prometheus, Telemetry};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SetOnce};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::process::listen::{self, Bounds};
use crate::shard::list::ShardList;

/// Requests are short and rare.
const BOUNDS: Bounds = Bounds {
    connections: 32,
    body: 1024,
    headers: Duration::from_secs(5),
    single: Some(Duration::from_secs(30)),
};

/// The health of the worker. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The loop that panicked first.
    died: SetOnce<&'static str>,
    shards: ShardList,
    is_started: AtomicBool,
    is_stopping: AtomicBool,
}

impl Health {
    /// The health of the worker with these shards.
    pub(crate) fn new(shards: ShardList) -> Self {
        Self(Arc::new(Inner { shards, ..Inner::default() }))
    }

    /// Runs a loop that must not end before the worker does. A panic in it is caught and reported.
    pub(crate) fn watch<F>(&self, name: &'static str, task: F) -> impl Future<Output = ()> + use<F>
    where
        F: Future<Output = ()>,
    {
        let health = self.clone();
        async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                // The panic hook has printed the message. It may contain anything, so it is not logged here.
                error!(
                    part = name,
                    "a part of this worker has panicked: the worker ends in order, and must be restarted"
                );
                // The first panic is the cause.
                let _ = health.0.died.set(name);
            }
        }
    }

    /// Waits until one of the loops has panicked.
    pub(crate) async fn dies(&self) {
        self.0.died.wait().await;
    }

    /// The loop that panicked first; `None` if none has.
    pub(crate) fn died(&self) -> Option<&'static str> {
        self.0.died.get().copied()
    }

    /// The worker fetches jobs.
    pub(crate) fn started(&self) {
        self.0.is_started.store(true, Ordering::Relaxed);
    }

    /// The worker fetches no more jobs.
    pub(crate) fn stopping(&self) {
        self.0.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Why the process should be restarted; `None` if there is no reason.
    fn why_not_live(&self) -> Option<String> {
        let name = self.died()?;
        Some(format!("the {name} has panicked: see the log, and restart this worker"))
    }

    /// Why the worker fetches no jobs now; `None` if it does.
    fn why_not_ready(&self) -> Option<String> {
        if let Some(why) = self.why_not_live() {
            return Some(why);
        }
        if self.0.is_stopping.load(Ordering::Relaxed) {
            return Some("stopping: no new jobs, requests in flight may finish".to_owned());
        }
        if !self.0.is_started.load(Ordering::Relaxed) {
            return Some("starting: not connected to Redis yet".to_owned());
        }
        let away = self.0.shards.from(0).into_iter().find(|shard| !shard.queue.link().is_up())?;
        let queue = away.queue.name();
        Some(format!("Redis does not answer as it should, for the queue {queue}; retrying until it does"))
    }
}

/// The server of the endpoint.
#[derive(Debug)]
pub(crate) struct Status {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The worker cannot listen on the address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}; choose another address or port with --listen")]
pub struct ListenError {
    address: SocketAddr,
    error: std::io::Error,
}

impl Status {
    /// Serves until [`Status::end`].
    ///
    /// # Errors
    /// If the address is in use, or is not an address of this machine.
    pub(crate) async fn start(
        address: SocketAddr,
        health: Health,
        telemetry: &Telemetry,
    ) -> Result<Self, ListenError> {
        let refused = |error| ListenError { address, error };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        info!("status listens on http://{address}/");
        let page = Page { health, metrics: Metrics::new(telemetry) };
        let answer = move |request: Request<Bytes>| {
            let page = page.clone();
            async move { page.answer(&request).await }
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(listen::serve(listener, stop.clone(), BOUNDS, answer));
        Ok(Self { stop, task })
    }

    /// Stops the server.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

#[derive(Clone)]
struct Page {
    health: Health,
    metrics: Metrics,
}

impl Page {
    async fn answer(&self, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are supported here");
        }
        match request.uri().path() {
            "/livez" => judged(self.health.why_not_live()),
            "/readyz" => judged(self.health.why_not_ready()),
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

fn judged(why_not: Option<String>) -> Response<Full<Bytes>> {
    match why_not {
        None => plain(StatusCode::OK, "ok"),
        Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    #[test]
    fn a_worker_is_ready_between_its_start_and_its_end() {
        let health = Health::new(ShardList::default());
        let why = || health.why_not_ready().unwrap_or_default();
        assert!(why().starts_with("starting"), "{}", why());
        health.started();
        assert_eq!(health.why_not_ready(), None);
        health.stopping();
        assert!(why().starts_with("stopping"), "{}", why());
        assert_eq!(health.why_not_live(), None);
    }

    #[tokio::test]
    async fn a_loop_that_panics_is_reported_and_one_that_ends_is_not() {
        let health = Health::new(ShardList::default());
        health.watch("sweeper", async {}).await;
        assert_eq!((health.died(), health.why_not_live()), (None, None));
        health.watch("fetcher", async { panic!("as a test") }).await;
        assert_eq!(health.died(), Some("fetcher"));
        assert!(health.why_not_live().unwrap().contains("the fetcher has panicked"));
        health.watch("completer", async { panic!("as a consequence") }).await;
        assert_eq!(health.died(), Some("fetcher"), "the first panic is the cause");
    }

    #[tokio::test]
    async fn a_loop_that_panics_leaves_the_others_to_end_in_order() {
        let (health, stop) = (Health::new(ShardList::default()), CancellationToken::new());
        let (ended, mut loops) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        let other = (stop.clone(), ended.clone());
        loops.spawn(health.watch("scheduler", async move {
            other.0.cancelled().await;
            other.1.store(true, Ordering::Relaxed);
        }));
        loops.spawn(health.watch("sweeper", async { panic!("as a test") }));
        health.dies().await;
        assert!(!ended.load(Ordering::Relaxed));
        stop.cancel();
        loops.join_all().await;
        assert!(ended.load(Ordering::Relaxed));
    }
}
