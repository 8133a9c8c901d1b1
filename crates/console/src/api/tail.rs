//! `/v1/tail`: deliveries as they end, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};
use utoipa::IntoParams;

use crate::problem::Problem;
use crate::state::{Hub, Listener, Shared, queue_name};
use crate::view::{TailFilter, TailView};

/// A comment after this time without an event shows that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The longest time that a client may ask for.
const FOR_MAX: Duration = Duration::from_secs(24 * 3600);

/// Which deliveries. All conditions must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// Only this queue.
    queue: Option<String>,
    /// Only this host, on the port of `host:port` if given.
    host: Option<String>,
    /// Only where the last attempt got this status: `200`, `404`, `5xx` or `500-503`.
    status: Option<String>,
    /// End the stream after this time: `10s`; at most 24h. Without it, the stream ends when one of both sides stops.
    r#for: Option<String>,
}

impl Parameters {
    /// When the stream ends, if that was asked for.
    fn end(&self) -> Result<Option<Instant>, Problem> {
        let Some(text) = &self.r#for else { return Ok(None) };
        let wrong = |why: &str| Problem::parameter("for", format!("parameter `for`: {why}"));
        match humantime::parse_duration(text) {
            Ok(length) if length <= FOR_MAX => Ok(Some(Instant::now() + length)),
            Ok(_) => Err(wrong("write at most 24h")),
            Err(error) => Err(wrong(&format!("{error}; write it as in 10s"))),
        }
    }

    fn filter(self) -> Result<TailFilter, Problem> {
        let status = self.status.as_deref().map(TailFilter::statuses).transpose();
        Ok(TailFilter {
            queue: self.queue.as_deref().map(queue_name).transpose()?,
            host: self.host.map(|host| host.to_ascii_lowercase()),
            status: status
                .map_err(|error| Problem::parameter("status", format!("parameter `status`: {error}")))?,
        })
    }
}

/// Follow deliveries as they end
///
/// Server-sent events: `delivery` for each job that has ended; `missed` with the number of `jobs` of all queues that this
/// listener has missed, since it was too slow. A comment is sent every 15 s. Workers record jobs for this only while somebody
/// listens; the first may be seen after a second.
#[utoipa::path(operation_id = "tail", get, path = "/v1/tail", tag = "jobs", params(Parameters),
    responses((status = 200, body = TailView, content_type = "text/event-stream", description = "The data of each event `delivery`."),
        (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn follow(
    State(shared): State<Arc<Shared>>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(parameters) = parameters?;
    let end = parameters.end()?;
    let filter = parameters.filter()?;
    // If Redis refuses this, nothing will be seen, and the client must know why.
    shared.inspector.watch().await?;
    let listener = Hub::listen(&shared)?;
    let first = Bytes::from_static(b": deliveries follow as they end\n\n");
    let events = futures_util::stream::unfold((listener, Some(first)), move |(mut listener, first)| {
        let filter = filter.clone();
        async move {
            let next = match first {
                Some(first) => Some(first),
                None => until(end, next(&mut listener, &filter)).await,
            };
            next.map(|bytes| (Ok::<_, Infallible>(bytes), (listener, None)))
        }
    });
    Ok(([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response())
}

/// The next events; `None` at the end of the stream, too.
async fn until(end: Option<Instant>, next: impl Future<Output = Option<Bytes>>) -> Option<Bytes> {
    match end {
        Some(end) => timeout_at(end, next).await.ok().flatten(),
        None => next.await,
    }
}

/// The next events in one piece; `None` at the end.
async fn next(listener: &mut Listener, filter: &TailFilter) -> Option<Bytes> {
    loop {
        let batch = tokio::select! {
            batch = listener.next() => batch?,
            () = sleep(HEARTBEAT) => return Some(Bytes::from_static(b":\n\n")),
        };
        let mut events = String::new();
        if batch.missed > 0 {
            events.push_str(&format!("event: missed\ndata: {{\"jobs\":{}}}\n\n", batch.missed));
        }
        for (view, json) in batch.jobs().iter().filter(|(view, _)| filter.matches(view)) {
            events.push_str(&format!("event: delivery\nid: {}\ndata: {json}\n\n", view.job_id));
        }
        if !events.is_empty() {
            return Some(events.into());
        }
    }
}
