//! Order keys that dead letters have stopped.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use postrider_queue::admin::{self, StoppedLine};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract;
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::view::{StoppedKeyView, plain};

/// The order keys of a queue that dead letters have stopped.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoppedKeys {
    /// The keys; of each shard, the first stopped one first, and up to 1,000.
    pub(crate) keys: Vec<StoppedKeyView>,
    /// How many there are in all.
    pub(crate) total: u64,
}

/// List stopped order keys
///
/// In a queue with `on_dead = "stop"`, a dead letter stops the later jobs of its order key. They go on when it is replayed, which
/// takes its place, when it is purged, or when the key is resumed.
#[utoipa::path(operation_id = "listStoppedKeys", get, path = "/v1/queues/{queue}/order", tag = "queues",
    params(("queue" = String, Path, description = "The queue.")),
    responses((status = 200, body = StoppedKeys), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(queue): Path<String>,
) -> Result<Json<StoppedKeys>, Problem> {
    stopped_keys(&shared, &queue).await.map(Json)
}

/// The stopped order keys of a queue.
pub(crate) async fn stopped_keys(shared: &Shared, queue: &str) -> Result<StoppedKeys, Problem> {
    let (mut keys, mut total) = (vec![], 0);
    for shard in shared.shards(Some(queue)).await? {
        let stopped = shared.inspector.line_counts(&shard).await?.stopped;
        if stopped > 0 {
            keys.extend(shared.inspector.stopped_lines(&shard, None).await?.iter().map(StoppedKeyView::new));
            total += stopped;
        }
    }
    Ok(StoppedKeys { keys, total })
}

/// Which order keys to resume: `order` or `all`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ResumeRequest {
    /// The order key.
    #[schema(min_length = 1)]
    pub(crate) order: Option<String>,
    /// All stopped keys; of each shard up to 1,000.
    pub(crate) all: bool,
}

/// Order keys that were resumed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResumedKeys {
    /// What was known of each when it was resumed.
    resumed: Vec<StoppedKeyView>,
    /// How many keys of the queue are still stopped. With `all`, repeat the request while there are any.
    left: u64,
}

/// Resume stopped order keys
///
/// Their later jobs go on. The dead letters stay where they are.
#[utoipa::path(operation_id = "resumeStoppedKeys", post, path = "/v1/queues/{queue}/order/resume", tag = "queues",
    params(("queue" = String, Path, description = "The queue.")), request_body = ResumeRequest,
    responses((status = 200, body = ResumedKeys), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn resume(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ResumedKeys>, Problem> {
    let request: ResumeRequest = extract::json(&shared, &headers, body).await?;
    shared.clone().finish(resume_keys(shared, caller, queue, request)).await.map(Json)
}

/// Resumes order keys, and records who did it.
pub(crate) async fn resume_keys(
    shared: Arc<Shared>,
    caller: Caller,
    queue: String,
    request: ResumeRequest,
) -> Result<ResumedKeys, Problem> {
    let mut resumed = vec![];
    for line in meant(&shared, &queue, &request).await? {
        if shared.inspector.resume_lines(&line.queue, std::slice::from_ref(&line.place)).await? == 0 {
            continue;
        }
        let (subject, jobs) = (line.subject(), line.counted());
        let queue = Some(line.queue.queue.as_str());
        let change = admin::Change { caller: &caller.name, change: "resume", queue, subject: &subject, jobs };
        shared.inspector.record(&change).await;
        resumed.push(StoppedKeyView::new(&line));
    }
    if resumed.is_empty() && !request.all {
        let detail = format!("no such order key is stopped in {queue}; see /v1/queues/{queue}/order");
        return Err(Problem::not_found(detail));
    }
    let mut left = 0;
    for shard in shared.shards(Some(&queue)).await? {
        left += shared.inspector.line_counts(&shard).await?.stopped;
    }
    Ok(ResumedKeys { resumed, left })
}

/// The stopped lines that a request means. A key is known by its own text, or by the one that is shown of it.
async fn meant(shared: &Shared, queue: &str, request: &ResumeRequest) -> Result<Vec<StoppedLine>, Problem> {
    let key = match (request.order.as_deref(), request.all) {
        (None, true) => None,
        (Some(key), false) if !key.is_empty() => Some(key),
        _ => {
            let wrong = Problem::parameter("order", "give one of the members: `order`, or `all` with `true`");
            return Err(wrong.with_status(StatusCode::UNPROCESSABLE_ENTITY));
        }
    };
    let shards = shared.shards(Some(queue)).await?;
    let mut lines = vec![];
    for shard in &shards {
        lines.extend(shared.inspector.stopped_lines(shard, key).await?);
    }
    let Some(key) = key.filter(|_| lines.is_empty()) else { return Ok(lines) };
    for shard in &shards {
        let all = shared.inspector.stopped_lines(shard, None).await?;
        lines.extend(all.into_iter().filter(|line| plain(line.note.order.as_bytes(), 256) == key));
    }
    Ok(lines)
}
