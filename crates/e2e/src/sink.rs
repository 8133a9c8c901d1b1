//! The destination of the jobs: an HTTP server that records its requests. The path, without the query,
//! decides the response.
//!
//! | path | response |
//! |---|---|
//! | `/ok` and any path not below | 200 |
//! | `/slow/MS` | 200 after that many milliseconds |
//! | `/flaky/N/KEY` | 503 for the first N requests with that KEY, then 200 |
//! | `/flaky/N/KEY/MS` | the same after that many milliseconds |
//! | `/status/CODE` | that status |
//! | `/rate/N` | 200 for N requests a second to all such paths, 429 for the others |
//! | `/redirect/CODE?URL` | that status, with the URL as its `location` |
//! | `/hang` | none, ever |
//! | `/reply` | as in the request's body: a status, lines of headers, an empty line, a body |
//! | `/reply-once/KEY` | the same to the first request with that KEY, then 200 |

mod paths;
mod raw;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::background::Background;
use crate::wait;

use paths::Paths;
pub use raw::RawSink;

/// One request as received.
#[derive(Clone, Debug)]
pub struct SinkRequest {
    /// `POST`
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case; values as received, in order for each name. [`RawSink`] records the exact bytes.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// When its head was complete.
    pub arrived: Instant,
}

impl SinkRequest {
    /// The first header of that name. `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// A running sink. Its port closes when this is dropped.
pub struct Sink {
    address: SocketAddr,
    record: Arc<Record>,
    _server: Background,
}

#[derive(Default)]
struct Record {
    requests: Mutex<Vec<SinkRequest>>,
    connections: AtomicUsize,
    paths: Paths,
}

impl Sink {
    /// Starts a sink on a free port of the loopback address.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub fn start() -> Sink {
        let (listener, address) = listen();
        let record = Arc::new(Record::default());
        let server = Background::start("sink", serve(listener, Arc::clone(&record)));
        Sink { address, record, _server: server }
    }

    /// `http://127.0.0.1:PORT` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.record.connections.load(Ordering::SeqCst)
    }

    /// The requests so far, ordered by the end of their body.
    pub fn requests(&self) -> Vec<SinkRequest> {
        self.record.requests.lock().expect("no one panics with this lock").clone()
    }

    /// The requests to exactly that path.
    pub fn requests_to(&self, path: &str) -> Vec<SinkRequest> {
        self.requests().into_iter().filter(|request| request.path == path).collect()
    }

    /// Waits for the first `count` requests and returns all.
    ///
    /// # Panics
    ///
    /// If they do not arrive within `deadline`.
    pub fn wait_for(&self, count: usize, deadline: Duration) -> Vec<SinkRequest> {
        wait::eventually_or(&format!("{count} requests at the sink"), deadline, || {
            let requests = self.requests();
            if requests.len() < count { Err(format!("{} requests", requests.len())) } else { Ok(requests) }
        })
    }

    /// Waits for the first `count` requests to exactly that path.
    ///
    /// # Panics
    ///
    /// If they do not arrive within `deadline`.
    pub fn wait_for_path(&self, path: &str, count: usize, deadline: Duration) -> Vec<SinkRequest> {
        wait::eventually_or(&format!("{count} requests to {path}"), deadline, || {
            let requests = self.requests_to(path);
            if requests.len() < count { Err(format!("{} requests", requests.len())) } else { Ok(requests) }
        })
    }
}

/// Binds before any thread starts, so that the address is known and a connect never fails.
pub(crate) fn listen() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.set_nonblocking(true).expect("a listener can be made non-blocking");
    let address = listener.local_addr().expect("a listener has an address");
    (listener, address)
}

async fn serve(listener: std::net::TcpListener, record: Arc<Record>) {
    let listener = TcpListener::from_std(listener).expect("the runtime takes a non-blocking listener");
    while let Ok((stream, _)) = listener.accept().await {
        record.connections.fetch_add(1, Ordering::SeqCst);
        let record = Arc::clone(&record);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| answer(request, Arc::clone(&record)));
            // Some tests close the connection within a request.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    record: Arc<Record>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let arrived = Instant::now();
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let path_only = head.uri.path();
    let once = path_only.strip_prefix("/reply-once/").is_some_and(|key| record.paths.is_first(key));
    let dictated = (once || path_only == "/reply").then(|| dictated(&body));
    let status = record.paths.status(path_only);
    let headers = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    record.requests.lock().expect("no one panics with this lock").push(SinkRequest {
        method: head.method.as_str().to_owned(),
        path,
        headers: headers.collect(),
        body,
        arrived,
    });
    linger(head.uri.path()).await;
    if let Some(response) = dictated {
        return Ok(response);
    }
    let mut response = Response::new(Full::new(Bytes::from(format!("{status}\n"))));
    *response.status_mut() = status;
    if head.uri.path().starts_with("/redirect/") {
        let location = head.uri.query().unwrap_or_default().parse().expect("a query is a header value");
        response.headers_mut().insert(http::header::LOCATION, location);
    }
    Ok(response)
}

/// The response that a request's body contains.
///
/// # Panics
///
/// If the body contains none.
fn dictated(text: &[u8]) -> Response<Full<Bytes>> {
    let end = text.windows(2).position(|end| end == b"\n\n").unwrap_or(text.len());
    let body = Bytes::copy_from_slice(text.get(end + 2..).unwrap_or_default());
    let mut lines = text[..end].split(|byte| *byte == b'\n');
    let mut response = Response::new(Full::new(body));
    let status = StatusCode::from_bytes(lines.next().unwrap_or_default());
    *response.status_mut() = status.expect("the first line is a status");
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').expect("a header has a colon");
        let name = HeaderName::from_bytes(&line[..colon]).expect("a header has a name");
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).expect("a header has a value");
        response.headers_mut().append(name, value);
    }
    response
}

/// Waits for the time that the path asks for.
async fn linger(path: &str) {
    let flaky = path.strip_prefix("/flaky/").and_then(|rest| rest.splitn(3, '/').nth(2));
    if let Some(milliseconds) = path.strip_prefix("/slow/").or(flaky).and_then(|rest| rest.parse().ok()) {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    } else if path == "/hang" {
        std::future::pending::<()>().await;
    }
}
