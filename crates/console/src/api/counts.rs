//! `/v1/queues/{queue}/counts`: how many jobs had which outcome.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use postrider_queue::admin::{Bucket, CountRange};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;
use crate::state::Shared;

/// Which time.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// The time until now: `1h`, by minute (the default); `24h`, by ten minutes; `14d`, by hour.
    #[param(pattern = "^(1h|24h|14d)$")]
    over: Option<String>,
}

/// How many jobs of a queue had which outcome.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Counts {
    /// The length of a bucket, milliseconds.
    bucket_ms: u64,
    /// The oldest first. The last one is not over yet.
    buckets: Vec<BucketView>,
}

/// How many jobs had which outcome in a time.
#[derive(Debug, Serialize, ToSchema)]
struct BucketView {
    /// When it begins, Unix milliseconds.
    at: u64,
    /// Jobs that succeeded.
    succeeded: u64,
    /// Attempts that failed and are retried.
    retried: u64,
    /// Jobs that were dead-lettered.
    dead: u64,
    /// Jobs that were cancelled by hand.
    cancelled: u64,
}

/// Count a queue's jobs by outcome
///
/// For plots: as many buckets as the time has, also those without jobs.
#[utoipa::path(operation_id = "countJobs", get, path = "/v1/queues/{queue}/counts", tag = "queues",
    params(("queue" = String, Path, description = "The queue."), Parameters),
    responses((status = 200, body = Counts), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(queue): Path<String>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<Counts>, Problem> {
    let Query(Parameters { over }) = parameters?;
    let range = range(over.as_deref())?;
    let shards = shared.shards(Some(&queue)).await?;
    let [buckets] = shared.inspector.counts(&shards, [range]).await?;
    let view = |Bucket { at, succeeded, retried, dead, cancelled }| BucketView {
        at,
        succeeded,
        retried,
        dead,
        cancelled,
    };
    Ok(Json(Counts { bucket_ms: range.bucket_ms(), buckets: buckets.into_iter().map(view).collect() }))
}

fn range(over: Option<&str>) -> Result<CountRange, Problem> {
    match over {
        None | Some("1h") => Ok(CountRange::Hour),
        Some("24h") => Ok(CountRange::Day),
        Some("14d") => Ok(CountRange::Fortnight),
        Some(_) => Err(Problem::parameter("over", "parameter `over`: write 1h, 24h or 14d")),
    }
}
