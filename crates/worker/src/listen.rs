//! A small HTTP server. The only module that knows hyper's server.

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
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// A longer body is refused with 413.
const MOST_BYTES: usize = 16 << 20;
/// How long a client may take for its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until stopped; connections that are open then are closed.
pub async fn serve<F>(listener: TcpListener, stop: CancellationToken, answer: fn(Request<Bytes>) -> F)
where
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, answer));
                }
                // Out of file descriptors, most likely: it passes when connections close.
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

async fn connection<F>(stream: TcpStream, answer: fn(Request<Bytes>) -> F)
where
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| async move {
        Ok::<_, Infallible>(match whole(request).await {
            Some(request) => answer(request).await,
            None => refused(),
        })
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "a connection ended with an error");
    }
}

async fn whole(request: Request<Incoming>) -> Option<Request<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MOST_BYTES).collect().await.ok()?;
    Some(Request::from_parts(parts, body.to_bytes()))
}

fn refused() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    response
}
