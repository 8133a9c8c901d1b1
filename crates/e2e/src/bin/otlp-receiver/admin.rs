//! The port for the tests: what came, and how to treat what comes.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::store::{Mode, Signal, Store};

pub(crate) async fn serve(listener: TcpListener, store: Arc<Store>) -> std::io::Result<()> {
    accept(listener, store, answer).await
}

/// Serves HTTP/1.1 on that listener until it fails.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    store: Arc<Store>,
    answer: fn(Request<Incoming>, Arc<Store>) -> F,
) -> std::io::Result<()>
where
    F: Future<Output = Result<Response<Full<Bytes>>, hyper::Error>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| answer(request, Arc::clone(&store)));
            // A client that goes away is its own business.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

pub(crate) fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
}

async fn answer(
    request: Request<Incoming>,
    store: Arc<Store>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(match (head.method.as_str(), head.uri.path()) {
        ("GET", "/spans") => plain(StatusCode::OK, &store.items(Signal::Traces).to_string()),
        ("GET", "/metrics") => plain(StatusCode::OK, &store.items(Signal::Metrics).to_string()),
        ("GET", "/stats") => plain(StatusCode::OK, &store.stats().to_string()),
        ("POST", "/mode") => match Mode::parse(&String::from_utf8_lossy(&body)) {
            Some(mode) => {
                store.set_mode(mode);
                plain(StatusCode::OK, "")
            }
            None => plain(
                StatusCode::BAD_REQUEST,
                "ok, refuse, unimplemented, hang, slow MILLISECONDS or partial NUMBER",
            ),
        },
        _ => plain(StatusCode::NOT_FOUND, "GET /spans, /metrics or /stats; POST /mode"),
    })
}
