//! `/v1/audit`: who changed what.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use postrider_queue::job::EntryId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;
use crate::state::Shared;
use crate::view::ChangeView;

/// How many changes a page has by default, and at most.
const PAGE: (usize, usize) = (50, 1_000);

/// Which changes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// At most this many: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Continue behind another page: `next` of its answer.
    #[param(pattern = "^[0-9]{1,15}-[0-9]{1,15}$")]
    cursor: Option<String>,
}

/// A page of changes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Changes {
    /// The newest first.
    changes: Vec<ChangeView>,
    /// The `cursor` of the next page; null at the end.
    next: Option<String>,
}

/// List changes by hand
///
/// Who cancelled jobs, ran them now, and replayed or purged dead letters: through this API, and with the command line. The
/// last 10,000 changes are kept, about.
#[utoipa::path(operation_id = "listChanges", get, path = "/v1/audit", tag = "queues", params(Parameters),
    responses((status = 200, body = Changes), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<Changes>, Problem> {
    let Query(Parameters { limit, cursor }) = parameters?;
    let limit = super::limit(limit, PAGE)?;
    let before =
        cursor.map(|cursor| EntryId::parse(cursor.as_bytes()).ok_or_else(wrong_cursor)).transpose()?;
    let records = shared.inspector.changes(before, limit).await?;
    let next = records.last().filter(|_| records.len() == limit).map(|last| last.id.to_string());
    Ok(Json(Changes { changes: records.iter().map(ChangeView::new).collect(), next }))
}

fn wrong_cursor() -> Problem {
    Problem::parameter("cursor", "parameter `cursor`: write `next` of the page before")
}
