//! The first page: all queues, all workers, and what needs attention.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;
use maud::{Markup, html};

use super::layout::{Failure, Place, page};
use super::parts::{count, counted, encoded, length, nothing, state};
use super::pause;
use super::plot::plots;
use super::viewer::Viewer;
use crate::state::Shared;
use crate::view::{FlowView, PauseView, QueueView, WorkerView};

/// How many broken destinations are named.
const BROKEN_MAX: usize = 5;

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Viewer(caller): Viewer,
) -> Result<Html<String>, Failure> {
    let found = shared.queues_seen().await?;
    let (queues, notes) = shared.views(&found, &shared.pauses_if_known().await).await?;
    let flows = shared.flows_seen().await?;
    let plots = plots(&shared, &found.shards).await?;
    let now = shared.inspector.now().await?;
    let body = html! {
        div data-live {
            (attention(&queues, &flows, &notes, now))
            @if !queues.is_empty() { (plots) }
            section { h2 { "Queues" } (queue_table(&queues)) }
            section { h2 { "Workers" } (workers(&queues)) }
        }
    };
    Ok(page(&caller, Place::Overview, "Overview", body))
}

/// A queue with all its shards.
#[derive(Debug, Default)]
struct Sum {
    ready: u64,
    running: u64,
    scheduled: u64,
    held: u64,
    stopped_keys: u64,
    dead: u64,
    oldest_ms: Option<u64>,
    workers: usize,
}

/// The name of a queue, without the number of a shard.
pub(super) fn queue_of(shard: &str) -> &str {
    shard.split('/').next().unwrap_or(shard)
}

fn sums(shards: &[QueueView]) -> BTreeMap<&str, Sum> {
    let mut sums = BTreeMap::<&str, Sum>::new();
    for shard in shards {
        let sum = sums.entry(queue_of(&shard.queue)).or_default();
        sum.ready += shard.ready;
        sum.running += shard.running;
        sum.scheduled += shard.scheduled;
        sum.held += shard.held;
        sum.stopped_keys += shard.stopped_keys;
        sum.dead += shard.dead;
        sum.oldest_ms = sum.oldest_ms.max(shard.oldest_ms);
        sum.workers = sum.workers.max(shard.workers_alive);
    }
    sums
}

/// What a person should look at, the worst first.
fn attention(queues: &[QueueView], flows: &[FlowView], notes: &[String], now: u64) -> Markup {
    let paused: BTreeMap<&str, &PauseView> =
        queues.iter().filter_map(|queue| Some((queue_of(&queue.queue), queue.paused.as_ref()?))).collect();
    let sums = sums(queues);
    let unserved = |sum: &Sum| sum.workers == 0 && sum.ready + sum.scheduled + sum.held > 0;
    let unserved: Vec<_> = sums.iter().filter(|(_, sum)| unserved(sum)).collect();
    let stopped: Vec<_> = sums.iter().filter(|(_, sum)| sum.stopped_keys > 0).collect();
    let silent: Vec<_> = workers_of(queues).into_values().filter(|worker| worker.state == "silent").collect();
    let broken: Vec<_> = flows.iter().filter(|flow| flow.trips > 0).collect();
    let faults: Vec<_> =
        queues.iter().flat_map(|queue| queue.faults.iter().map(move |fault| (queue, fault))).collect();
    if paused.is_empty()
        && unserved.is_empty()
        && stopped.is_empty()
        && silent.is_empty()
        && broken.is_empty()
        && notes.is_empty()
        && faults.is_empty()
    {
        return html! { p .notice.good { "Nothing needs attention." } };
    }
    html! {
        section .notice.bad aria-label="Needs attention" {
            ul {
                @for (queue, pause) in &paused { li { (queue_link(queue)) ": " (pause::sentence(pause, now)) } }
                @for (queue, sum) in &unserved {
                    li { "No worker serves " (queue_link(queue)) ", and " (counted(sum.ready + sum.scheduled + sum.held, "job waits", "jobs wait")) "." }
                }
                @for (queue, sum) in &stopped {
                    li { (queue_link(queue)) ": dead letters stop " (counted(sum.stopped_keys, "order key", "order keys")) "." }
                }
                @for worker in &silent {
                    li { "Worker " code { (worker.name) } " has sent no heartbeat for "
                        (worker.seen_ms_ago.map_or("some time".to_owned(), length)) "; others take over its jobs." }
                }
                @for flow in broken.iter().take(BROKEN_MAX) {
                    li { a href={ "/destination?name=" (encoded(&flow.id)) } { (flow.flow.as_deref().unwrap_or(&flow.id)) }
                        " has stopped answering; " (counted(flow.held, "job waits", "jobs wait")) " for it." }
                }
                @if broken.len() > BROKEN_MAX {
                    li { a href="/destinations" { (broken.len() - BROKEN_MAX) " more destinations" } " have stopped answering." }
                }
                @for (queue, fault) in &faults { li { "Queue " (queue.queue) ": " (fault) } }
                @for note in notes { li { (note) } }
            }
        }
    }
}

