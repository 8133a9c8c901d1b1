//! `/v1/jobs`: live jobs.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use postrider_queue::admin::{ShardName, State as JobState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::jobs_of_flow::jobs_of_flow;
use super::search::{Found, look_up};
use crate::access::{Caller, Scope};
use crate::problem::Problem;
use crate::state::Shared;
use crate::view::JobView;

/// How many jobs of each queue a list shows by default, and at most.
const LIST: (usize, usize) = (20, 1_000);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Only jobs of this queue.
    queue: Option<String>,
    /// Only jobs in this state: `ready`, `running`, `scheduled` or `held`.
    #[param(pattern = "^(ready|running|scheduled|held)$")]
    state: Option<String>,
    /// Only jobs of this flow: its key, its id, or a host. All held ones are looked at, and of the others the first 1,000 of
    /// each shard; `more` is true where there are others.
    flow: Option<String>,
    /// At most this many of each shard of a queue: 1 to 1000. Default: 20.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Jobs {
    /// Running, ready, scheduled by due time, then held.
    pub(crate) jobs: Vec<JobView>,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// List live jobs
#[utoipa::path(operation_id = "listJobs", get, path = "/v1/jobs", tag = "jobs", params(ListParameters),
    responses((status = 200, body = Jobs), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    parameters: Result<Query<ListParameters>, QueryRejection>,
) -> Result<Json<Jobs>, Problem> {
    let Query(ListParameters { queue, state, flow, limit }) = parameters?;
    let limit = super::limit(limit, LIST)?;
    let state = state.as_deref().map(job_state).transpose()?;
    let shards = shared.shards(queue.as_deref()).await?;
    match flow {
        None => jobs_of(&shared, &shards, state, limit).await.map(Json),
        Some(flow) => {
            let (jobs, more) = jobs_of_flow(&shared, &shards, state, &flow, limit).await?;
            Ok(Json(Jobs { jobs, more }))
        }
    }
}

/// Up to `limit` jobs of each of these shards.
pub(crate) async fn jobs_of(
    shared: &Shared,
    shards: &[ShardName],
    state: Option<JobState>,
    limit: usize,
) -> Result<Jobs, Problem> {
    let mut all = Jobs { jobs: vec![], more: false };
    for shard in shards {
        let listing = shared.inspector.list(shard, state, limit).await?;
        all.jobs.extend(listing.jobs.iter().map(JobView::new));
        all.more |= listing.has_more;
    }
    Ok(all)
}

/// Reads the state of a live job.
pub(crate) fn job_state(text: &str) -> Result<JobState, Problem> {
    match text {
        "ready" => Ok(JobState::Ready),
        "running" => Ok(JobState::Running),
        "scheduled" => Ok(JobState::Scheduled),
        "held" => Ok(JobState::Held),
        "dead" => Err(Problem::parameter("state", "dead letters are listed by /v1/dead")),
        _ => Err(Problem::parameter("state", "parameter `state`: write ready, running, scheduled or held")),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FindParameters {
    /// Only this queue.
    queue: Option<String>,
    /// Show secrets; needs the scope `reveal`.
    #[serde(default)]
    reveal: bool,
    /// Continue a search: `next.cursor` of its answer.
    cursor: Option<String>,
}

/// Find out what happened to a job
///
/// Searches live jobs, dead letters, results and delivery logs. The id of a job that waits, or has not waited yet, is looked up at once.
/// All else is searched for, also the id of a job that is dead. A search answers within a second with what it has found by then, and `next`,
/// with which it can be continued.
#[utoipa::path(operation_id = "findJob", get, path = "/v1/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "Job id, label or trace id."), FindParameters),
    responses((status = 200, body = Found), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn find(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parameters: Result<Query<FindParameters>, QueryRejection>,
) -> Result<Json<Found>, Problem> {
    let Query(FindParameters { queue, reveal, cursor }) = parameters?;
    if reveal {
        caller.require(Scope::Reveal)?;
    }
    let found = look_up(&shared, &id, queue.as_deref(), reveal, cursor.as_deref()).await?;
    if found.is_empty() && found.next.is_none() {
        let detail = format!(
            "nothing is known of {id}: it was delivered without a result that is kept or a delivery log, or was purged, or is in another \
             Redis"
        );
        return Err(Problem::not_found(detail));
    }
    Ok(Json(found))
}
