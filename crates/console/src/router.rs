//! All routes, and what each request passes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, StatusCode, Uri};
use telemetry::Telemetry;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::access::{self, Access, Hosts, check_origin};
use crate::problem::Problem;
use crate::state::Shared;
use crate::trace::{self, Requests};
use crate::{api, pages};

/// Everything comes from here, and nothing is inline.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                              form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) fn router(shared: Arc<Shared>, access: Access, hosts: &[String], telemetry: &Telemetry) -> Router {
    let access = Arc::new(access);
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let probes = Router::new().route("/readyz", get(ready)).with_state(shared.clone());
    let probes = probes.route("/livez", get(async || "ok\n"));
    api::router()
        .merge(pages::router())
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .with_state(shared)
        .layer(from_fn_with_state(access.clone(), access::authenticate))
        .merge(pages::public(access))
        .merge(probes)
        .layer(from_fn(api::within))
        .layer(from_fn_with_state(Hosts::new(hosts), check_origin))
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(REFERRER_POLICY, "no-referrer"))
        .layer(header(CACHE_CONTROL, "no-store"))
        .layer(header(CONTENT_SECURITY_POLICY, CONTENT_POLICY))
        .layer(from_fn_with_state(Requests::new(telemetry), trace::record))
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

fn panicked() -> Response {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a fault in Postrider; its log has the cause")
        .into_response()
}
