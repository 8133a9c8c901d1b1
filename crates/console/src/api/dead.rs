//! `/v1/dead`: dead letters.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use postrider_queue::admin::{DeadLetter, Replayed};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::changed::{Changed, count, record};
use super::extract;
use super::operations::{self, RATE, Work};
use super::select::{Conditions, Selected, select};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::{Progress, Shared};
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
    let Selected { letters, next, .. } = select(&shared, &conditions, &[], limit).await?;
    Ok(Json(Page { dead: letters.iter().map(DeadView::new).collect(), next }))
}

/// Which dead letters to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    /// Entry ids or job ids.
    #[serde(default)]
    ids: Vec<String>,
    /// All dead letters: required if there are neither ids nor conditions.
    #[serde(default)]
    all: bool,
    /// Which of them; `limit` is at most 1000, 100 by default, and means nothing for an operation.
    #[serde(default, deserialize_with = "extract::object")]
    conditions: Conditions,
    /// Change all that match, this many a second, in an operation that goes on after the request: 1 to 1000.
    #[schema(minimum = 1, maximum = 1000)]
    rate: Option<u32>,
}

impl Selection {
    async fn of(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        let own: Self = extract::json(shared, headers, body).await?;
        if !own.all && own.ids.is_empty() && !own.conditions.select_something() {
            let detail = "give `ids`, `conditions`, or `all`: a request without a selection must not change everything";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        if own.rate.is_some_and(|rate| !(1..=RATE.1).contains(&rate)) {
            return Err(Problem::parameter("rate", format!("`rate`: write 1 to {}", RATE.1)));
        }
        Ok(own)
    }

    async fn letters(&self, shared: &Shared) -> Result<Selected, Problem> {
        let limit = super::limit(self.conditions.limit, CHANGES)?;
        select(shared, &self.conditions, &self.ids, limit).await
    }

    /// Begins an operation, and answers with it.
    async fn begin(self, shared: &Arc<Shared>, caller: &Caller, is_purge: bool) -> Result<Response, Problem> {
        let rate = self.rate.unwrap_or(RATE.0);
        let work = Work { conditions: self.conditions, ids: self.ids, is_purge, rate };
        let progress = operations::begin(shared, caller, work).await?.progress();
        let location = [(LOCATION, format!("/v1/operations/{}", progress.id))];
        Ok((StatusCode::ACCEPTED, location, Json(progress)).into_response())
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
/// The new job has a new job id and all its attempts, and is sent at once. One request replays up to 1,000. With `rate`, an
/// operation replays all that match.
#[utoipa::path(operation_id = "replayDeadLetters", post, path = "/v1/dead/replay", tag = "dead letters", request_body = Selection,
    responses((status = 200, body = AllReplayed), (status = 202, description = "An operation has begun.", body = Progress),
        (status = 422, body = Problem)))]
pub(super) async fn replay(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let selection = Selection::of(&shared, &headers, body).await?;
    if selection.rate.is_some() {
        return selection.begin(&shared, &caller, false).await;
    }
    let selected = selection.letters(&shared).await?;
    let all = shared.clone().finish(replay_all(shared, caller, selected)).await?;
    Ok(Json(all).into_response())
}

async fn replay_all(shared: Arc<Shared>, caller: Caller, selected: Selected) -> Result<AllReplayed, Problem> {
    let mut all = AllReplayed { replayed: vec![], failed: vec![], more: selected.next.is_some() };
    let (mut changed, mut stopped) = (Changed::new(), Ok(()));
    for letter in &selected.letters {
        let queue = letter.queue.to_string();
        let outcome = match shared.inspector.replay(letter, None).await {
            Ok(Replayed::As(entry)) => {
                let (job_id, replay_of) = (entry.to_string(), letter.job_id.clone());
                all.replayed.push(NewId { queue, job_id, replay_of });
                count(&mut changed, letter, 1);
                continue;
            }
            Ok(Replayed::Gone) => "gone",
            Ok(Replayed::NoJob) => "no_job",
            Err(error) => {
                stopped = Err(error);
                break;
            }
        };
        all.failed.push(Failed { queue, entry: letter.entry.to_string(), outcome });
    }
    record(&shared, &caller, "replay", &selected.subject, changed).await;
    stopped?;
    Ok(all)
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
/// One request deletes up to 1,000. With `rate`, an operation deletes all that match.
#[utoipa::path(operation_id = "purgeDeadLetters", post, path = "/v1/dead/purge", tag = "dead letters", request_body = Selection,
    responses((status = 200, body = Purged), (status = 202, description = "An operation has begun.", body = Progress),
        (status = 422, body = Problem)))]
pub(super) async fn purge(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let selection = Selection::of(&shared, &headers, body).await?;
    if selection.rate.is_some() {
        return selection.begin(&shared, &caller, true).await;
    }
    let selected = selection.letters(&shared).await?;
    let all = shared.clone().finish(purge_all(shared, caller, selected)).await?;
    Ok(Json(all).into_response())
}

async fn purge_all(shared: Arc<Shared>, caller: Caller, selected: Selected) -> Result<Purged, Problem> {
    let (mut changed, mut stopped) = (Changed::new(), Ok(()));
    for same in selected.letters.chunk_by(|one, other| one.queue == other.queue) {
        let all: Vec<&DeadLetter> = same.iter().collect();
        match shared.inspector.purge(&same[0].queue, &all).await {
            Ok(purged) => count(&mut changed, &same[0], purged),
            Err(error) => {
                stopped = Err(error);
                break;
            }
        }
    }
    let purged = changed.values().sum();
    record(&shared, &caller, "purge", &selected.subject, changed).await;
    stopped?;
    Ok(Purged { purged, more: selected.next.is_some() })
}
