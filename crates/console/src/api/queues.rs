//! `/v1/queues`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::state::Shared;
use crate::view::QueueView;

/// Queues.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Queues {
    /// Each shard separately.
    queues: Vec<QueueView>,
    /// Whether Redis holds too many other keys to find all queues.
    incomplete: bool,
    /// Streams and queues that cannot be read, and why.
    notes: Vec<String>,
}

/// List all queues
///
/// A queue appears with its first job, when it is paused, or when its number of shards is set.
#[utoipa::path(operation_id = "listQueues", get, path = "/v1/queues", tag = "queues", responses((status = 200, body = Queues)))]
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Queues>, Problem> {
    let found = shared.inspector.queues().await?;
    let pauses = shared.inspector.pauses().await?;
    let (queues, notes) = shared.views(&found, &pauses).await?;
    Ok(Json(Queues { queues, incomplete: found.is_incomplete, notes }))
}

/// Show a queue
#[utoipa::path(operation_id = "getQueue", get, path = "/v1/queues/{queue}", tag = "queues",
    params(("queue" = String, Path, description = "The queue.")),
    responses((status = 200, description = "Each shard separately.", body = Vec<QueueView>), (status = 404, body = Problem)))]
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(queue): Path<String>,
) -> Result<Json<Vec<QueueView>>, Problem> {
    let shards = shared.shards(Some(&queue)).await?;
    shared.views_of(&shards).await.map(Json)
}
