//! All routes, and what each request passes.

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, StatusCode, Uri};
use telemetry::Telemetry;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::access::{self, Access, Hosts};
use crate::problem::{PROBLEM_TYPE, Problem};
use crate::state::Shared;
use crate::trace::{self, Requests};
use crate::{api, pages};

/// Everything comes from here, and nothing is inline.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                              form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Bytes of an error.
const ERROR_BYTES_MAX: usize = 64 * 1024;

pub(crate) fn router(shared: Arc<Shared>, access: Access, hosts: &[String], telemetry: &Telemetry) -> Router {
    let access = Arc::new(access);
    let probes = Router::new().route("/readyz", get(ready)).with_state(shared.clone());
    let probes = probes.route("/livez", get(async || "ok\n"));
    // One layer of all: each further one would be cloned with the routes inside it, for each request.
    let layers = ServiceBuilder::new()
        .option_layer(telemetry.is_on().then(|| from_fn_with_state(Requests::new(telemetry), trace::record)))
        .map_response(with_headers)
        .layer(from_fn_with_state(Hosts::new(hosts), guard))
        .layer(CatchPanicLayer::custom(|_| panicked()));
    api::router()
        .merge(pages::router())
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .with_state(shared)
        .layer(from_fn_with_state(access.clone(), access::authenticate))
        .merge(pages::public(access))
        .merge(probes)
        .layer(layers)
}

/// One layer for all of them, which is cheaper than one for each.
fn with_headers(mut response: Response) -> Response {
    let defaults = [
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in defaults {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
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

/// Middleware: refuses requests on behalf of other sites, ends those that take too long, and gives every error the form that
/// its reader expects.
async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let is_page = !request.uri().path().starts_with("/v1/") && access::accepts_page(request.headers());
    if let Err(problem) = hosts.check_origin(&request) {
        return in_its_form(problem.into_response(), is_page).await;
    }
    let limit = api::time_limit(request.uri());
    let answer = tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "the request took too long").retry().into_response()
    });
    in_its_form(answer, is_page).await
}

/// An error as a page for a browser, and otherwise as a problem, also where axum has written a text or nothing.
async fn in_its_form(answer: Response, is_page: bool) -> Response {
    let (mut head, body) = answer.into_parts();
    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_error = head.status.is_client_error() || head.status.is_server_error();
    let is_problem = kind == PROBLEM_TYPE;
    if !is_error || !(kind.is_empty() || kind.starts_with("text/plain") || is_problem && is_page) {
        return Response::from_parts(head, body);
    }
    let bytes = to_bytes(body, ERROR_BYTES_MAX).await.unwrap_or_default();
    let mut detail = String::from_utf8_lossy(&bytes).into_owned();
    if is_problem {
        let problem: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        detail = problem["detail"].as_str().unwrap_or_default().to_owned();
    } else if detail.is_empty() {
        detail = head.status.canonical_reason().unwrap_or("it failed").to_owned();
    }
    let problem = Problem::new(head.status, detail);
    let answer = if is_page { pages::failed(problem) } else { problem.into_response() };
    let (new, body) = answer.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    head.headers.extend(new.headers);
    Response::from_parts(head, body)
}

fn panicked() -> Response {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a fault in Postrider; its log has the cause")
        .into_response()
}
