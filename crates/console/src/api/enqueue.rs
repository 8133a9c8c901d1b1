//! `POST /v1/queues/{queue}/jobs`

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use postrider_queue::job::Fields;
use postrider_queue::{Enqueuing, IdempotencyKey, JobResult, JsonJob, NewJob, QueueName};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use telemetry::Context;
use utoipa::{IntoParams, ToSchema};

use super::extract::{content_type, read, unsupported};
use super::waiting::Wait;
use crate::access::{self, Scope};
use crate::problem::Problem;
use crate::state::{Shared, queue_name};

/// The longest body with many jobs.
const JOBS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Jobs of one body: small ones take more memory than their text.
const JOBS_MAX: usize = 100_000;
/// How long a key is remembered by default.
const KEY_TTL: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// Answer with the outcome, or with `waiting` after this time: `10s`; at most 60s. Only for one job.
    wait: Option<String>,
    /// How long an idempotency key is remembered: `24h`; at most 3650d.
    key_ttl: Option<String>,
    /// Refuse the job with 429 if the queue contains this many jobs. Only for one job.
    #[param(value_type = Option<u64>, minimum = 1)]
    cap: Option<NonZeroU64>,
}

/// What to do with many jobs.
const MANY: &str = "; send many jobs as `application/x-ndjson`, one on each line";

/// The request's header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A job that is enqueued.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Enqueued {
    /// The job id.
    job_id: String,
    /// The queue.
    queue: String,
    /// Whether the job existed before, under the same idempotency key.
    known: bool,
    /// The job's trace, if it is recorded.
    trace_id: Option<String>,
    /// With `wait`: `succeeded`, `dead`, or `waiting` if the job has not ended in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// With `wait`: the job's result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result: Option<JobResult>,
}

/// Jobs that are enqueued.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AllEnqueued {
    /// How many jobs were enqueued.
    enqueued: u64,
    /// How many existed before, under their idempotency keys.
    known: u64,
    /// The job ids, in the order of the lines.
    job_ids: Vec<String>,
}

/// What is enqueued.
#[expect(dead_code, clippy::large_enum_variant, reason = "it only describes the answers")]
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum EnqueuedOneOrMany {
    One(Enqueued),
    Many(AllEnqueued),
}

/// Enqueue a job, or many
///
/// The answer comes after Redis has confirmed the jobs. A body with many jobs is checked whole before the first one is
/// enqueued. The request's `traceparent` becomes the job's, unless the job has its own.
#[utoipa::path(
    operation_id = "enqueueJob",
    post,
    path = "/v1/queues/{queue}/jobs",
    tag = "jobs",
    params(
        ("queue" = String, Path, description = "The queue."),
        ("Idempotency-Key" = Option<String>, Header,
            description = "1 to 256 bytes: the job is enqueued once, however often the request is repeated. Only for one job; with many, each has its `key`."),
        Parameters
    ),
    request_body(
        content(
            (super::new_job::NewJob = "application/json"),
            (String = "application/x-ndjson")
        ),
        description = "A job, or with `application/x-ndjson` one on each line."
    ),
    responses(
        (status = 200, description = "The job existed before, under the same idempotency key.", body = Enqueued),
        (status = 201, description = "Enqueued. With many jobs: their number and ids.", body = EnqueuedOneOrMany),
        (status = 413, description = "The body is too large.", body = Problem),
        (status = 415, description = "The body has another type.", body = Problem),
        (status = 422, description = "A job is wrong, and nothing was enqueued.", body = Problem),
        (status = 429, description = "The queue has reached the cap.", body = Problem),
        (status = 503, description = "Redis is not available.", body = Problem),
    )
)]
pub(super) async fn enqueue(
    State(shared): State<Arc<Shared>>,
    Path(queue): Path<String>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    access::check(request.extensions(), Scope::Enqueue)?;
    let (queue, Query(parameters)) = (queue_name(&queue)?, parameters?);
    let (Parts { headers, .. }, body) = request.into_parts();
    match content_type(&headers).as_deref() {
        Some("application/json") => {
            let (bytes, _place) =
                read(&shared, &headers, body, JsonJob::text_bytes_max(shared.max_job_bytes)).await?;
            let answer = one(&shared, &queue, &parameters, &headers, &bytes).await;
            answer.map_err(|problem| if has_many(&bytes) { problem.hinting(MANY) } else { problem })
        }
        Some("application/x-ndjson" | "application/jsonl") => {
            let (bytes, _place) = read(&shared, &headers, body, JOBS_BYTES_MAX).await?;
            many(&shared, &queue, &parameters, &headers, &bytes).await
        }
        _ => Err(unsupported("application/json` or `application/x-ndjson")),
    }
}

/// Whether a body that is no job looks like many.
fn has_many(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    let is_value = |line: &[u8]| serde_json::from_slice::<IgnoredAny>(line).is_ok();
    body.starts_with(b"[")
        || body.split(|byte| *byte == b'\n').nth(1).is_some()
            && body.split(|byte| *byte == b'\n').all(is_value)
}

