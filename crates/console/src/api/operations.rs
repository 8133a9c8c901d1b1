//! `/v1/operations`: changes of many dead letters, in the background.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use postrider_queue::admin::{DeadLetter, Replayed};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use tracing::info;
use utoipa::ToSchema;

use super::changed::{Changed, count, record};
use super::select::{Conditions, Selected, select};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::{Operation, Progress, Shared};

/// How many dead letters are selected at a time.
const PAGE: usize = 100;
/// Dead letters that an operation changes in a second, by default and at most.
pub(crate) const RATE: (u32, u32) = (50, 1_000);

/// Operations.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct All {
    /// Since the console was started, the last one first; at most 100.
    operations: Vec<Progress>,
}

/// List operations
#[utoipa::path(operation_id = "listOperations", get, path = "/v1/operations", tag = "dead letters", responses((status = 200, body = All)))]
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Json<All> {
    Json(All { operations: shared.operations.all().iter().map(|one| one.progress()).collect() })
}

/// Show how far an operation is
#[utoipa::path(operation_id = "getOperation", get, path = "/v1/operations/{id}", tag = "dead letters",
    params(("id" = u64, Path, description = "The operation's id.")),
    responses((status = 200, body = Progress), (status = 404, body = Problem)))]
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Progress>, Problem> {
    Ok(Json(find(&shared, &id)?.progress()))
}

/// Stop an operation
///
/// What it has changed stays changed.
#[utoipa::path(operation_id = "stopOperation", post, path = "/v1/operations/{id}/stop", tag = "dead letters",
    params(("id" = u64, Path, description = "The operation's id.")),
    responses((status = 200, body = Progress), (status = 404, body = Problem)))]
pub(super) async fn stop(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Progress>, Problem> {
    Ok(Json(end(&shared, &caller, &id)?.progress()))
}

/// Stops an operation.
pub(crate) fn end(shared: &Shared, caller: &Caller, id: &str) -> Result<Arc<Operation>, Problem> {
    let operation = find(shared, id)?;
    operation.stop.cancel();
    info!(caller = &*caller.name, change = "stop", "stopped an operation");
    Ok(operation)
}

/// The operation of an id.
pub(crate) fn find(shared: &Shared, id: &str) -> Result<Arc<Operation>, Problem> {
    let found = id.parse().ok().and_then(|id| shared.operations.find(id));
    found.ok_or_else(|| {
        Problem::not_found(format!("there is no operation {id}, or the console was restarted"))
    })
}

/// What to change, and how quickly.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) conditions: Conditions,
    pub(crate) ids: Vec<String>,
    pub(crate) is_purge: bool,
    /// Dead letters a second.
    pub(crate) rate: u32,
}

/// Begins an operation.
pub(crate) async fn begin(
    shared: &Arc<Shared>,
    caller: &Caller,
    work: Work,
) -> Result<Arc<Operation>, Problem> {
    let mut total = 0;
    let shards = shared.shards(work.conditions.queue.as_deref()).await?;
    work.conditions.check(&shards)?;
    for shard in &shards {
        total += shared.inspector.survey(shard, 0).await?.dead;
    }
    let change = if work.is_purge { "purge" } else { "replay" };
    let operation = shared.operations.begin(change, &caller.name, total, shared.stop.child_token());
    let operation = operation.ok_or_else(|| {
        Problem::unavailable("several operations run already; wait until one has ended, or stop one")
    })?;
    let (own, runner, caller) = (operation.clone(), shared.clone(), caller.clone());
    shared.spawn(async move {
        let (stop, mut changed, mut subject) = (own.stop.clone(), Changed::new(), String::new());
        let result = tokio::select! {
            result = run(&runner, &own, work, &mut changed, &mut subject) => result.map(|()| "finished"),
            () = stop.cancelled() => Ok("stopped"),
        };
        own.update(|progress| match &result {
            Ok(state) => progress.state = state,
            Err(problem) => (progress.state, progress.error) = ("failed", Some(problem.detail().to_owned())),
        });
        record(&runner, &caller, change, &subject, changed).await;
    });
    Ok(operation)
}

/// Goes through the dead letters once, from the last one on, so that those that die again are not changed again.
async fn run(
    shared: &Shared,
    operation: &Operation,
    mut work: Work,
    changed: &mut Changed,
    subject: &mut String,
) -> Result<(), Problem> {
    let pause = Duration::from_secs(1) / work.rate.max(1);
    let mut next_at = Instant::now();
    loop {
        let page = select(shared, &work.conditions, &work.ids, PAGE).await?;
        let Selected { letters, next, read, .. } = page;
        *subject = page.subject;
        for letter in &letters {
            sleep_until(next_at).await;
            next_at += pause;
            let is_changed = change(shared, letter, work.is_purge).await?;
            if is_changed {
                count(changed, letter, 1);
            }
            operation.update(|progress| {
                *(if is_changed { &mut progress.changed } else { &mut progress.failed }) += 1;
            });
        }
        operation.update(|progress| progress.read += read as u64);
        match next {
            Some(next) => work.conditions.cursor = Some(next),
            None => return Ok(()),
        }
    }
}

async fn change(shared: &Shared, letter: &DeadLetter, is_purge: bool) -> Result<bool, Problem> {
    if is_purge {
        return Ok(shared.inspector.purge(&letter.queue, &[letter]).await? > 0);
    }
    Ok(matches!(shared.inspector.replay(letter, None).await?, Replayed::As(_)))
}
