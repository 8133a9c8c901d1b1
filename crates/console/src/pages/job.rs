//! What happened to a job.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{Html, Redirect};
use http::HeaderMap;
use http::header::REFRESH;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{Failure, Place, page};
use super::overview::{queue_link, queue_of};
use super::parts::{count, encoded, job_path, state};
use super::story::{Story, stories};
use super::viewer::{Operator, Viewer};
use super::waterfall;
use crate::access::{Caller, Scope};
use crate::api::change::Change;
use crate::api::search::{Next, look_up};
use crate::problem::Problem;
use crate::state::Shared;
use crate::view::{advice_for_reason, time};

/// What a change has done, and whether to show secrets.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Parameters {
    done: String,
    reveal: bool,
    cursor: Option<String>,
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Viewer(caller): Viewer,
    Path(id): Path<String>,
    Query(Parameters { done, reveal, cursor }): Query<Parameters>,
) -> Result<(HeaderMap, Html<String>), Failure> {
    if reveal {
        caller.require(Scope::Reveal)?;
    }
    let found = look_up(&shared, &id, None, reveal, cursor.as_deref()).await?;
    if found.is_empty() && found.next.is_none() {
        return Err(Failure(Problem::not_found(format!(
            "Nothing is known of {id}. It may have been delivered without a result that is kept or a delivery log, have been \
             purged, or be in another Redis."
        ))));
    }
    let stories = stories(&found);
    let title = match &stories[..] {
        [] => format!("Search for {id}"),
        [one] => format!("Job {}", one.label.as_deref().unwrap_or(&one.job_id)),
        many => format!("{} jobs of {id}", many.len()),
    };
    let trace_url = shared.trace_url.as_deref();
    let body = html! {
        @if let Some(text) = notice(&done) { p .notice.good role="status" { (text) } }
        @if let Some(next) = &found.next { (go_on(&id, next, stories.is_empty())) }
        @else if found.incomplete { p .hint { "Something cannot be read: there may be more." } }
        @for story in &stories { (card(story, &caller, trace_url, reveal)) }
    };
    let mut headers = HeaderMap::new();
    if let Some(next) = found.next.as_ref().filter(|_| stories.is_empty()) {
        // Without a script: the browser follows at once.
        headers.extend(format!("0; url={}", continued(&id, next)).try_into().ok().map(|to| (REFRESH, to)));
    }
    Ok((headers, page(&caller, Place::Jobs, &title, body)))
}

/// The page on which a search goes on.
fn continued(id: &str, next: &Next) -> String {
    format!("{}?cursor={}", job_path(id), encoded(&next.cursor))
}

/// How far the search has come, and a link to continue it.
fn go_on(id: &str, next: &Next, is_empty: bool) -> Markup {
    html! {
        p .notice {
            @if is_empty { "Nothing was found yet, and the search goes on by itself. " }
            "The search has read " (count(next.read)) @if let Some(of) = next.of { " of " (count(of)) } " " (what_is_read(next.part)) " of queue "
            (queue_link(queue_of(&next.queue))) ", and not everything after them. "
            a href=(continued(id, next)) rel="next" { "Continue the search" }
        }
    }
}

/// What the search counts in a part.
fn what_is_read(part: &'static str) -> &'static str {
    if part == "delivery log" { "records of the delivery log" } else { part }
}

/// What has just been done.
fn notice(done: &str) -> Option<&'static str> {
    Some(match done {
        "cancelled" => "The job is cancelled.",
        "cancelled_while_running" => "The job is cancelled. Its request may have been sent.",
        "ready" => "The job runs now.",
        "replayed" => "This is the new job.",
        _ => return None,
    })
}

