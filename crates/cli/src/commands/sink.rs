//! `postrider sink`

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use postrider_worker::listen;
use postrider_worker::shutdown;
use serde_json::{Map, Value, json};
use tracing::info;

/// Run a small echo server for trying things out
///
/// Responds with 200 and the request as JSON; to /status/CODE with that code, to /delay/MS after that many
/// milliseconds.
#[derive(Debug, Args)]
pub(super) struct SinkArgs {
    /// Address to listen on
    #[arg(long, env = "POSTRIDER_SINK_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
    listen: SocketAddr,
}

const BOUNDS: listen::ServerBounds = listen::ServerBounds {
    connections: 1024,
    body: 16 << 20,
    headers: Duration::from_secs(10),
    single: None,
};

impl SinkArgs {
    pub(super) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let shutdown = shutdown::listen(None)?;
        let listener = tokio::net::TcpListener::bind(self.listen).await.map_err(|error| {
            format!("cannot listen on {}: {error}; choose another with --listen", self.listen)
        })?;
        info!("sink listens on http://{}/", listener.local_addr()?);
        listen::serve(listener, shutdown.stop, BOUNDS, answer).await;
        Ok(ExitCode::SUCCESS)
    }
}

async fn answer(request: Request<Bytes>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let rest = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.parse::<u16>().ok());
    if let Some(millis) = rest("/delay/") {
        tokio::time::sleep(Duration::from_millis(millis.into())).await;
    }
    let status = rest("/status/").and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK);
    let label = request.headers().get("postrider-label");
    let label = label.and_then(|label| label.to_str().ok()).unwrap_or_default();
    let (method, bytes) = (request.method(), request.body().len());
    info!(%method, path, label, bytes, status = status.as_u16(), "request");
    let mut response = Response::new(Full::new(Bytes::from(format!("{}\n", echo(&request)))));
    *response.status_mut() = status;
    response
}

fn echo(request: &Request<Bytes>) -> Value {
    let mut headers = Map::new();
    for (name, value) in request.headers() {
        headers.insert(name.to_string(), String::from_utf8_lossy(value.as_bytes()).into());
    }
    json!({
        "method": request.method().as_str(),
        "path": request.uri().to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(request.body()),
    })
}
