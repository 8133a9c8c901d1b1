//! A queue.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Html;
use maud::{Markup, html};

use super::layout::{Failure, Place, page};
use super::order;
use super::overview::workers;
use super::parts::{count, encoded, length};
use super::pause;
use super::plot::plots;
use super::viewer::Viewer;
use crate::access::Scope;
use crate::api::order::stopped_keys;
use crate::state::Shared;
use crate::view::QueueView;

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Viewer(caller): Viewer,
    Path(queue): Path<String>,
) -> Result<Html<String>, Failure> {
    let names = shared.shards(Some(&queue)).await?;
    let shards = shared.views_of(&names).await?;
    let pause = shards.first().and_then(|shard| shard.paused.as_ref());
    let now = shared.inspector.now().await?;
    let plots = plots(&shared, &names).await?;
    let stopped = stopped_keys(&shared, &queue).await?;
    let may_change = caller.may(Scope::Operate);
    let body = html! {
        div data-live {
            @if let Some(pause) = pause { p .notice.bad { (pause::sentence(pause, now)) } }
            (tiles(&queue, &shards))
            (order::section(&queue, &stopped, now, may_change))
            (plots)
            @if shards.len() > 1 { section { h2 { "Shards" } (table(&shards)) } }
            section { h2 { "Workers" } (workers(&shards)) }
        }
        @if may_change {
            (pause::form(&format!("/queues/{}", encoded(&queue)), None, pause.is_some()))
        }
    };
    Ok(page(&caller, Place::Other, &format!("Queue {queue}"), body))
}

/// The counts of all shards together.
fn tiles(queue: &str, shards: &[QueueView]) -> Markup {
    let sum = |of: fn(&QueueView) -> u64| count(shards.iter().map(of).sum());
    let jobs = |state: &str| format!("/jobs?queue={}&state={state}", encoded(queue));
    let oldest = shards.iter().filter_map(|shard| shard.oldest_ms).max();
    let dead = format!("/dead?queue={}", encoded(queue));
    let tiles: [(&str, String, String); 5] = [
        ("ready", sum(|shard| shard.ready), jobs("ready")),
        ("running", sum(|shard| shard.running), jobs("running")),
        ("scheduled", sum(|shard| shard.scheduled), jobs("scheduled")),
        ("held", sum(|shard| shard.held), jobs("held")),
        ("dead", sum(|shard| shard.dead), dead),
    ];
    html! {
        dl .tiles {
            @for (name, number, path) in tiles {
                div { dt { (name) } dd { a href=(path) { (number) } } }
            }
            div { dt { "oldest ready" } dd { (oldest.map_or("–".to_owned(), length)) } }
        }
    }
}

fn table(shards: &[QueueView]) -> Markup {
    html! {
        table .list {
            thead { tr {
                th { "Shard" } th .number { "Ready" } th .number { "Running" } th .number { "Scheduled" }
                th .number { "Held" } th .number { "Dead" }
            } }
            tbody { @for shard in shards { tr {
                td data-label="Shard" { (shard.queue) }
                td .number data-label="Ready" { (count(shard.ready)) }
                td .number data-label="Running" { (count(shard.running)) }
                td .number data-label="Scheduled" { (count(shard.scheduled)) }
                td .number data-label="Held" { (count(shard.held)) }
                td .number data-label="Dead" { (count(shard.dead)) }
            } } }
        }
    }
}
