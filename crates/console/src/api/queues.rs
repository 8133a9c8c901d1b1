//! `/v1/queues`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use postrider_queue::admin::is_of_wrong_type;
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
/// A queue appears with its first job, or when it is paused.
#[utoipa::path(operation_id = "listQueues", get, path = "/v1/queues", tag = "queues", responses((status = 200, body = Queues)))]
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Queues>, Problem> {
    let mut found = shared.inspector.queues().await?;
    let pauses = shared.inspector.pauses().await?;
    found.shards.extend(pauses.queues_without_keys(&found.shards));
    let notes = found.strays.iter().map(ToString::to_string).collect();
    let mut queues = Queues { queues: vec![], incomplete: found.is_incomplete, notes };
    for shard in &found.shards {
        match shared.inspector.survey(shard, 0).await {
            Ok(survey) => queues.queues.push(QueueView::new(shard, &survey, &pauses)),
            Err(error) if is_of_wrong_type(&error) => {
                queues.notes.push(format!("queue {shard}: a key has a wrong type"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(queues))
}

/// Show a queue
#[utoipa::path(operation_id = "getQueue", get, path = "/v1/queues/{queue}", tag = "queues",
    params(("queue" = String, Path, description = "The queue.")),
    responses((status = 200, description = "Each shard separately.", body = Vec<QueueView>), (status = 404, body = Problem)))]
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(queue): Path<String>,
) -> Result<Json<Vec<QueueView>>, Problem> {
    let pauses = shared.inspector.pauses().await.unwrap_or_default();
    let mut shards = vec![];
    for shard in shared.shards(Some(&queue)).await? {
        let survey = shared.inspector.survey(&shard, 0).await?;
        shards.push(QueueView::new(&shard, &survey, &pauses));
    }
    Ok(Json(shards))
}
