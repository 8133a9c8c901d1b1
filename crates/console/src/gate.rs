//! What each request passes before it reaches its route. It is one layer, since axum clones each layer of a route, with
//! what is inside it, for each request.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};
use telemetry::Telemetry;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanic;

use crate::access::{self, Access, Hosts};
use crate::problem::{PROBLEM_TYPE, Problem};
use crate::trace::Requests;
use crate::{api, pages};

/// Everything comes from here, and nothing is inline.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                              form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
static HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY)),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// Bytes of an error.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    common: Arc<Common>,
    callers: Callers,
}

#[derive(Debug)]
struct Common {
    hosts: Hosts,
    access: Arc<Access>,
    /// Unless telemetry is off.
    requests: Option<Requests>,
}

#[derive(Clone, Copy, Debug)]
enum Callers {
    Known,
    All,
}

impl Gate {
    /// For callers who are known.
    pub(crate) fn new(access: Arc<Access>, hosts: &[String], telemetry: &Telemetry) -> Self {
        let requests = telemetry.is_on().then(|| Requests::new(telemetry));
        Self {
            common: Arc::new(Common { hosts: Hosts::new(hosts), access, requests }),
            callers: Callers::Known,
        }
    }

    /// The same for everybody.
    pub(crate) fn for_all(&self) -> Self {
        Self { callers: Callers::All, ..self.clone() }
    }

    /// Refuses requests on behalf of other sites, ends those that take too long, and gives every error the form that its
    /// reader expects.
    async fn guard(&self, request: Request, next: Next) -> Response {
        let is_page = !request.uri().path().starts_with("/v1/") && access::accepts_page(request.headers());
        if let Err(problem) = self.common.hosts.check_origin(&request) {
            return in_its_form(problem.into_response(), is_page).await;
        }
        let limit = api::time_limit(request.uri());
        let answer = tokio::time::timeout(limit, self.admit(request, next)).await.unwrap_or_else(|_| {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "the request took too long").retry().into_response()
        });
        in_its_form(answer, is_page).await
    }

    async fn admit(&self, mut request: Request, next: Next) -> Response {
        if let Callers::Known = self.callers
            && let Some(answer) = self.common.access.refuse_unknown(&mut request)
        {
            return answer;
        }
        let answer = CatchPanic::custom(next, panicked).oneshot(request).await;
        answer.unwrap_or_else(|never: Infallible| match never {}).map(Body::new)
    }
}

/// Middleware: passes a request through the gate.
pub(crate) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let answer = match &gate.common.requests {
        None => gate.guard(request, next).await,
        Some(requests) => requests.begin(&request).answer(gate.guard(request, next)).await,
    };
    with_headers(answer)
}

fn with_headers(mut answer: Response) -> Response {
    for (name, value) in &HEADERS {
        answer.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    answer
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

fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a fault in Postrider; its log has the cause")
        .into_response()
}
