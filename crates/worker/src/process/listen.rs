//! A small HTTP server. The only module that uses hyper's server.

mod connections;

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use connections::{ConnectionPlace, Connections};

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerBounds {
    /// Concurrent connections. A further one takes the place of the connection that has waited longest for its client;
    /// if none waits for its client, the further one waits.
    pub connections: usize,
    /// Bytes of a request's body. A longer body is refused with 413.
    pub body: usize,
    /// How long a client may take for its headers.
    pub headers: Duration,
    /// If set, a connection is for one request and lasts at most this long.
    pub single: Option<Duration>,
}

/// Bytes of a request's head. A longer head is refused with 431.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Accepted connections after which the others have their turn, so that a request that is there already is answered
/// before its connection can lose its place.
const ACCEPTED_AT_ONCE: usize = 4;

/// Serves until stopped; connections that are open then are closed.
pub async fn serve<A, F>(listener: TcpListener, stop: CancellationToken, bounds: ServerBounds, answer: A)
where
    A: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut connections = Connections::new(bounds.connections);
    let mut accepted = 0;
    loop {
        tokio::select! {
            stream = listener.accept(), if connections.has_room() => match stream {
                Ok((stream, _)) => {
                    connections.fill(|place| connection(stream, bounds, place, answer.clone()));
                    accepted += 1;
                    if accepted % ACCEPTED_AT_ONCE == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                // Most likely there are no file descriptors left, until connections close.
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    connections.make_room();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            () = connections.changed() => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn connection<A, F>(stream: TcpStream, bounds: ServerBounds, place: ConnectionPlace, answer: A)
where
    A: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let (answer, place) = (answer.clone(), place.clone());
        async move {
            Ok::<_, Infallible>(match whole(request, bounds.body).await {
                Some(request) => place.busy(answer(request)).await,
                None => refused(),
            })
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.headers)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(bounds.single.is_none())
        .serve_connection(TokioIo::new(stream), service);
    let served = match bounds.single {
        None => served.await,
        Some(most) => match tokio::time::timeout(most, served).await {
            Ok(served) => served,
            Err(_) => return debug!("a connection took too long"),
        },
    };
    if let Err(error) = served {
        debug!(%error, "a connection ended with an error");
    }
}

async fn whole(request: Request<Incoming>, most: usize) -> Option<Request<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, most).collect().await.ok()?;
    Some(Request::from_parts(parts, body.to_bytes()))
}

fn refused() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Semaphore;

    use super::*;

    const TEST_TIMEOUT: Duration = Duration::from_secs(30);
    const LONG: Duration = Duration::from_secs(3600);
    const BOUNDS: ServerBounds = ServerBounds { connections: 8, body: 1024, headers: LONG, single: None };

    /// A server whose answer to `/wait` needs a permit, and whose answer to `/large` fits into no buffer.
    struct Server {
        address: std::net::SocketAddr,
        permits: Arc<Semaphore>,
    }

    impl Server {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let permits = Arc::new(Semaphore::new(0));
            let waits = Arc::clone(&permits);
            let answer = move |request: Request<Bytes>| {
                let waits = Arc::clone(&waits);
                async move {
                    match request.uri().path() {
                        "/wait" => waits.acquire().await.unwrap().forget(),
                        "/large" => return Response::new(Full::from(vec![b'a'; 16 << 20])),
                        _ => {}
                    }
                    Response::new(Full::from("ok"))
                }
            };
            tokio::spawn(serve(listener, CancellationToken::new(), BOUNDS, answer));
            Self { address, permits }
        }

        async fn send(&self, bytes: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(bytes.as_bytes()).await.unwrap();
            stream
        }

        async fn get(&self, path: &str) -> TcpStream {
            self.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await
        }

        async fn answers(&self) {
            assert!(read(self.get("/").await).await.ends_with("\r\n\r\nok"));
        }
    }

    async fn read(mut stream: TcpStream) -> String {
        let mut text = String::new();
        let read = tokio::time::timeout(TEST_TIMEOUT, stream.read_to_string(&mut text)).await;
        read.expect("a response in time").expect("a response");
        text
    }

    #[tokio::test]
    async fn clients_that_keep_their_connections_waiting_keep_no_other_waiting() {
        for bytes in [
            "",
            "GET / HT",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /large HTTP/1.1\r\nhost: a\r\n\r\n",
        ] {
            let server = Server::start().await;
            let mut waiting = Vec::new();
            for _ in 0..5 * BOUNDS.connections {
                waiting.push(server.send(bytes).await);
            }
            server.answers().await;
        }
    }

    #[tokio::test]
    async fn a_request_that_is_being_answered_keeps_its_place() {
        let server = Server::start().await;
        let mut asked = Vec::new();
        for _ in 0..BOUNDS.connections {
            asked.push(server.get("/wait").await);
        }
        // One more waits until one of them is answered.
        let further = server.get("/").await;
        server.permits.add_permits(1);
        assert!(read(further).await.ends_with("ok"));
        server.permits.add_permits(asked.len() - 1);
        for stream in asked {
            assert!(read(stream).await.ends_with("ok"));
        }
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_refused() {
        let server = Server::start().await;
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n", "a".repeat(HEAD_BYTES_MAX));
        assert!(read(server.send(&head).await).await.starts_with("HTTP/1.1 431 "));
    }
}
