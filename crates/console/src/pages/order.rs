//! Order keys that dead letters have stopped, on the page of their queue.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::Failure;
use super::parts::{ago, count, encoded, job_path, state};
use super::viewer::Operator;
use crate::api::order::{ResumeRequest, StoppedKeys, resume_keys};
use crate::state::Shared;
use crate::view::StoppedKeyView;

/// The key to resume; all keys without one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    order: Option<String>,
}

/// Resumes a stopped key, or all.
pub(super) async fn resume(
    State(shared): State<Arc<Shared>>,
    Operator(caller): Operator,
    Path(queue): Path<String>,
    Form(Asked { order }): Form<Asked>,
) -> Result<Redirect, Failure> {
    let request = ResumeRequest { all: order.is_none(), order };
    shared.clone().finish(resume_keys(shared, caller, queue.clone(), request)).await?;
    Ok(Redirect::to(&format!("/queues/{}", encoded(&queue))))
}

/// The stopped keys of a queue, if there are any.
pub(super) fn section(queue: &str, stopped: &StoppedKeys, now: u64, may_change: bool) -> Markup {
    if stopped.total == 0 {
        return html! {};
    }
    html! {
        section {
            h2 { "Stopped order keys" }
            p .hint { "A dead letter stops the later jobs of its order key. Replay it, and they follow; resume the key, and they go on without it." }
            @if stopped.keys.iter().any(|key| key.deleted) {
                p .hint { "A deleted dead letter was beyond the bounds of the dead letters. It cannot be replayed: only a resume lets its key go." }
            }
            (table(queue, &stopped.keys, now, may_change))
            @if stopped.total > stopped.keys.len() as u64 { p .hint { "There are " (count(stopped.total)) " in all." } }
            @if may_change && stopped.keys.len() > 1 {
                form method="post" action=(action(queue)) { button .quiet { "Resume all of these keys" } }
            }
        }
    }
}

fn table(queue: &str, keys: &[StoppedKeyView], now: u64, may_change: bool) -> Markup {
    html! {
        table .list {
            thead { tr {
                th { "Order key" } th { "Dead letter" } th { "Reason" } th { "Stopped" } th .number { "Behind" }
                @if may_change { th { "Change" } }
            } }
            tbody { @for key in keys { tr {
                td .wide data-label="Order key" { span { (key.order) } }
                td data-label="Dead letter" {
                    a href=(job_path(&key.job_id)) { code { (key.job_id) } }
                    @if key.deleted { " " (state("deleted")) }
                }
                td data-label="Reason" { (key.reason) }
                td data-label="Stopped" { (ago(now, key.stopped_at)) }
                td .number data-label="Behind" { (count(key.behind)) }
                @if may_change { td data-label="Change" {
                    form method="post" action=(action(queue)) {
                        input type="hidden" name="order" value=(key.order);
                        button .quiet aria-label={ "Resume " (key.order) } { "Resume" }
                    }
                } }
            } } }
        }
    }
}

fn action(queue: &str) -> String {
    format!("/queues/{}/order/resume", encoded(queue))
}
