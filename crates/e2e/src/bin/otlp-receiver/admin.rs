//! The admin port for the tests: returns records and sets the mode.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::serve;
use crate::store::{Mode, Signal, Store};

pub(crate) async fn serve(listener: TcpListener, store: Arc<Store>) -> std::io::Result<()> {
    serve::serve(listener, None, move |request| answer(request, Arc::clone(&store))).await
}

pub(crate) fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
}

async fn answer(request: Request<Incoming>, store: Arc<Store>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok(match (head.method.as_str(), head.uri.path()) {
        ("GET", "/spans") => plain(StatusCode::OK, &store.items(Signal::Traces).to_string()),
        ("GET", "/metrics") => plain(StatusCode::OK, &store.items(Signal::Metrics).to_string()),
        ("GET", "/logs") => plain(StatusCode::OK, &store.items(Signal::Logs).to_string()),
        ("GET", "/stats") => plain(StatusCode::OK, &store.stats().to_string()),
        ("GET", "/requests") => plain(StatusCode::OK, &store.requests().to_string()),
        ("POST", "/mode") => match Mode::parse(&String::from_utf8_lossy(&body)) {
            Some(mode) => {
                store.set_mode(mode);
                plain(StatusCode::OK, "")
            }
            None => plain(
                StatusCode::BAD_REQUEST,
                "ok, refuse, later MILLISECONDS, unimplemented, unknown SIGNAL, page, count, hang, slow MILLISECONDS or partial NUMBER",
            ),
        },
        _ => plain(StatusCode::NOT_FOUND, "GET /spans, /metrics, /logs, /stats or /requests; POST /mode"),
    })
}
