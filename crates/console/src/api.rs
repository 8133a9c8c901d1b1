//! The API, version 1.

mod audit;
mod change;
mod dead;
mod enqueue;
mod extract;
mod flows;
mod jobs;
mod new_job;
mod queues;
mod select;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, StatusCode, Uri};
use telemetry::Telemetry;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{self, Access, Hosts, Scope, check_origin};
use crate::problem::Problem;
use crate::state::Shared;
use crate::trace::{self, Requests};

/// The longest time that any request may take; one that waits for an outcome takes as long as it asks for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Postrider",
        // By Semantic Versioning; its first number is that of the paths.
        version = "1.1.0",
        description = "Enqueue HTTP jobs, and find out what happened to them. Every error is a `Problem` (RFC 9457).",
        license(name = "MIT OR Apache-2.0")
    ),
    modifiers(&Bearer),
    security((), ("token" = [])),
    tags(
        (name = "jobs", description = "Enqueue jobs, find them, change them."),
        (name = "dead letters", description = "Jobs that ended without success."),
        (name = "queues", description = "Queues, their workers, and the flows that hold jobs."),
    )
)]
struct Document;

/// Tokens are sent as `Authorization: Bearer TOKEN`.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

fn routes() -> OpenApiRouter<Arc<Shared>> {
    let scope = |scope: Scope| from_fn_with_state(scope, access::require);
    let read = OpenApiRouter::new()
        .routes(routes!(queues::list))
        .routes(routes!(queues::one))
        .routes(routes!(flows::list))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::find))
        .routes(routes!(dead::list))
        .routes(routes!(audit::list))
        .route_layer(scope(Scope::Read));
    let enqueue = OpenApiRouter::new().routes(routes!(enqueue::enqueue)).route_layer(scope(Scope::Enqueue));
    let operate = OpenApiRouter::new()
        .routes(routes!(change::cancel))
        .routes(routes!(change::run_now))
        .routes(routes!(dead::replay))
        .routes(routes!(dead::purge))
        .route_layer(scope(Scope::Operate));
    OpenApiRouter::with_openapi(Document::openapi()).merge(read).merge(enqueue).merge(operate)
}

/// The OpenAPI 3.1 document of the API, as JSON.
///
/// # Panics
/// Never: it contains nothing that JSON cannot.
pub fn openapi() -> String {
    let (_, document) = routes().split_for_parts();
    document.to_pretty_json().expect("a document is JSON")
}

pub(crate) fn router(shared: Arc<Shared>, access: Access, hosts: &[String], telemetry: &Telemetry) -> Router {
    let (router, document) = routes().split_for_parts();
    let document = Arc::new(document);
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    router
        .route("/v1/openapi.json", axum::routing::get(async move || axum::Json(document.as_ref().clone())))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .with_state(shared)
        .layer(from_fn(within))
        .layer(from_fn_with_state(Arc::new(access), access::authenticate))
        .layer(from_fn_with_state(Hosts::new(hosts), check_origin))
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(REFERRER_POLICY, "no-referrer"))
        .layer(header(CACHE_CONTROL, "no-store"))
        .layer(header(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .layer(from_fn_with_state(Requests::new(telemetry), trace::record))
}

/// The limit of a list: given, or the default; at most the second number.
fn limit(given: Option<usize>, (default, most): (usize, usize)) -> Result<usize, Problem> {
    match given.unwrap_or(default) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(Problem::parameter("limit", format!("parameter `limit`: write 1 to {most}"))),
    }
}

async fn within(request: axum::extract::Request, next: axum::middleware::Next) -> Result<Response, Problem> {
    let limit = REQUEST_TIMEOUT + waiting::asked(request.uri());
    let late = |_| Problem::new(StatusCode::GATEWAY_TIMEOUT, "the request took too long").retry();
    tokio::time::timeout(limit, next.run(request)).await.map_err(late)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_published_one() {
        let published = include_str!("../../../docs/openapi.json");
        assert_eq!(
            published.trim_end(),
            openapi(),
            "if the change is meant, raise the version of the API and run `postrider console openapi >docs/openapi.json`"
        );
    }
}
