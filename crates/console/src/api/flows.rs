//! `/v1/flows`

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;
use crate::state::Shared;
use crate::view::{FlowView, is_meant};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// Only the flow of this host, or with this name or id.
    flow: Option<String>,
}

/// Flows.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Flows {
    /// Those that hold most jobs come first.
    flows: Vec<FlowView>,
}

/// List flows that hold jobs, whose breaker is open, or that are paused
#[utoipa::path(operation_id = "listFlows", get, path = "/v1/flows", tag = "queues", params(Parameters), responses((status = 200, body = Flows)))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<Flows>, Problem> {
    let Query(Parameters { flow: wanted }) = parameters?;
    let now = shared.inspector.now().await?;
    let shards = shared.shards(None).await?;
    let mut flows = shared.inspector.held_flows(&shards, true).await?;
    if let Some(wanted) = wanted {
        flows.retain(|(id, flow)| is_meant(&wanted, *id, flow.name.as_deref()));
    }
    Ok(Json(Flows { flows: flows.iter().map(|(id, flow)| FlowView::new(*id, flow, now)).collect() }))
}
