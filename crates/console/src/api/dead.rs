//! `/v1/dead`: dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use postrider_queue::QueueName;
use postrider_queue::admin::{Change, DeadLetter, Replayed};
use serde::{Deserialize, Serialize};
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
    let Selected { letters, next, .. } = select(&shared, &conditions, &[], limit).await?;
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
    let selected = Selection::of(&shared, &headers, body).await?;
    shared.clone().finish(replay_all(shared, caller, selected)).await
}

async fn replay_all(
    shared: Arc<Shared>,
    caller: Caller,
    selected: Selected,
) -> Result<Json<AllReplayed>, Problem> {
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
    Ok(Json(all))
}

/// How many dead letters of each queue were changed.
type Changed = BTreeMap<QueueName, u64>;

fn count(changed: &mut Changed, letter: &DeadLetter, jobs: u64) {
    *changed.entry(letter.queue.queue.clone()).or_default() += jobs;
}

/// Records what was changed, queue by queue.
async fn record(shared: &Shared, caller: &Caller, change: &'static str, subject: &str, changed: Changed) {
    for (queue, jobs) in changed.into_iter().filter(|(_, jobs)| *jobs > 0) {
        let queue = Some(queue.as_str());
        shared.inspector.record(&Change { caller: &caller.name, change, queue, subject, jobs }).await;
    }
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
    let selected = Selection::of(&shared, &headers, body).await?;
    shared.clone().finish(purge_all(shared, caller, selected)).await
}

async fn purge_all(shared: Arc<Shared>, caller: Caller, selected: Selected) -> Result<Json<Purged>, Problem> {
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
    Ok(Json(Purged { purged, more: selected.next.is_some() }))
}
