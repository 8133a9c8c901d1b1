//! Changes of single jobs.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use postrider_queue::admin::{self, Cancelled, FoundJob, Place, Replayed};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::problem::Problem;
use crate::state::Shared;

/// How often a change follows a job that moves.
const TRIES: usize = 3;

/// What a change has done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Changed {
    /// The job id.
    job_id: String,
    /// `cancelled`; `cancelled_while_running`: its request may have been sent; `ready`: the job runs now.
    pub(crate) outcome: &'static str,
}

/// Cancel a job
///
/// It is dead-lettered with the reason `cancelled`. The request of a running job may have been sent already.
#[utoipa::path(operation_id = "cancelJob", post, path = "/v1/queues/{queue}/jobs/{job_id}/cancel", tag = "jobs",
    params(("queue" = String, Path, description = "The queue."), ("job_id" = String, Path, description = "The job id.")),
    responses((status = 200, body = Changed), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((queue, job_id)): Path<(String, String)>,
) -> Result<Json<Changed>, Problem> {
    shared.clone().finish(Change::Cancel.apply(shared, caller, queue, job_id)).await
}

/// Run a job now
///
/// A scheduled or held job becomes ready.
#[utoipa::path(operation_id = "runJobNow", post, path = "/v1/queues/{queue}/jobs/{job_id}/run-now", tag = "jobs",
    params(("queue" = String, Path, description = "The queue."), ("job_id" = String, Path, description = "The job id.")),
    responses((status = 200, body = Changed), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn run_now(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((queue, job_id)): Path<(String, String)>,
) -> Result<Json<Changed>, Problem> {
    shared.clone().finish(Change::RunNow.apply(shared, caller, queue, job_id)).await
}

/// A change of one job.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Cancel,
    RunNow,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::RunNow => "run_now",
        }
    }

    /// Changes a job, and records who did it.
    pub(crate) async fn apply(
        self,
        shared: Arc<Shared>,
        caller: Caller,
        queue: String,
        job_id: String,
    ) -> Result<Json<Changed>, Problem> {
        for _ in 0..TRIES {
            let Some(job) = find(&shared, &queue, &job_id).await? else { break };
            if let Some(outcome) = self.once(&shared, &job).await? {
                let (queue, subject) = (Some(queue.as_str()), job_id.as_str());
                let change =
                    admin::Change { caller: &caller.name, change: self.name(), queue, subject, jobs: 1 };
                shared.inspector.record(&change).await;
                return Ok(Json(Changed { job_id, outcome }));
            }
        }
        let detail =
            format!("no job {job_id} is ready, running, scheduled or held in {queue}; see /v1/jobs/{job_id}");
        Err(Problem::not_found(detail))
    }

    /// The outcome; `None` if the job has moved in the meantime.
    async fn once(self, shared: &Shared, job: &FoundJob) -> Result<Option<&'static str>, Problem> {
        match self {
            Self::Cancel => match shared.inspector.cancel(job).await? {
                Cancelled::Before => Ok(Some("cancelled")),
                Cancelled::WhileRunning => Ok(Some("cancelled_while_running")),
                Cancelled::Gone => Ok(None),
                Cancelled::Unmovable => Err(conflict("it has too many fields; a worker will dead-letter it")),
            },
            Self::RunNow => match &job.place {
                Place::Scheduled(_) | Place::Held { .. } => match shared.inspector.run_now(job).await? {
                    Replayed::As(_) => Ok(Some("ready")),
                    Replayed::Gone => Ok(None),
                    Replayed::NoJob => Err(conflict("it cannot be read; it is dead-lettered when it is due")),
                },
                Place::InLine { .. } => {
                    Err(conflict("it waits for its turn: earlier jobs of its order key have not ended"))
                }
                Place::Ready(_) => Err(conflict("it is neither scheduled nor held: it is ready")),
                Place::Running { .. } => Err(conflict("it is neither scheduled nor held: it is running")),
            },
        }
    }
}

fn conflict(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, detail)
}

async fn find(shared: &Shared, queue: &str, job_id: &str) -> Result<Option<FoundJob>, Problem> {
    for shard in shared.shards(Some(queue)).await? {
        let search = shared.inspector.find(&shard, job_id).await?;
        if let Some(job) = search.jobs.into_iter().find(|job| job.id == job_id) {
            return Ok(Some(job));
        }
    }
    Ok(None)
}
