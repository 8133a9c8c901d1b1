//! `/v1/dead`: dead letters.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use postrider_queue::admin::{DeadLetter, Replayed};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;

use super::extract;
use super::select::{Conditions, Selected, select};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::view::DeadView;

/// How many dead letters a page has by default, and at most.
const PAGE: (usize, usize) = (50, 1_000);
/// How many dead letters one request changes by default, and at most.
const CHANGES: (usize, usize) = (100, 1_000);

/// A page of dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page {
    /// Queue by queue, the newest first. A page may be short, or empty, before the end.
    dead: Vec<DeadView>,
    /// The `cursor` of the next page; null at the end.
    next: Option<String>,
}

/// List dead letters
#[utoipa::path(operation_id = "listDeadLetters", get, path = "/v1/dead", tag = "dead letters", params(Conditions),
    responses((status = 200, body = Page), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    conditions: Result<Query<Conditions>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(conditions) = conditions?;
    let limit = super::limit(conditions.limit, PAGE)?;
    let Selected { letters, next } = select(&shared, &conditions, &[], limit).await?;
    Ok(Json(Page { dead: letters.iter().map(DeadView::new).collect(), next }))
}

/// Which dead letters to change.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Selection {
    /// Entry ids or job ids.
    ids: Vec<String>,
    /// All dead letters: required if there are neither ids nor conditions.
    all: bool,
    /// Which of them; `limit` is at most 1000, 100 by default.
    conditions: Conditions,
}

impl Selection {
    async fn of(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<Selected, Problem> {
        let Self { ids, all, conditions } = extract::json(shared, headers, body).await?;
        if !all && ids.is_empty() && !conditions.select_something() {
            let detail = "give `ids`, `conditions`, or `all`: a request without a selection must not change everything";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        let limit = super::limit(conditions.limit, CHANGES)?;
        select(shared, &conditions, &ids, limit).await
    }
}

/// Dead letters that became jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AllReplayed {
    /// The new jobs.
    replayed: Vec<NewId>,
    /// The dead letters that are not jobs, or are gone.
    failed: Vec<Failed>,
    /// Whether there may be more dead letters that match: repeat the request until it is false.
    more: bool,
}

/// A dead letter that became a job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewId {
    /// The queue.
    queue: String,
    /// The id of the new job.
    job_id: String,
    /// The id of the job that died.
    replay_of: String,
}

/// A dead letter that did not become a job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Failed {
    /// The queue.
    queue: String,
    /// The id of its entry.
    entry: String,
    /// `gone`: it was replayed or purged in the meantime. `no_job`: it has no URL, or too many fields.
    outcome: &'static str,
}

/// Turn dead letters into new jobs
///
/// The new job has a new job id and all its attempts, and is sent at once. One request replays up to 1,000.
#[utoipa::path(operation_id = "replayDeadLetters", post, path = "/v1/dead/replay", tag = "dead letters", request_body = Selection,
    responses((status = 200, body = AllReplayed), (status = 422, body = Problem)))]
pub(super) async fn replay(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<AllReplayed>, Problem> {
    let Selected { letters, next } = Selection::of(&shared, &headers, body).await?;
    let mut all = AllReplayed { replayed: vec![], failed: vec![], more: next.is_some() };
    for letter in &letters {
        let queue = letter.queue.to_string();
        let outcome = match shared.inspector.replay(letter, None).await? {
            Replayed::As(entry) => {
                let (job_id, replay_of) = (entry.to_string(), letter.job_id.clone());
                all.replayed.push(NewId { queue, job_id, replay_of });
                continue;
            }
            Replayed::Gone => "gone",
            Replayed::NoJob => "no_job",
        };
        all.failed.push(Failed { queue, entry: letter.entry.to_string(), outcome });
    }
    info!(caller = &*caller.name, change = "replay", jobs = all.replayed.len(), "changed dead letters");
    Ok(Json(all))
}

/// Dead letters that were deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Purged {
    /// How many.
    purged: u64,
    /// Whether there may be more dead letters that match: repeat the request until it is false.
    more: bool,
}

/// Delete dead letters for good
///
/// One request deletes up to 1,000.
#[utoipa::path(operation_id = "purgeDeadLetters", post, path = "/v1/dead/purge", tag = "dead letters", request_body = Selection,
    responses((status = 200, body = Purged), (status = 422, body = Problem)))]
pub(super) async fn purge(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Purged>, Problem> {
    let Selected { letters, next } = Selection::of(&shared, &headers, body).await?;
    let mut purged = 0;
    for same in letters.chunk_by(|one, other| one.queue == other.queue) {
        let all: Vec<&DeadLetter> = same.iter().collect();
        purged += shared.inspector.purge(&same[0].queue, &all).await?;
    }
    info!(caller = &*caller.name, change = "purge", jobs = purged, "changed dead letters");
    Ok(Json(Purged { purged, more: next.is_some() }))
}
