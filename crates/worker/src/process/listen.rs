//! A small HTTP server. The only module that uses hyper's server.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Concurrent connections. Further ones wait.
    pub connections: usize,
    /// Bytes of a request's body. A longer body is refused with 413.
    pub body: usize,
    /// How long a client may take for its headers.
    pub headers: Duration,
    /// If set, a connection is for one request and lasts at most this long.
    pub single: Option<Duration>,
}

/// Serves until stopped; connections that are open then are closed.
pub async fn serve<A, F>(listener: TcpListener, stop: CancellationToken, bounds: Bounds, answer: A)
where
    A: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(bounds.connections));
    let accept = || async {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        listener.accept().await.map(|(stream, _)| (stream, place))
    };
    loop {
        tokio::select! {
            accepted = accept() => match accepted {
                Ok((stream, place)) => {
                    let served = connection(stream, bounds, answer.clone());
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                // Most likely there are no file descriptors left, until connections close.
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn connection<A, F>(stream: TcpStream, bounds: Bounds, answer: A)
where
    A: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            Ok::<_, Infallible>(match whole(request, bounds.body).await {
                Some(request) => answer(request).await,
                None => refused(),
            })
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.headers)
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
