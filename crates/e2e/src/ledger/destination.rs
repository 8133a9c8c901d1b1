//! The destination of the jobs. It records each request, its worker, and whether it was answered.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::LEASE;
use super::job;
use super::peer::Processes;
use super::ticks::TickBook;
use crate::background::Background;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) number: u64,
    peer: Peer,
    pub(super) arrived: Instant,
    /// The status passed to the connection. `None` if the worker disconnected before.
    pub(super) answer: Option<u16>,
}

/// The process of the worker, `None` until the lookup has ended. No request gets its answer before, so a worker that waits
/// for an answer is found unless it has died.
type Peer = watch::Receiver<Option<Option<u32>>>;

impl Visit {
    pub(super) fn pid(&self) -> Option<u32> {
        self.peer.borrow().flatten()
    }
}

pub(super) struct Destination {
    address: SocketAddr,
    book: Book,
    ticks: TickBook,
    _server: Background,
}

#[derive(Clone, Default)]
struct Book(Arc<Mutex<Vec<Visit>>>);

impl Book {
    fn lock(&self) -> MutexGuard<'_, Vec<Visit>> {
        self.0.lock().expect("no one panics with this lock")
    }
}

impl Destination {
    pub(super) fn start(processes: Processes) -> Destination {
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a listener has an address");
        let (book, ticks) = (Book::default(), TickBook::default());
        let server = serve(listener, book.clone(), ticks.clone(), processes);
        Destination { address, book, ticks, _server: Background::start("destination", server) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn ticks(&self) -> TickBook {
        self.ticks.clone()
    }

    pub(super) fn visits(&self) -> Vec<Visit> {
        self.book.lock().clone()
    }
}

async fn serve(listener: std::net::TcpListener, book: Book, ticks: TickBook, processes: Processes) {
    let listener = TcpListener::from_std(listener).expect("the runtime takes a non-blocking listener");
    let flaky = Arc::new(Mutex::new(HashSet::new()));
    while let Ok((stream, client)) = listener.accept().await {
        let server = stream.local_addr().expect("a connection has an address");
        let (found, peer) = watch::channel(None);
        let processes = processes.clone();
        tokio::task::spawn_blocking(move || found.send_replace(Some(processes.at(client, server))));
        let (book, ticks, flaky) = (book.clone(), ticks.clone(), Arc::clone(&flaky));
        tokio::spawn(async move {
            let service = hyper::service::service_fn(async |request: Request<Incoming>| {
                if ticks.note(request.headers()) {
                    return Ok(Response::new(Full::new(Bytes::new())));
                }
                answer(request, peer.clone(), book.clone(), Arc::clone(&flaky)).await
            });
            // The tests make workers close connections within a request.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    mut peer: Peer,
    book: Book,
    flaky: Arc<Mutex<HashSet<u64>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let arrived = Instant::now();
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::new()));
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let own = || std::str::from_utf8(&body).ok()?.parse().ok();
    let Some(number) = job::callback_number(path).or_else(own) else {
        // The body was cut, so the job is unknown.
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    };
    let index = {
        let mut visits = book.lock();
        visits.push(Visit { number, peer: peer.clone(), arrived, answer: None });
        visits.len() - 1
    };
    // It ends with the lookup.
    let _ = peer.wait_for(Option::is_some).await;
    let (pause, status) = match head.uri.path() {
        "/slow" => (LEASE / 3, StatusCode::OK),
        "/very-slow" => (LEASE * 3 / 2, StatusCode::OK),
        "/gone" => (Duration::ZERO, StatusCode::GONE),
        "/fails" => (Duration::ZERO, StatusCode::BAD_GATEWAY),
        "/hangs" => (Duration::from_secs(3600), StatusCode::OK),
        "/flaky" if flaky.lock().expect("no one panics with this lock").insert(number) => {
            (Duration::ZERO, StatusCode::SERVICE_UNAVAILABLE)
        }
        _ => (Duration::ZERO, StatusCode::OK),
    };
    tokio::time::sleep(pause).await;
    book.lock()[index].answer = Some(status.as_u16());
    *response.status_mut() = status;
    Ok(response)
}