fn card(story: &Story<'_>, caller: &Caller, trace_url: Option<&str>, reveal: bool) -> Markup {
    html! {
        article .card {
            header {
                h2 { (state(story.state)) " " code { (story.job_id) } }
                @if caller.may(Scope::Operate) { (actions(story)) }
            }
            (facts(story, trace_url))
            @if let Some(sentence) = &story.sentence { p .cause { (sentence) } }
            @if let Some(advice) = story.reason.and_then(advice_for_reason) { p { (advice) } }
            @if !story.attempts.is_empty() {
                h3 { "What happened" }
                (waterfall::life(story.enqueued_at, &story.attempts))
                @for (index, attempt) in story.attempts.iter().enumerate().rev() {
                    (waterfall::attempt(attempt, story.attempts.get(index + 1), trace_url))
                }
            }
            (story.request(caller, reveal))
            (story.response())
        }
    }
}

fn facts(story: &Story<'_>, trace_url: Option<&str>) -> Markup {
    html! {
        dl .facts {
            @if let Some(label) = &story.label {
                div { dt { "Label" } dd { a href={ "/jobs/" (encoded(label)) } { (label) } } }
            }
            div { dt { "Queue" } dd { (queue_link(queue_of(story.queue))) } }
            @if let Some(url) = &story.url { div { dt { "Request" } dd { (story.method) " " (url) } } }
            @if let Some(enqueued) = story.enqueued_at {
                div { dt { "Enqueued" } dd { time datetime=(time(enqueued)) { (time(enqueued)) } } }
            }
            @if let Some(ended) = story.ended_at {
                div { dt { "Ended" } dd { time datetime=(time(ended)) { (time(ended)) } } }
            }
            // Attempts have their own links. Without telemetry they have none, but the job has its producer's trace.
            @if let Some(trace) = story.trace_id.filter(|_| story.attempts.iter().all(|attempt| attempt.traceparent.is_none())) {
                div { dt { "Trace" } dd { (waterfall::link(trace, trace_url)) } }
            }
            @if let Some(reason) = story.reason { div { dt { "Reason" } dd { code { (reason) } } } }
            @for (name, other) in [("Replay of", &story.replay_of), ("Reports", &story.callback_of), ("Callback", &story.callback)] {
                @if let Some(id) = other {
                    div { dt { (name) } dd { a href={ "/jobs/" (encoded(id)) } { code { (id) } } } }
                }
            }
        }
    }
}

/// The changes that are possible in this state.
fn actions(story: &Story<'_>) -> Markup {
    let button = |action: &str, name: &str, kind: &str| {
        html! {
            form method="post" action={ "/queues/" (encoded(queue_of(story.queue))) "/jobs/" (encoded(&story.job_id)) "/" (action) } {
                button class=(kind) { (name) }
            }
        }
    };
    html! {
        div .actions {
            @match (story.state, story.entry) {
                ("scheduled" | "held", _) => { (button("run-now", "Run now", "")) (button("cancel", "Cancel", "quiet")) }
                ("ready" | "running", _) => (button("cancel", "Cancel", "quiet")),
                ("dead", Some(entry)) => {
                    form method="post" action="/dead/change" {
                        input type="hidden" name="ids" value=(entry);
                        input type="hidden" name="queue" value=(queue_of(story.queue));
                        button name="change" value="replay" { "Replay" }
                        button .quiet name="change" value="purge" { "Purge" }
                    }
                }
                _ => {}
            }
        }
    }
}

/// Cancels a job, or runs it now.
pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    Operator(caller): Operator,
    Path((queue, job_id, change)): Path<(String, String, String)>,
) -> Result<Redirect, Failure> {
    let change = match change.as_str() {
        "cancel" => Change::Cancel,
        "run-now" => Change::RunNow,
        _ => return Err(Failure(Problem::not_found(format!("A job cannot be changed by {change}.")))),
    };
    let path = job_path(&job_id);
    let changed = shared.clone().finish(change.apply(shared, caller, queue, job_id)).await?;
    Ok(Redirect::to(&format!("{path}?done={}", changed.outcome)))
}
