//! Destinations: why jobs wait for them.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Html;
use maud::{Markup, html};
use postrider_queue::job::FlowId;
use serde::Deserialize;

use super::form::{Fields, query};
use super::jobs;
use super::layout::{Failure, Place, page};
use super::overview::{queue_link, queue_of};
use super::parts::{ago, count, encoded, nothing, state};
use super::pause;
use super::viewer::Viewer;
use crate::access::Scope;
use crate::api::select::{Conditions, select};
use crate::problem::Problem;
use crate::state::Shared;
use crate::view::{DeadView, FlowView, JobView, is_meant};

/// Held jobs, and dead letters, that a destination's page shows.
const LISTED: usize = 20;

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Viewer(caller): Viewer,
) -> Result<Html<String>, Failure> {
    let flows = shared.flows_seen().await?;
    let now = shared.inspector.now().await?;
    let body = html! {
        p .hint { "Destinations that hold jobs, whose breaker is open, or that are paused. All others take jobs as they come." }
        div data-live { (table(&flows, now)) }
    };
    Ok(page(&caller, Place::Destinations, "Destinations", body))
}

fn table(flows: &[FlowView], now: u64) -> Markup {
    if flows.is_empty() {
        return nothing("No destination holds jobs or is paused, and no breaker is open.");
    }
    html! {
        table .list {
            thead { tr { th { "Breaker" } th { "Destination" } th .number { "Held" } th { "Why" } th { "Since" } th { "Next attempt" } th { "Last error" } } }
            tbody { @for flow in flows { tr {
                td data-label="Breaker" { @if flow.paused.is_some() { (state("paused")) } @else { (state(flow.breaker)) } }
                td .wide data-label="Destination" { a href={ "/destination?name=" (encoded(&flow.id)) } { (name(flow)) } }
                td .number data-label="Held" { (count(flow.held)) }
                td data-label="Why" { (reason(flow)) }
                td data-label="Since" { @if let Some(since) = since(flow) { (ago(now, since)) } }
                td data-label="Next attempt" { (next(flow, now)) }
                td .wide data-label="Last error" { (flow.error.as_deref().unwrap_or_default()) }
            } } }
        }
    }
}

fn name(flow: &FlowView) -> &str {
    flow.flow.as_deref().unwrap_or(&flow.id)
}

/// Why it holds jobs, for people.
fn reason(flow: &FlowView) -> &'static str {
    match flow.why {
        Some("paused") => "paused",
        Some("breaker") => "does not answer",
        Some("retry_after") => "asked for a pause",
        Some("rate") => "its rate is used up",
        Some("concurrency") => "makes as many attempts at once as it may",
        Some("window") => "earlier attempts are not answered yet",
        _ => "–",
    }
}

/// When its pause began, or its breaker opened.
fn since(flow: &FlowView) -> Option<u64> {
    flow.paused.as_ref().map_or(flow.opened_at, |pause| pause.since)
}

fn next(flow: &FlowView, now: u64) -> Markup {
    let at = match flow.why {
        Some("paused") => flow.paused.as_ref().and_then(|pause| pause.until),
        Some("breaker") => flow.open_until,
        Some("retry_after") => flow.hold_until,
        _ => None,
    };
    html! {
        @match at {
            Some(at) if at > now => (ago(now, at)),
            Some(_) => "now",
            None => "–",
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    /// A flow's name or id, or a host.
    name: String,
}

pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Viewer(caller): Viewer,
    Query(Named { name }): Query<Named>,
) -> Result<Html<String>, Failure> {
    let flows = shared.flows_seen().await?;
    let now = shared.inspector.now().await?;
    let own: Vec<&FlowView> = flows.iter().filter(|flow| is_about(flow, &name)).collect();
    let host = own.first().map_or(name.as_str(), |flow| self::name(flow)).to_owned();
    let (dead, next) = dead(&shared, &host).await?;
    let held = held(&shared, &own).await?;
    let body = html! {
        @if own.is_empty() { p .notice.good { "It holds no job, and its breaker is closed: jobs for it are sent as they come." } }
        @for flow in &own { (card(flow, now)) }
        @if caller.may(Scope::Operate) {
            (pause::form("/destination", Some(&name), own.iter().any(|flow| flow.paused.is_some())))
        }
        @if !held.is_empty() { section { h2 { "Held jobs" } (jobs::table(&held)) } }
        section {
            h2 { "Dead letters of this host" }
            @if let (Some(_), true) = (&next, dead.is_empty()) {
                (nothing("There are none among the last ones."))
                p { a href={ "/dead?" (query(&Fields::default().with("host", &host))) } { "Look at older ones" } }
            }
            @else if dead.is_empty() { (nothing("There are none.")) }
            @else {
                ul .bare { @for letter in &dead {
                    li { a href={ "/jobs/" (encoded(&letter.summary.job_id)) } { code { (letter.summary.job_id) } } " "
                        (ago(now, letter.dead_at)) " " (letter.error.as_deref().unwrap_or_default()) }
                } }
                p { a href={ "/dead?" (query(&Fields::default().with("host", &host))) } { "All of them" } }
            }
        }
    };
    Ok(page(&caller, Place::Destinations, &host, body))
}

fn is_about(flow: &FlowView, name: &str) -> bool {
    FlowId::parse(&flow.id).is_some_and(|id| is_meant(name, id, flow.flow.as_deref()))
}

fn card(flow: &FlowView, now: u64) -> Markup {
    html! {
        article .card {
            h2 { (state(flow.breaker)) " " (name(flow)) }
            dl .facts {
                div { dt { "Held jobs" } dd { (count(flow.held)) } }
                div { dt { "Why" } dd { (reason(flow)) } }
                @if let Some(since) = flow.opened_at { div { dt { "Since" } dd { (ago(now, since)) } } }
                div { dt { "Next attempt" } dd { (next(flow, now)) } }
                @if flow.trips > 0 { div { dt { "Breaker opened" } dd { (flow.trips) " times in a row" } } }
                @if let Some(attempts) = flow.attempts { div { dt { "Attempts now" } dd { (attempts) } } }
                div { dt { "Queues" } dd {
                    @for (queue, jobs) in &flow.queues { (queue_link(queue_of(queue))) " " (count(*jobs)) " " }
                } }
            }
            @if let Some(pause) = &flow.paused { p .notice.bad { (pause::sentence(pause, now)) } }
            @if let Some(error) = &flow.error { p .cause { (error) } }
        }
    }
}

/// The first jobs that these flows hold.
async fn held(shared: &Shared, flows: &[&FlowView]) -> Result<Vec<JobView>, Problem> {
    let mut held = vec![];
    for flow in flows {
        let Some(id) = FlowId::parse(&flow.id) else { continue };
        for queue in flow.queues.keys() {
            for shard in shared.shards(Some(queue_of(queue))).await? {
                let jobs = shared.inspector.held_by(&shard, id, LISTED).await?;
                held.extend(jobs.iter().map(JobView::new));
            }
        }
    }
    held.truncate(LISTED);
    Ok(held)
}

/// The last dead letters of a host, and whether there may be more.
async fn dead(shared: &Shared, host: &str) -> Result<(Vec<DeadView>, Option<String>), Problem> {
    let conditions = Conditions { host: Some(host.to_owned()), ..Conditions::default() };
    let selected = select(shared, &conditions, &[], LISTED).await?;
    Ok((selected.letters.iter().map(DeadView::new).collect(), selected.next))
}
