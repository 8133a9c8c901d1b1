//! Pausing queues and destinations.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::Failure;
use super::parts::encoded;
use super::viewer::Operator;
use crate::api::pause::{PauseRequest, end_flow_pause, end_queue_pause, set_flow_pause, set_queue_pause};
use crate::problem::Problem;
use crate::state::{Shared, queue_name};
use crate::view::{PauseView, end_text};

/// How long, and why; a destination's name, too.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    name: String,
    until: String,
    why: String,
}

impl Asked {
    fn request(&self) -> PauseRequest {
        let text = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        PauseRequest { until: text(&self.until), why: text(&self.why) }
    }
}

pub(super) async fn pause_queue(
    State(shared): State<Arc<Shared>>,
    Operator(caller): Operator,
    Path(queue): Path<String>,
    Form(asked): Form<Asked>,
) -> Result<Redirect, Failure> {
    let name = queue_name(&queue)?;
    shared.clone().finish(set_queue_pause(shared, caller, name, asked.request())).await?;
    Ok(Redirect::to(&format!("/queues/{}", encoded(&queue))))
}

pub(super) async fn resume_queue(
    State(shared): State<Arc<Shared>>,
    Operator(caller): Operator,
    Path(queue): Path<String>,
) -> Result<Redirect, Failure> {
    let name = queue_name(&queue)?;
    shared.clone().finish(end_queue_pause(shared.clone(), caller, name.clone())).await?;
    // A queue that was paused before its first job has no page any more.
    let has_page = shared.inspector.exists(&name).await.map_err(Problem::from)?;
    Ok(Redirect::to(&if has_page { format!("/queues/{}", encoded(&queue)) } else { "/".to_owned() }))
}

pub(super) async fn pause_destination(
    State(shared): State<Arc<Shared>>,
    Operator(caller): Operator,
    Form(asked): Form<Asked>,
) -> Result<Redirect, Failure> {
    let request = asked.request();
    shared.clone().finish(set_flow_pause(shared, caller, asked.name.clone(), request)).await?;
    Ok(Redirect::to(&format!("/destination?name={}", encoded(&asked.name))))
}

pub(super) async fn resume_destination(
    State(shared): State<Arc<Shared>>,
    Operator(caller): Operator,
    Form(asked): Form<Asked>,
) -> Result<Redirect, Failure> {
    shared.clone().finish(end_flow_pause(shared, caller, asked.name.clone())).await?;
    Ok(Redirect::to(&format!("/destination?name={}", encoded(&asked.name))))
}

/// What is paused, until when, who did it and why.
pub(super) fn sentence(pause: &PauseView, now: u64) -> Markup {
    html! {
        "Paused " (end_text(pause.until, now))
        @if let Some(by) = &pause.by { ", by " (by) }
        @if let Some(why) = &pause.why { ": " (why) }
    }
}

/// The form that pauses, or the one that resumes. `action` is the path without the last word.
pub(super) fn form(action: &str, name: Option<&str>, is_paused: bool) -> Markup {
    let name = html! { @if let Some(name) = name { input type="hidden" name="name" value=(name); } };
    html! {
        @if is_paused {
            form method="post" action={ (action) "/resume" } { (name) button { "Resume" } }
        } @else {
            details {
                summary { "Pause" }
                form method="post" action={ (action) "/pause" } .filter {
                    (name)
                    label { "For, or until " input name="until" placeholder="until resumed; 30m; RFC 3339" size="26"; }
                    label { "Why " input name="why" size="24" maxlength="256"; }
                    button { "Pause now" }
                }
            }
        }
    }
}
