//! Pauses of queues and flows.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use postrider_queue::QueueName;
use postrider_queue::admin::{self, Pausable, Pause, PauseEnd, PauseError, PauseNote, SetPauses, ToPause};
use postrider_queue::job::flows_meant;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract;
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::{Shared, queue_name};
use crate::view::{PauseView, pause_end, pause_subject, pause_words};

/// How long to pause, and why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PauseRequest {
    /// When the pause ends: a duration, as `30m`, or a time in RFC 3339. Default: when it is resumed.
    pub(crate) until: Option<String>,
    /// Why; shown where the pause is shown.
    #[schema(min_length = 1, max_length = 256)]
    pub(crate) why: Option<String>,
}

impl PauseRequest {
    fn end(&self) -> Result<PauseEnd, Problem> {
        let end = self.until.as_deref().map_or(Ok(PauseEnd::Never), pause_end);
        end.map_err(|error| wrong("until", format!("member `until`: {error}")))
    }

    fn note(&self, caller: &Caller) -> Result<PauseNote, Problem> {
        let why = self.why.as_deref().map(|why| words("why", why)).transpose()?;
        Ok(PauseNote { by: Some(caller.name.to_string()), why })
    }
}

fn wrong(field: &str, detail: String) -> Problem {
    Problem::parameter(field, detail).with_status(StatusCode::UNPROCESSABLE_ENTITY)
}

fn words(field: &str, text: &str) -> Result<String, Problem> {
    pause_words(text).map_err(|error| wrong(field, format!("member `{field}`: {error}")))
}

/// A queue that was paused or resumed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueuePause {
    /// The queue.
    queue: String,
    /// Its pause; null if it is not paused now.
    paused: Option<PauseView>,
    /// Whether it was paused before.
    was_paused: bool,
    /// What to know about it: for example that no job has been enqueued there yet.
    note: Option<String>,
}

/// Pause a queue
///
/// Within 2 s, no worker fetches a job of it. Jobs keep arriving, and running attempts end normally. A request for a queue
/// that is paused changes the end of its pause. The body may be empty.
#[utoipa::path(operation_id = "pauseQueue", post, path = "/v1/queues/{queue}/pause", tag = "queues",
    params(("queue" = String, Path, description = "The queue.")), request_body = Option<PauseRequest>,
    responses((status = 200, body = QueuePause), (status = 400, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn pause_queue(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<QueuePause>, Problem> {
    let queue = queue_name(&queue)?;
    let request: PauseRequest = extract::json_or_default(&shared, &headers, body).await?;
    shared.clone().finish(set_queue_pause(shared, caller, queue, request)).await.map(Json)
}

/// Pauses a queue, and records who did it.
pub(crate) async fn set_queue_pause(
    shared: Arc<Shared>,
    caller: Caller,
    queue: QueueName,
    request: PauseRequest,
) -> Result<QueuePause, Problem> {
    let (end, note) = (request.end()?, request.note(&caller)?);
    let to_pause = ToPause { what: Pausable::Queue(queue.clone()), name: None };
    let set = shared.redis.pause(&[to_pause], end, &note).await?;
    let (name, subject) = (queue.as_str(), pause_subject(None, set.until, note.why.as_deref()));
    record(&shared, &caller, "pause", Some(name), &subject).await;
    let is_known = shared.inspector.has_keys(&queue).await?;
    let advice = (!is_known)
        .then(|| "no job has been enqueued there yet: it is paused before its first job".to_owned());
    let pause = Pause { until: set.until, since: None, by: note.by, why: note.why, name: None };
    let pauses = shared.inspector.pauses().await.unwrap_or_default();
    let paused = PauseView::new(pauses.queue(&queue).unwrap_or(&pause));
    let was_paused = set.were.first() == Some(&true);
    Ok(QueuePause { queue: queue.to_string(), paused: Some(paused), was_paused, note: advice })
}

/// Resume a queue
///
/// Workers fetch its jobs again within 2 s. It is no error if the queue is not paused.
#[utoipa::path(operation_id = "resumeQueue", post, path = "/v1/queues/{queue}/resume", tag = "queues",
    params(("queue" = String, Path, description = "The queue.")),
    responses((status = 200, body = QueuePause), (status = 400, body = Problem)))]
pub(super) async fn resume_queue(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(queue): Path<String>,
) -> Result<Json<QueuePause>, Problem> {
    let queue = queue_name(&queue)?;
    shared.clone().finish(end_queue_pause(shared, caller, queue)).await.map(Json)
}

/// Resumes a queue, and records who did it.
pub(crate) async fn end_queue_pause(
    shared: Arc<Shared>,
    caller: Caller,
    queue: QueueName,
) -> Result<QueuePause, Problem> {
    let was_paused = shared.redis.resume(&[Pausable::Queue(queue.clone())]).await?.first() == Some(&true);
    if was_paused {
        record(&shared, &caller, "resume", Some(queue.as_str()), "").await;
    }
    Ok(QueuePause { queue: queue.to_string(), paused: None, was_paused, note: None })
}

/// Which flow to pause, how long, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FlowPauseRequest {
    /// The key that jobs name, `HOST:PORT`, a URL, an id, or a host: then its destinations on 443 and 80.
    #[schema(min_length = 1, max_length = 256)]
    flow: String,
    /// When the pause ends: a duration, as `30m`, or a time in RFC 3339. Default: when it is resumed.
    #[serde(default)]
    until: Option<String>,
    /// Why; shown where the pause is shown.
    #[schema(min_length = 1, max_length = 256)]
    #[serde(default)]
    why: Option<String>,
}

