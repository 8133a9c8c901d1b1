//! The body of a request that sets a definition of periodic jobs.

use axum::body::Body;
use http::{HeaderMap, StatusCode};
use postrider_queue::cron::{BadDefinition, Definition};
use utoipa::ToSchema;

use super::extract;
use crate::problem::Problem;
use crate::state::Shared;

/// Bytes of a definition's body.
const BODY_BYTES_MAX: usize = 128 * 1024;

/// A definition of periodic jobs: `expression` or `every`, and `job`.
#[expect(dead_code, reason = "it only describes what `Definition` reads")]
#[derive(ToSchema)]
pub(super) struct NewDefinition {
    /// A cron expression of five fields (minute, hour, day of the month, month, day of the week), or six with seconds first.
    #[schema(nullable = false)]
    expression: Option<String>,
    /// The time zone of `expression`, by its IANA name. Default: UTC.
    #[schema(nullable = false)]
    time_zone: Option<String>,
    /// In place of `expression`: the time between two ticks, as `5m`, at multiples of it since 1970.
    #[schema(nullable = false)]
    every: Option<String>,
    /// What ticks make that no worker claimed in time: `one` job (default), `all`, or `none`.
    #[schema(nullable = false)]
    catch_up: Option<String>,
    /// Whether a tick makes a job while the last one has not ended: `allow` (default) or `skip`.
    #[schema(nullable = false)]
    overlap: Option<String>,
    /// How much later than the tick its job is ready, at random, at most: `30s`.
    #[schema(nullable = false)]
    jitter: Option<String>,
    /// The fields of the job.
    job: super::new_job::NewJob,
}

/// Reads the definition of a request.
pub(super) async fn read(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<Definition, Problem> {
    if extract::content_type(headers).as_deref() != Some("application/json") {
        return Err(extract::unsupported("application/json"));
    }
    let (bytes, _place) = extract::read(shared, headers, body, BODY_BYTES_MAX).await?;
    let wrong = |field: &str, detail: String| {
        Problem::parameter(field, detail).with_status(StatusCode::UNPROCESSABLE_ENTITY)
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("body", "the body is not UTF-8".to_owned()))?;
    let definition = Definition::parse(text, shared.max_job_bytes).map_err(|errors| {
        let field = errors.first().map(|error| error.member.clone()).unwrap_or_default();
        let texts: Vec<_> = errors.iter().map(BadDefinition::line).collect();
        wrong(&field, texts.join("; "))
    })?;
    let (now, timing) = (shared.inspector.now().await?, definition.timing.clone());
    // That may search for a while.
    let check = tokio::task::spawn_blocking(move || timing.check(now)).await;
    match check {
        Ok(Err(error)) => Err(wrong("expression", format!("expression: {error}"))),
        _ => Ok(definition),
    }
}
