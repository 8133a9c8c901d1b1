//! The destination of the jobs. It records each request, its worker, and whether it was answered.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{hash, io};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::job;
use super::options::LEASE;
use super::places::WORKER;
use super::ticks::TickBook;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) number: u64,
    /// A hash of the job id, which `Idempotency-Key` has.
    pub(crate) job: u64,
    /// The process id of its worker.
    pub(crate) pid: u32,
    pub(crate) arrived: Instant,
    /// The status passed to the connection. `None` if the worker disconnected before.
    pub(crate) answer: Option<u16>,
}

impl Visit {
    pub(crate) fn has_succeeded(&self) -> bool {
        self.answer == Some(200)
    }
}

#[cfg(test)]
impl Visit {
    /// A request of a process.
    pub(crate) fn of(number: u64, pid: u32, arrived: Instant, answer: Option<u16>) -> Self {
        Self { number, job: number, pid, arrived, answer }
    }
}

/// The running destination. It stops when it is dropped.
pub(crate) struct Destination {
    address: SocketAddr,
    book: Book,
    _server: JoinSet<()>,
}

/// What has arrived.
#[derive(Clone, Default)]
pub(crate) struct Book {
    visits: Arc<Mutex<Vec<Visit>>>,
    flaky: Arc<Mutex<HashSet<u64>>>,
    successes: Arc<AtomicU64>,
    pub(crate) ticks: TickBook,
}

impl Book {
    fn visits(&self) -> MutexGuard<'_, Vec<Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all requests out.
    pub(crate) fn take(&self) -> Vec<Visit> {
        std::mem::take(&mut self.visits())
    }

    /// How many requests have succeeded.
    pub(crate) fn successes(&self) -> u64 {
        self.successes.load(Ordering::Relaxed)
    }

    /// Whether this is the job's first request.
    fn is_first(&self, number: u64) -> bool {
        self.flaky.lock().unwrap_or_else(PoisonError::into_inner).insert(number)
    }
}

impl Destination {
    pub(crate) async fn start() -> io::Result<Destination> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, book) = (listener.local_addr()?, Book::default());
        let mut server = JoinSet::new();
        server.spawn(serve(listener, book.clone()));
        Ok(Destination { address, book, _server: server })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn book(&self) -> Book {
        self.book.clone()
    }
}

async fn serve(listener: TcpListener, book: Book) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, book.clone()));
                }
                // Most likely there are no file descriptors left.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, book: Book) {
    let service = service_fn(move |request: Request<Incoming>| {
        let book = book.clone();
        async move { Ok::<_, Infallible>(answer(request, book).await) }
    });
    // Workers are made to close connections within a request.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, book: Book) -> Response<Full<Bytes>> {
    let arrived = Instant::now();
    let (head, body) = request.into_parts();
    if book.ticks.note(&head.headers) {
        return response(StatusCode::OK);
    }
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let own = || std::str::from_utf8(&body).ok()?.parse().ok();
    let Some((number, pid)) = job::callback_number(path).or_else(own).zip(worker_of(&head.headers)) else {
        // The body was cut, so the job is unknown; or the request is none of a worker.
        return response(StatusCode::BAD_REQUEST);
    };
    let index = {
        let mut visits = book.visits();
        visits.push(Visit { number, job: job_of(&head.headers), pid, arrived, answer: None });
        visits.len() - 1
    };
    let (pause, status) = match head.uri.path() {
        "/slow" => (LEASE / 3, StatusCode::OK),
        "/very-slow" => (LEASE * 3 / 2, StatusCode::OK),
        "/gone" => (Duration::ZERO, StatusCode::GONE),
        "/fails" => (Duration::ZERO, StatusCode::BAD_GATEWAY),
        "/hangs" => (Duration::from_secs(3600), StatusCode::OK),
        "/flaky" if book.is_first(number) => (Duration::ZERO, StatusCode::SERVICE_UNAVAILABLE),
        _ => (Duration::ZERO, StatusCode::OK),
    };
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    if let Some(visit) = book.visits().get_mut(index) {
        visit.answer = Some(status.as_u16());
    }
    book.successes.fetch_add(u64::from(status == StatusCode::OK), Ordering::Relaxed);
    response(status)
}

fn response(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn worker_of(headers: &HeaderMap) -> Option<u32> {
    headers.get(WORKER)?.to_str().ok()?.parse().ok()
}

fn job_of(headers: &HeaderMap) -> u64 {
    use hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    headers.get("idempotency-key").map(|id| id.as_bytes()).hash(&mut hasher);
    hasher.finish()
}