/// Which flow to resume.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FlowResumeRequest {
    /// As it was paused.
    #[schema(min_length = 1, max_length = 256)]
    flow: String,
}

/// Flows that were paused or resumed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlowPauses {
    /// Each flow that the text means.
    flows: Vec<FlowPause>,
}

/// A flow that was paused or resumed.
#[derive(Debug, Serialize, ToSchema)]
struct FlowPause {
    /// Its name, if known.
    flow: Option<String>,
    /// Its id.
    id: String,
    /// Its pause; null if it is not paused now.
    paused: Option<PauseView>,
    /// Whether it was paused before.
    was_paused: bool,
}

/// Pause a flow
///
/// Its jobs are held, in all queues, without an attempt.
#[utoipa::path(operation_id = "pauseFlow", post, path = "/v1/flows/pause", tag = "queues", request_body = FlowPauseRequest,
    responses((status = 200, body = FlowPauses), (status = 422, body = Problem)))]
pub(super) async fn pause_flow(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<FlowPauses>, Problem> {
    let FlowPauseRequest { flow, until, why } = extract::json(&shared, &headers, body).await?;
    let request = PauseRequest { until, why };
    shared.clone().finish(set_flow_pause(shared, caller, flow, request)).await.map(Json)
}

/// Pauses the flows that a text means, and records who did it.
pub(crate) async fn set_flow_pause(
    shared: Arc<Shared>,
    caller: Caller,
    flow: String,
    request: PauseRequest,
) -> Result<FlowPauses, Problem> {
    let meant = flows_meant(&words("flow", &flow)?);
    let (end, note) = (request.end()?, request.note(&caller)?);
    let to_pause =
        |(id, name): &(_, Option<String>)| ToPause { what: Pausable::Flow(*id), name: name.clone() };
    let all: Vec<ToPause> = meant.iter().map(to_pause).collect();
    let SetPauses { until, were, .. } = shared.redis.pause(&all, end, &note).await?;
    shared.forget_flows();
    let subject = pause_subject(Some(&flow), until, note.why.as_deref());
    record(&shared, &caller, "pause", None, &subject).await;
    let pauses = shared.inspector.pauses().await.unwrap_or_default();
    let set = Pause { until, since: None, by: note.by, why: note.why, name: None };
    let paused = |id| Some(PauseView::new(pauses.flows.get(id).unwrap_or(&set)));
    let rows = meant.iter().zip(were).map(|((id, name), was_paused)| FlowPause {
        flow: name.clone(),
        id: id.to_string(),
        paused: paused(id),
        was_paused,
    });
    Ok(FlowPauses { flows: rows.collect() })
}

/// Resume a flow
///
/// Its held jobs are let go in the order of their age. It is no error if the flow is not paused.
#[utoipa::path(operation_id = "resumeFlow", post, path = "/v1/flows/resume", tag = "queues", request_body = FlowResumeRequest,
    responses((status = 200, body = FlowPauses), (status = 422, body = Problem)))]
pub(super) async fn resume_flow(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<FlowPauses>, Problem> {
    let FlowResumeRequest { flow } = extract::json(&shared, &headers, body).await?;
    shared.clone().finish(end_flow_pause(shared, caller, flow)).await.map(Json)
}

/// Resumes the flows that a text means, and records who did it.
pub(crate) async fn end_flow_pause(
    shared: Arc<Shared>,
    caller: Caller,
    flow: String,
) -> Result<FlowPauses, Problem> {
    let meant = flows_meant(&words("flow", &flow)?);
    let all: Vec<Pausable> = meant.iter().map(|(id, _)| Pausable::Flow(*id)).collect();
    let were = shared.redis.resume(&all).await?;
    shared.forget_flows();
    if were.contains(&true) {
        record(&shared, &caller, "resume", None, &flow).await;
    }
    let rows = meant.into_iter().zip(were).map(|((id, flow), was_paused)| FlowPause {
        flow,
        id: id.to_string(),
        paused: None,
        was_paused,
    });
    Ok(FlowPauses { flows: rows.collect() })
}

async fn record(shared: &Shared, caller: &Caller, change: &'static str, queue: Option<&str>, subject: &str) {
    shared.inspector.record(&admin::Change { caller: &caller.name, change, queue, subject, jobs: 0 }).await;
}

impl From<PauseError> for Problem {
    fn from(error: PauseError) -> Self {
        match error {
            PauseError::Redis(error) => error.into(),
            PauseError::Over(_) => wrong("until", format!("member `until`: {error}")),
            PauseError::TooMany => Self::new(StatusCode::CONFLICT, error.to_string()),
        }
    }
}