pub(super) fn queue_link(queue: &str) -> Markup {
    html! { a href={ "/queues/" (encoded(queue)) } { (queue) } }
}

fn queue_table(shards: &[QueueView]) -> Markup {
    if shards.is_empty() {
        return html! {
            (nothing("There is no queue yet. A queue appears with its first job."))
            pre { "postrider send https://example.org/hook -d hello" }
        };
    }
    let number = |queue: &str, state: &str, number: u64| {
        html! {
            td .number data-label=(state) {
                @if number == 0 { span .zero { "0" } }
                @else { a href={ "/jobs?queue=" (encoded(queue)) "&state=" (state) } { (count(number)) } }
            }
        }
    };
    html! {
        table .list {
            thead { tr {
                th { "Queue" } th .number { "Ready" } th .number { "Oldest" } th .number { "Running" }
                th .number { "Scheduled" } th .number { "Held" } th .number { "Dead" } th .number { "Workers" }
            } }
            tbody { @for (queue, sum) in sums(shards) { tr {
                td data-label="Queue" { (queue_link(queue)) }
                (number(queue, "ready", sum.ready))
                td .number data-label="oldest" { (sum.oldest_ms.map_or("–".to_owned(), length)) }
                (number(queue, "running", sum.running))
                (number(queue, "scheduled", sum.scheduled))
                (number(queue, "held", sum.held))
                td .number data-label="dead" {
                    @if sum.dead == 0 { span .zero { "0" } }
                    @else { a href={ "/dead?queue=" (encoded(queue)) } { (count(sum.dead)) } }
                }
                td .number data-label="workers" { (sum.workers) }
            } } }
        }
    }
}

/// Each worker once, with its jobs of all shards.
fn workers_of(queues: &[QueueView]) -> BTreeMap<&str, WorkerView> {
    let mut workers = BTreeMap::<&str, WorkerView>::new();
    for worker in queues.iter().flat_map(|queue| &queue.workers) {
        workers
            .entry(&worker.name)
            .and_modify(|known| known.pending += worker.pending)
            .or_insert_with(|| worker.clone());
    }
    workers
}

/// A table of workers.
pub(super) fn workers(queues: &[QueueView]) -> Markup {
    let workers = workers_of(queues);
    if workers.is_empty() {
        return html! {
            (nothing("No worker has been here."))
            pre { "postrider worker" }
        };
    }
    html! {
        table .list {
            thead { tr { th { "State" } th { "Worker" } th .number { "Running" } th { "Heartbeat" } th { "Version" } } }
            tbody { @for worker in workers.values() { tr {
                td data-label="State" { (state(worker.state)) }
                td .wide data-label="Worker" {
                    code { (worker.name) }
                    @for warning in &worker.warnings { p { "Warning: " (warning) } }
                }
                td .number data-label="Running" { (count(worker.pending)) }
                td data-label="Heartbeat" { (worker.seen_ms_ago.map_or("–".to_owned(), |ms| format!("{} ago", length(ms)))) }
                td data-label="Version" { (worker.version.as_deref().unwrap_or("–")) }
            } } }
        }
    }
}
