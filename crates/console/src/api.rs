//! The API, version 1.

pub(crate) mod audit;
pub(crate) mod change;
mod changed;
mod counts;
pub(crate) mod cron;
pub(crate) mod dead;
mod document;
mod enqueue;
mod extract;
mod flows;
pub(crate) mod jobs;
mod jobs_of_flow;
mod new_definition;
mod new_job;
pub(crate) mod operations;
pub(crate) mod order;
pub(crate) mod pause;
mod queues;
pub(crate) mod search;
pub(crate) mod select;
mod tail;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use http::Uri;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::document::{Bearer, add_errors, add_names};
use crate::access::{self, Scope};
use crate::problem::Problem;
use crate::state::Shared;

/// The longest time that any request may take; one that waits for an outcome takes as long as it asks for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Postrider",
        // By Semantic Versioning; its first number is that of the paths.
        version = "1.10.0",
        description = "Enqueue HTTP jobs, and find out what happened to them. Every error is a `Problem` (RFC 9457).",
        license(name = "MIT OR Apache-2.0")
    ),
    modifiers(&Bearer),
    security((), ("token" = [])),
    tags(
        (name = "jobs", description = "Enqueue jobs, find them, change them."),
        (name = "dead letters", description = "Jobs that ended without success."),
        (name = "cron", description = "Periodic jobs."),
        (name = "queues", description = "Queues, their workers, and the flows that hold jobs."),
    )
)]
struct Document;

fn routes() -> OpenApiRouter<Arc<Shared>> {
    let scope = |scope: Scope| from_fn_with_state(scope, access::require);
    let read = OpenApiRouter::new()
        .routes(routes!(queues::list))
        .routes(routes!(queues::one))
        .routes(routes!(counts::list))
        .routes(routes!(order::list))
        .routes(routes!(cron::list))
        .routes(routes!(cron::show))
        .routes(routes!(flows::list))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::find))
        .routes(routes!(dead::list))
        .routes(routes!(audit::list))
        .routes(routes!(tail::follow))
        .routes(routes!(operations::list))
        .routes(routes!(operations::one))
        .route_layer(scope(Scope::Read));
    // It checks its scope itself: a layer is cloned for each request, and would cost each job several allocations.
    let enqueue = OpenApiRouter::new().routes(routes!(enqueue::enqueue));
    let operate = OpenApiRouter::new()
        .routes(routes!(change::cancel))
        .routes(routes!(change::run_now))
        .routes(routes!(dead::replay))
        .routes(routes!(dead::purge))
        .routes(routes!(pause::pause_queue))
        .routes(routes!(pause::resume_queue))
        .routes(routes!(order::resume))
        .routes(routes!(pause::pause_flow))
        .routes(routes!(pause::resume_flow))
        .routes(routes!(cron::set, cron::remove))
        .routes(routes!(cron::pause))
        .routes(routes!(cron::resume))
        .routes(routes!(cron::run_now))
        .routes(routes!(operations::stop))
        .route_layer(scope(Scope::Operate));
    OpenApiRouter::with_openapi(Document::openapi()).merge(read).merge(enqueue).merge(operate)
}

/// The routes, and their document.
fn parts() -> (Router<Arc<Shared>>, utoipa::openapi::OpenApi) {
    let (router, mut document) = routes().split_for_parts();
    add_names(&mut document);
    add_errors(&mut document);
    (router, document)
}

/// The OpenAPI 3.1 document of the API, as JSON.
///
/// # Panics
/// Never: it contains nothing that JSON cannot.
pub fn openapi() -> String {
    let (_, document) = parts();
    document.to_pretty_json().expect("a document is JSON")
}

/// The routes of the API.
pub(crate) fn router() -> Router<Arc<Shared>> {
    let (router, document) = parts();
    let document = Arc::new(document);
    router.route("/v1/openapi.json", axum::routing::get(async move || axum::Json(document.as_ref().clone())))
}

/// The limit of a list: given, or the default; at most the second number.
fn limit(given: Option<usize>, (default, most): (usize, usize)) -> Result<usize, Problem> {
    match given.unwrap_or(default) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(Problem::parameter("limit", format!("parameter `limit`: write 1 to {most}"))),
    }
}

/// How long a request may take.
pub(crate) fn time_limit(uri: &Uri) -> Duration {
    REQUEST_TIMEOUT + waiting::asked(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_published_one() {
        let published = include_str!("../../../docs/openapi.json");
        assert!(
            published.trim_end() == openapi(),
            "if the change is meant, raise the version of the API and run `postrider console openapi >docs/openapi.json`"
        );
    }
}
