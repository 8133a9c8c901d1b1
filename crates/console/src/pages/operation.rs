//! How far a replay or a purge is.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use maud::html;

use super::layout::{Failure, Place, page};
use super::parts::{count, counted, state};
use super::viewer::{Operator, Viewer};
use crate::access::Scope;
use crate::api::operations::{end, find};
use crate::state::Shared;

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Viewer(caller): Viewer,
    Path(id): Path<String>,
) -> Result<Html<String>, Failure> {
    let progress = find(&shared, &id)?.progress();
    let is_running = progress.state == "running";
    let title = if progress.change == "purge" { "Purge" } else { "Replay" };
    let done = if progress.change == "purge" { "deleted" } else { "replayed" };
    let (read, total) = (progress.read.min(progress.total), progress.total.max(1));
    let body = html! {
        div data-live[is_running] .card {
            p { (state(progress.state)) " by " (progress.caller) }
            @if is_running { progress max=(total) value=(read) aria-label="Progress" {} }
            p { strong { (count(progress.changed)) } " " (done)
                @if progress.failed > 0 { ", " (count(progress.failed)) " could not be, since they are no jobs or are gone" }
                "; " (count(read)) " of " (counted(progress.total, "dead letter", "dead letters")) " looked at." }
            @if let Some(error) = &progress.error { p .cause { (error) } }
            @if is_running {
                noscript { meta http-equiv="refresh" content="2"; }
                @if caller.may(Scope::Operate) {
                    form method="post" action={ "/operations/" (progress.id) "/stop" } { button .quiet { "Stop" } }
                }
            }
            p { a href="/dead" { "Dead letters" } }
        }
    };
    Ok(page(&caller, Place::Dead, title, body))
}

pub(super) async fn stop(
    State(shared): State<Arc<Shared>>,
    Operator(caller): Operator,
    Path(id): Path<String>,
) -> Result<Redirect, Failure> {
    end(&shared, &caller, &id)?;
    Ok(Redirect::to(&format!("/operations/{id}")))
}
