//! Errors as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use postrider_queue::{EnqueueError, NotAJob};
use serde::Serialize;
use utoipa::ToSchema;

/// After how many seconds a client may repeat a request that was refused for a reason that passes.
const RETRY_SECONDS: u32 = 5;

/// The type of errors (RFC 9457).
pub(crate) const PROBLEM_TYPE: &str = "application/problem+json";

/// Why a request failed (RFC 9457). `type` is `about:blank`: the status is the kind of problem.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"type": "about:blank", "title": "Unprocessable Entity", "status": 422,
    "detail": "field `url` is missing", "field": "url"}))]
pub struct Problem {
    /// Always `about:blank`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name of the status.
    title: &'static str,
    /// The status code of the response.
    status: u16,
    /// What is wrong, where, and what to do.
    detail: Box<str>,
    /// The field of the job, the parameter or the header that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Box<str>>,
    /// The first wrong line of a body with a job on each line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// How many jobs of the body were enqueued before the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    enqueued: Option<u64>,
    #[serde(skip)]
    retry_after: Option<u32>,
}

impl Problem {
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into().into(),
            field: None,
            line: None,
            enqueued: None,
            retry_after: None,
        }
    }

    /// 400: a parameter or header is wrong.
    pub(crate) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self { field: Some(name.into()), ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }

    /// The same with another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { title, status: status.as_u16(), ..self }
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 503: the request may succeed later.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry()
    }

    pub(crate) fn retry(mut self) -> Self {
        self.retry_after = Some(RETRY_SECONDS);
        self
    }

    pub(crate) fn on_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self.detail = format!("line {line}: {}", self.detail).into();
        self
    }

    pub(crate) fn hinting(mut self, hint: &str) -> Self {
        self.detail = format!("{}{hint}", self.detail).into();
        self
    }

    pub(crate) fn after(mut self, enqueued: u64) -> Self {
        self.enqueued = Some(enqueued);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<NotAJob> for Problem {
    fn from(error: NotAJob) -> Self {
        let field = error.field().map(Box::from);
        Self { field, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()) }
    }
}

impl From<postrider_queue::Error> for Problem {
    fn from(error: postrider_queue::Error) -> Self {
        Self::unavailable(format!("Redis does not answer as expected: {}", error.details()))
    }
}

impl From<EnqueueError> for Problem {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Full { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()).retry(),
            EnqueueError::Moved => Self::unavailable(error.to_string()),
            EnqueueError::Redis(error) => Self::unavailable(format!(
                "Redis has not confirmed the job, which may be enqueued: {}; a request with an Idempotency-Key can be \
                 repeated without harm",
                error.details()
            )),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        // axum's text is `Failed to deserialize query string: NAME: WHAT`.
        if let Some((_, name)) = text.split_once(": duplicate field `") {
            let name = name.trim_end_matches('`');
            return Self::parameter(name, format!("parameter `{name}` is given twice; give it once"));
        }
        match text.splitn(3, ": ").collect::<Vec<_>>().as_slice() {
            [_, name, what] => Self::parameter(name, format!("parameter `{name}`: {what}")),
            _ => Self::new(StatusCode::BAD_REQUEST, text),
        }
    }
}