async fn one(
    shared: &Shared,
    queue: &QueueName,
    parameters: &Parameters,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Problem> {
    let wait = parameters.wait.as_deref().map(Wait::parse).transpose()?;
    let _place = wait.map(|_| shared.waiting_place()).transpose()?;
    let mut job = JsonJob::parse(body, shared.max_job_bytes)?;
    with_context_of(headers, &mut job.fields);
    if let Some(wait) = wait
        && !job.fields.iter().any(|(name, _)| name == "result_ttl_ms")
    {
        job.fields.push(("result_ttl_ms".into(), wait.result_ttl_millis().into()));
    }
    let ttl = key_ttl(parameters)?;
    let key = key(headers, job.key)?.map(|key| IdempotencyKey { key, ttl });
    let how = Enqueuing { key, cap: parameters.cap };
    let publication = shared.redis.enqueue(queue, job.fields, &how).await?;
    let result = match wait {
        Some(wait) => wait.result(shared, queue, &publication).await?,
        None => None,
    };
    let outcome =
        wait.map(|_| result.as_ref().map_or("waiting".to_owned(), |result| result.outcome.to_string()));
    let status = if publication.known { StatusCode::OK } else { StatusCode::CREATED };
    let job_id = publication.entry.to_string();
    let location = [(LOCATION, format!("/v1/jobs/{job_id}"))];
    let (known, trace_id) = (publication.known, publication.trace_id);
    let enqueued = Enqueued { job_id, queue: queue.to_string(), known, trace_id, outcome, result };
    Ok((status, location, Json(enqueued)).into_response())
}

async fn many(
    shared: &Shared,
    queue: &QueueName,
    parameters: &Parameters,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Problem> {
    let one_only = |name: &str| Problem::parameter(name, format!("`{name}` is for one job"));
    if parameters.wait.is_some() || parameters.cap.is_some() {
        return Err(one_only(if parameters.wait.is_some() { "wait" } else { "cap" }));
    }
    if headers.contains_key(IDEMPOTENCY_KEY) {
        return Err(Problem::parameter(
            "Idempotency-Key",
            "`Idempotency-Key` is for one job; give each job its `key`",
        ));
    }
    let mut jobs = lines(body, shared.max_job_bytes)?;
    for (_, job) in &mut jobs {
        with_context_of(headers, &mut job.fields);
    }
    let ttl = key_ttl(parameters)?;
    let (numbers, jobs): (Vec<u64>, Vec<NewJob>) = jobs
        .into_iter()
        .map(|(line, job)| {
            let key = job.key.map(|key| IdempotencyKey { key, ttl });
            (line, NewJob { fields: job.fields, key })
        })
        .unzip();
    match shared.redis.enqueue_all(queue, jobs).await {
        Ok(publications) => {
            let known = publications.iter().filter(|publication| publication.known).count() as u64;
            let job_ids: Vec<String> =
                publications.iter().map(|publication| publication.entry.to_string()).collect();
            let all = AllEnqueued { enqueued: job_ids.len() as u64 - known, known, job_ids };
            Ok((StatusCode::CREATED, Json(all)).into_response())
        }
        Err(failed) => {
            let new = failed.publications.iter().flatten().filter(|publication| !publication.known).count();
            let first = failed.publications.iter().position(Option::is_none).unwrap_or_default();
            Err(Problem::from(failed.error).on_line(numbers[first]).after(new as u64))
        }
    }
}

/// The jobs of all lines that are not empty, with the numbers of the lines.
fn lines(body: &[u8], max_job_bytes: usize) -> Result<Vec<(u64, JsonJob)>, Problem> {
    let mut jobs = Vec::new();
    for (number, line) in (1..).zip(body.split(|byte| *byte == b'\n')) {
        if !line.trim_ascii().is_empty() {
            if jobs.len() == JOBS_MAX {
                let detail =
                    format!("the body has more than {JOBS_MAX} jobs; send the rest in another request");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).on_line(number));
            }
            let job =
                JsonJob::parse(line, max_job_bytes).map_err(|error| Problem::from(error).on_line(number))?;
            jobs.push((number, job));
        }
    }
    if jobs.is_empty() {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the body has no job; write one on each line",
        ));
    }
    Ok(jobs)
}

/// The idempotency key of the header or of the job.
fn key(headers: &HeaderMap, own: Option<String>) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(own) };
    let wrong = |detail: &str| Problem::parameter("Idempotency-Key", format!("`Idempotency-Key`: {detail}"));
    let key = value.to_str().map_err(|_| wrong("write printable ASCII"))?;
    IdempotencyKey::check(key).map_err(wrong)?;
    match own {
        Some(own) if own != key => Err(wrong("the job has another `key`")),
        _ => Ok(Some(key.to_owned())),
    }
}

fn key_ttl(parameters: &Parameters) -> Result<Duration, Problem> {
    let Some(text) = &parameters.key_ttl else { return Ok(KEY_TTL) };
    let wrong = |why: String| Problem::parameter("key_ttl", format!("parameter `key_ttl`: {why}"));
    match humantime::parse_duration(text) {
        Ok(ttl) if ttl > IdempotencyKey::TTL_MAX => Err(wrong("write at most 3650d".to_owned())),
        Ok(ttl) if ttl.as_millis() > 0 => Ok(ttl),
        Ok(_) => Err(wrong("write more than 0".to_owned())),
        Err(error) => Err(wrong(format!("{error}; write it as in 24h"))),
    }
}

/// Without telemetry here, the caller's context becomes the job's as it is. With telemetry, the job gets that of the span
/// of this request.
fn with_context_of(headers: &HeaderMap, fields: &mut Fields) {
    if Context::current().is_some() || fields.iter().any(|(name, _)| name == "traceparent") {
        return;
    }
    for name in ["traceparent", "tracestate", "baggage"] {
        if let Some(value) = headers.get(name)
            && !fields.iter().any(|(own, _)| own == name)
        {
            fields.push((name.into(), Bytes::copy_from_slice(value.as_bytes())));
        }
    }
}
