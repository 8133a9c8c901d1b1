//! The list of live jobs.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Html;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{Failure, Place, page};
use super::parts::{encoded, job_cells, job_heads, nothing, state};
use super::viewer::Viewer;
use crate::api::jobs::{Jobs, job_state, jobs_of};
use crate::state::Shared;
use crate::view::JobView;

const STATES: [&str; 4] = ["ready", "running", "scheduled", "held"];
/// How many jobs of each shard a page shows by default, and at most.
const LIST: (usize, usize) = (50, 500);

/// Empty values are those of a form that was left as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Parameters {
    queue: String,
    state: String,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Viewer(caller): Viewer,
    Query(parameters): Query<Parameters>,
) -> Result<Html<String>, Failure> {
    let names = shared.queue_names().await?;
    let wanted = Some(parameters.queue.as_str()).filter(|queue| !queue.is_empty());
    let only = Some(parameters.state.as_str()).filter(|state| !state.is_empty());
    let limit = parameters.limit.unwrap_or(LIST.0).clamp(1, LIST.1);
    let shards = shared.shards_seen(wanted).await?;
    let jobs = jobs_of(&shared, &shards, only.map(job_state).transpose()?, limit).await?;
    let body = html! {
        (filter(&names, &parameters))
        (table(&jobs.jobs))
        (more(&jobs, &parameters, limit))
    };
    Ok(page(&caller, Place::Jobs, "Jobs", body))
}

fn filter(names: &[String], parameters: &Parameters) -> Markup {
    html! {
        form .filter {
            label { "Queue " select name="queue" {
                option value="" { "all" }
                @for name in names { option value=(name) selected[*name == parameters.queue] { (name) } }
            } }
            label { "State " select name="state" {
                option value="" { "all" }
                @for name in STATES { option value=(name) selected[name == parameters.state] { (name) } }
            } }
            button { "Show" }
        }
    }
}

/// A table of live jobs.
pub(super) fn table(jobs: &[JobView]) -> Markup {
    if jobs.is_empty() {
        return nothing("No job is ready, running, scheduled or held here.");
    }
    html! {
        table .list {
            thead { tr { th { "State" } (job_heads()) th { "Attempts" } th { "Waits" } } }
            tbody { @for job in jobs { tr {
                td data-label="State" { (state(job.state)) }
                (job_cells(&job.summary))
                td data-label="Attempts" { (job.summary.attempts) }
                td data-label="Waits" { span { (waits(job)) } }
            } } }
        }
    }
}

fn waits(job: &JobView) -> Markup {
    html! {
        @if let Some(due) = &job.due { "until " time datetime=(due) { (due) } }
        @else if let Some(flow) = &job.held_for {
            "for " a href={ "/destination?name=" (encoded(flow)) } { (flow) }
        }
        @else if let Some(worker) = &job.worker { "on " (worker) }
        @else if let Some(behind) = job.behind { "for its turn, behind " (behind) }
    }
}

fn more(jobs: &Jobs, parameters: &Parameters, limit: usize) -> Markup {
    let next = (limit * 5).min(LIST.1);
    let path = format!(
        "/jobs?queue={}&state={}&limit={next}",
        encoded(&parameters.queue),
        encoded(&parameters.state)
    );
    html! {
        @if jobs.more {
            p .hint {
                "These are the first " (limit) " of each queue and state. "
                @if limit < LIST.1 { a href=(path) { "Show up to " (next) } }
                @else { "The command line and the API list more." }
            }
        }
    }
}
