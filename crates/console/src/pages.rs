//! The pages: HTML that works without JavaScript.

mod assets;
mod audit;
mod cron;
mod dead;
mod destinations;
mod form;
mod job;
mod jobs;
mod layout;
mod login;
mod operation;
mod order;
mod overview;
mod parts;
mod pause;
mod plot;
mod queue;
mod search;
mod story;
mod tail;
mod viewer;
mod waterfall;

use std::sync::Arc;

use crate::access::Access;
use crate::problem::Problem;
use crate::state::Shared;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// Pages for callers who are known.
pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(overview::show))
        .route("/queues/{queue}", get(queue::show))
        .route("/queues/{queue}/pause", post(pause::pause_queue))
        .route("/queues/{queue}/resume", post(pause::resume_queue))
        .route("/queues/{queue}/order/resume", post(order::resume))
        .route("/destination/pause", post(pause::pause_destination))
        .route("/destination/resume", post(pause::resume_destination))
        .route("/queues/{queue}/jobs/{job_id}/{change}", post(job::change))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{id}", get(job::show))
        .route("/search", get(search::find))
        .route("/dead", get(dead::list))
        .route("/dead/change", post(dead::change))
        .route("/operations/{id}", get(operation::show))
        .route("/operations/{id}/stop", post(operation::stop))
        .route("/live", get(tail::show))
        .route("/audit", get(audit::list))
        .route("/cron", get(cron::list))
        .route("/cron/{queue}/{name}/{change}", post(cron::change))
        .route("/destinations", get(destinations::list))
        .route("/destination", get(destinations::one))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
}

/// What callers who are not known may see: the login, and the style.
pub(crate) fn public(access: Arc<Access>) -> Router {
    let logins = Arc::new(login::Logins::new(access));
    Router::new()
        .route("/login", get(login::show).post(login::sign_in))
        .with_state(logins)
        .route("/logout", post(login::leave))
        .route("/assets/{name}", get(assets::file))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
}

/// An error as a page.
pub(crate) fn failed(problem: Problem) -> Response {
    layout::Failure(problem).into_response()
}
