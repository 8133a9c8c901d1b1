//! `/v1/cron`: definitions of periodic jobs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use postrider_queue::admin::{self, Applied, ApplyError, Cron};
use postrider_queue::cron::{BadCronName, CronName};
use postrider_queue::{Enqueuing, QueueName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::new_definition::{NewDefinition, read};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::{Shared, queue_name};
use crate::view::CronView;

/// Which definitions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// Only of this queue.
    queue: Option<String>,
}

/// Definitions of periodic jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Definitions {
    /// By queue and name.
    cron: Vec<CronView>,
}

/// A change of a definition.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CronChanged {
    /// The queue.
    queue: String,
    /// The name.
    name: String,
    /// `paused`, `resumed`, `removed` or `enqueued`; or `unchanged`: it was so before.
    outcome: &'static str,
    /// The job that was enqueued.
    pub(crate) job_id: Option<String>,
}

/// A definition, by the path of a request.
struct Named {
    queue: QueueName,
    name: CronName,
}

impl Named {
    fn parse((queue, name): (String, String)) -> Result<Self, Problem> {
        let name =
            name.parse().map_err(|error: BadCronName| Problem::parameter("name", error.to_string()))?;
        Ok(Self { queue: queue_name(&queue)?, name })
    }

    async fn find(&self, shared: &Shared) -> Result<Cron, Problem> {
        let all = shared.inspector.crons(&self.queue).await?;
        all.into_iter().find(|cron| cron.name == self.name.to_string()).ok_or_else(|| self.unknown())
    }

    fn unknown(&self) -> Problem {
        Problem::not_found(format!(
            "there is no definition {} in queue {}; see /v1/cron",
            self.name, self.queue
        ))
    }

    async fn record(&self, shared: &Shared, caller: &Caller, change: &'static str, jobs: u64) {
        let subject = format!("cron {}", self.name);
        let queue = Some(self.queue.as_str());
        let change = admin::Change { caller: &caller.name, change, queue, subject: &subject, jobs };
        shared.inspector.record(&change).await;
    }

    fn changed(&self, outcome: &'static str, job_id: Option<String>) -> CronChanged {
        let (queue, name) = (self.queue.to_string(), self.name.to_string());
        CronChanged { queue, name, outcome, job_id }
    }
}

/// List definitions of periodic jobs
#[utoipa::path(operation_id = "listCron", get, path = "/v1/cron", tag = "cron", params(Parameters),
    responses((status = 200, body = Definitions), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<Definitions>, Problem> {
    let Query(Parameters { queue }) = parameters?;
    let queues: Vec<QueueName> = match queue {
        Some(queue) => vec![queue_name(&queue)?],
        None => shared.all_queues().await?,
    };
    Ok(Json(Definitions { cron: views(&shared, &queues).await? }))
}

/// The definitions of these queues, by queue and name.
pub(crate) async fn views(shared: &Shared, queues: &[QueueName]) -> Result<Vec<CronView>, Problem> {
    let mut views = Vec::new();
    for queue in queues {
        views.extend(shared.inspector.crons(queue).await?.iter().map(|cron| CronView::new(cron, false)));
    }
    Ok(views)
}

/// Show a definition of periodic jobs
#[utoipa::path(operation_id = "showCron", get, path = "/v1/cron/{queue}/{name}", tag = "cron",
    params(("queue" = String, Path, description = "The queue."), ("name" = String, Path, description = "The name.")),
    responses((status = 200, body = CronView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<(String, String)>,
) -> Result<Json<CronView>, Problem> {
    let cron = Named::parse(path)?.find(&shared).await?;
    Ok(Json(CronView::new(&cron, false)))
}

/// Set a definition of periodic jobs
///
/// It takes effect within 2 s. One whose time has not changed keeps its next tick, and one that is paused stays so.
#[utoipa::path(operation_id = "setCron", put, path = "/v1/cron/{queue}/{name}", tag = "cron",
    params(("queue" = String, Path, description = "The queue."), ("name" = String, Path, description = "The name.")),
    request_body = NewDefinition,
    responses((status = 200, description = "It was there before, or has replaced another one.", body = CronView),
        (status = 201, description = "It is new.", body = CronView), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn set(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let named = Named::parse(path)?;
    let definition = read(&shared, &headers, body).await?;
    let own = shared.clone();
    let change = async move {
        let Named { queue, name } = &named;
        let all = [(name.clone(), definition)];
        let (applied, _) = shared.inspector.apply_crons(queue, &all, &[]).await?;
        if applied != [Applied::Unchanged] {
            named.record(&shared, &caller, "apply", 0).await;
        }
        let view = CronView::new(&named.find(&shared).await?, false);
        let status = if applied == [Applied::Created] { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, Json(view)).into_response())
    };
    own.finish(change).await
}

/// Remove a definition of periodic jobs
///
/// Jobs that it has made stay.
#[utoipa::path(operation_id = "removeCron", delete, path = "/v1/cron/{queue}/{name}", tag = "cron",
    params(("queue" = String, Path, description = "The queue."), ("name" = String, Path, description = "The name.")),
    responses((status = 200, body = CronChanged), (status = 404, body = Problem)))]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
) -> Result<Json<CronChanged>, Problem> {
    let named = Named::parse(path)?;
    let own = shared.clone();
    let change = async move {
        let names = [named.name.to_string()];
        let (_, removed) = shared.inspector.apply_crons(&named.queue, &[], &names).await?;
        if removed == 0 {
            return Err(named.unknown());
        }
        named.record(&shared, &caller, "remove", 0).await;
        Ok(Json(named.changed("removed", None)))
    };
    own.finish(change).await
}

