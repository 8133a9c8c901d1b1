//! Periodic jobs.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use maud::{Markup, html};

use super::layout::{Failure, Place, page};
use super::overview::queue_link;
use super::parts::{ago, count, encoded, job_path, nothing, state};
use super::viewer::{Operator, Viewer};
use crate::access::Scope;
use crate::api::cron::{CronChange, views};
use crate::problem::Problem;
use crate::state::Shared;
use crate::view::CronView;

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Viewer(caller): Viewer,
) -> Result<Html<String>, Failure> {
    let views = views(&shared, &shared.all_queues().await?).await?;
    let now = shared.inspector.now().await?;
    let may_change = caller.may(Scope::Operate);
    let body = html! {
        p .hint { "Each tick of a definition makes one job. Set definitions with " code { "postrider cron apply" } " or the API." }
        @if views.is_empty() { (nothing("There are no periodic jobs.")) }
        @else { div data-live { (table(&views, now, may_change)) } }
    };
    Ok(page(&caller, Place::Cron, "Periodic jobs", body))
}

fn table(views: &[CronView], now: u64, may_change: bool) -> Markup {
    html! {
        table .list {
            thead { tr {
                th { "Name" } th { "Queue" } th { "When" } th { "Next tick" } th { "Last job" }
                th .number { "Made" } th .number { "Missed" } th .number { "Skipped" }
                @if may_change { th { "Change" } }
            } }
            tbody { @for view in views { tr {
                td data-label="Name" { (view.name) }
                td data-label="Queue" { (queue_link(&view.queue)) }
                td data-label="When" { (view.when) }
                td data-label="Next tick" { (next(view, now)) }
                td data-label="Last job" {
                    @if let Some(job) = &view.last_job { a href=(job_path(job)) { code { (job) } } } @else { "–" }
                }
                td .number data-label="Made" { (count(view.made)) }
                td .number data-label="Missed" { (count(view.missed)) }
                td .number data-label="Skipped" { (count(view.skipped)) }
                @if may_change { td data-label="Change" { (actions(view)) } }
            } } }
        }
    }
}

fn next(view: &CronView, now: u64) -> Markup {
    html! {
        @match (&view.error, &view.paused_since, view.next_at) {
            (Some(error), ..) => { (state("failed")) " " (error) }
            (_, Some(_), _) => (state("paused")),
            (.., Some(at)) => (ago(now, at)),
            (.., None) => "–",
        }
    }
}

fn actions(view: &CronView) -> Markup {
    let button = |change: &str, text: &str, kind: &str| {
        html! {
            form method="post" action={ "/cron/" (encoded(&view.queue)) "/" (encoded(&view.name)) "/" (change) } {
                button class=(kind) aria-label={ (text) " " (view.name) } { (text) }
            }
        }
    };
    html! {
        div .actions {
            @if view.error.is_none() { (button("run-now", "Run now", "")) }
            @if view.paused_since.is_some() { (button("resume", "Resume", "quiet")) } @else { (button("pause", "Pause", "quiet")) }
        }
    }
}

/// Pauses or resumes a definition, or makes a job of it.
pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    Operator(caller): Operator,
    Path((queue, name, change)): Path<(String, String, String)>,
) -> Result<Redirect, Failure> {
    let change = match change.as_str() {
        "pause" => CronChange::Pause,
        "resume" => CronChange::Resume,
        "run-now" => CronChange::RunNow,
        _ => return Err(Failure(Problem::not_found(format!("A definition cannot be changed by {change}.")))),
    };
    let changed = shared.clone().finish(change.apply(shared, caller, (queue, name))).await?;
    Ok(Redirect::to(&changed.job_id.map_or_else(|| "/cron".to_owned(), |job| job_path(&job))))
}
