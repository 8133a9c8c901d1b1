//! All routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::{Method, StatusCode, Uri};
use telemetry::Telemetry;

use crate::access::Access;
use crate::gate::{self, Gate};
use crate::problem::Problem;
use crate::state::Shared;
use crate::{api, pages};

pub(crate) fn router(shared: Arc<Shared>, access: Access, hosts: &[String], telemetry: &Telemetry) -> Router {
    let access = Arc::new(access);
    let gate = Gate::new(access.clone(), hosts, telemetry);
    let for_all = from_fn_with_state(gate.for_all(), gate::pass);
    let probes = Router::new().route("/readyz", get(ready)).with_state(shared.clone());
    let probes = probes.route("/livez", get(async || "ok\n"));
    let open = probes.merge(pages::public(access)).layer(for_all);
    api::router()
        .merge(pages::router())
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .with_state(shared)
        .layer(from_fn_with_state(gate, gate::pass))
        .merge(open)
}

/// Whether Redis answers.
async fn ready(State(shared): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    shared.inspector.now().await?;
    Ok("ok\n")
}

async fn no_route(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no {}; see /v1/openapi.json", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not allow {method}; see /v1/openapi.json", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