/// Pause a definition of periodic jobs
///
/// It has no tick until it is resumed.
#[utoipa::path(operation_id = "pauseCron", post, path = "/v1/cron/{queue}/{name}/pause", tag = "cron",
    params(("queue" = String, Path, description = "The queue."), ("name" = String, Path, description = "The name.")),
    responses((status = 200, body = CronChanged), (status = 404, body = Problem)))]
pub(super) async fn pause(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
) -> Result<Json<CronChanged>, Problem> {
    shared.clone().finish(CronChange::Pause.apply(shared, caller, path)).await.map(Json)
}

/// Resume a definition of periodic jobs
///
/// With its first tick from now on.
#[utoipa::path(operation_id = "resumeCron", post, path = "/v1/cron/{queue}/{name}/resume", tag = "cron",
    params(("queue" = String, Path, description = "The queue."), ("name" = String, Path, description = "The name.")),
    responses((status = 200, body = CronChanged), (status = 404, body = Problem)))]
pub(super) async fn resume(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
) -> Result<Json<CronChanged>, Problem> {
    shared.clone().finish(CronChange::Resume.apply(shared, caller, path)).await.map(Json)
}

/// Make a periodic job now
///
/// Whatever else runs; the ticks stay as they are.
#[utoipa::path(operation_id = "runCronNow", post, path = "/v1/cron/{queue}/{name}/run-now", tag = "cron",
    params(("queue" = String, Path, description = "The queue."), ("name" = String, Path, description = "The name.")),
    responses((status = 200, body = CronChanged), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn run_now(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
) -> Result<Json<CronChanged>, Problem> {
    shared.clone().finish(CronChange::RunNow.apply(shared, caller, path)).await.map(Json)
}

/// A change of a definition's state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CronChange {
    Pause,
    Resume,
    RunNow,
}

impl CronChange {
    /// Changes a definition, and records who did it.
    pub(crate) async fn apply(
        self,
        shared: Arc<Shared>,
        caller: Caller,
        path: (String, String),
    ) -> Result<CronChanged, Problem> {
        let named = Named::parse(path)?;
        let unknown = || named.unknown();
        match self {
            Self::Pause => {
                let was =
                    shared.inspector.pause_cron(&named.queue, &named.name).await?.ok_or_else(unknown)?;
                named.record(&shared, &caller, "pause", 0).await;
                Ok(named.changed(if was { "unchanged" } else { "paused" }, None))
            }
            Self::Resume => {
                let was =
                    shared.inspector.resume_cron(&named.queue, &named.name).await?.ok_or_else(unknown)?;
                named.record(&shared, &caller, "resume", 0).await;
                Ok(named.changed(if was { "resumed" } else { "unchanged" }, None))
            }
            Self::RunNow => {
                let Ok(definition) = named.find(&shared).await?.definition else {
                    return Err(Problem::new(
                        StatusCode::CONFLICT,
                        "the definition is wrong; set a right one",
                    ));
                };
                let fields = definition.job_at(&named.name, shared.inspector.now().await?);
                let job = shared.redis.enqueue(&named.queue, fields, &Enqueuing::default()).await?;
                named.record(&shared, &caller, "run_now", 1).await;
                Ok(named.changed("enqueued", Some(job.entry.to_string())))
            }
        }
    }
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Redis(error) => error.into(),
            error => Self::new(StatusCode::CONFLICT, error.to_string()),
        }
    }
}
