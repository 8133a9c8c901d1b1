//! Who changed what.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Html;
use maud::html;
use postrider_queue::job::EntryId;
use serde::Deserialize;

use super::layout::{Failure, Place, page};
use super::overview::queue_link;
use super::parts::{ago, count, nothing};
use super::viewer::Viewer;
use crate::state::Shared;
use crate::view::ChangeView;

/// Changes of a page.
const PAGE: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Parameters {
    cursor: String,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Viewer(caller): Viewer,
    Query(Parameters { cursor }): Query<Parameters>,
) -> Result<Html<String>, Failure> {
    let records = shared.inspector.changes(EntryId::parse(cursor.as_bytes()), PAGE).await?;
    let now = shared.inspector.now().await?;
    let changes: Vec<ChangeView> = records.iter().map(ChangeView::new).collect();
    let body = html! {
        p .hint { "Changes that were made by hand: here, through the API, and with the command line." }
        @if changes.is_empty() { (nothing("Nobody has changed anything yet.")) }
        @else {
            table .list {
                thead { tr { th { "When" } th { "Who" } th { "Change" } th { "Queue" } th .number { "Jobs" } th { "What" } } }
                tbody { @for change in &changes { tr {
                    td data-label="When" { (ago(now, change.at)) }
                    td data-label="Who" { (change.caller) }
                    td data-label="Change" { (change.change.replace('_', " ")) }
                    td data-label="Queue" { @if let Some(queue) = &change.queue { (queue_link(queue)) } }
                    td .number data-label="Jobs" { (count(change.jobs)) }
                    td .wide data-label="What" { (change.subject) }
                } } }
            }
            @if changes.len() == PAGE && let Some(last) = changes.last() {
                p .pager { a href={ "/audit?cursor=" (last.id) } rel="next" { "Older" } }
            }
        }
    };
    Ok(page(&caller, Place::Audit, "Audit", body))
}
