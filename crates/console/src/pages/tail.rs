//! Deliveries as they end.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Html;
use maud::html;

use super::form::{Fields, query};
use super::layout::{Failure, Place, page};
use super::viewer::Viewer;
use crate::state::Shared;

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Viewer(caller): Viewer,
    Query(fields): Query<Fields>,
) -> Result<Html<String>, Failure> {
    let names = shared.queue_names().await?;
    let stream = match query(&fields) {
        text if text.is_empty() => "/v1/tail".to_owned(),
        text => format!("/v1/tail?{text}"),
    };
    let body = html! {
        form .filter {
            label { "Queue " select name="queue" {
                option value="" { "all" }
                @for name in &names { option value=(name) selected[fields.get("queue") == name] { (name) } }
            } }
            label { "Host " input name="host" value=(fields.get("host")) size="24"; }
            label { "Status " input name="status" value=(fields.get("status")) size="8" placeholder="5xx"; }
            button { "Show" }
        }
        noscript { p .notice { "Live updates need JavaScript. On a terminal, " code { "postrider tail" } " shows the same." } }
        p #tail-state .hint role="status" { "Waiting for deliveries…" }
        table .list {
            thead { tr { th { "Ended" } th { "Outcome" } th { "Job" } th { "Label" } th { "Queue" } th { "Host" } th .number { "Took" } th .number { "Attempts" } } }
            tbody #tail data-stream=(stream) {}
        }
    };
    Ok(page(&caller, Place::Live, "Live", body))
}
