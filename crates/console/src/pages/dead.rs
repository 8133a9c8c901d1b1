//! Dead letters: in groups, and one by one.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{Html, Redirect};
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::form::{Fields, query};
use super::layout::{Failure, Place, page};
use super::parts::{self, ago, count, job_cells, job_heads, nothing, status};
use super::viewer::{Operator, Viewer};
use crate::access::{Caller, Scope};
use crate::api::operations::{RATE, Work, begin};
use crate::api::select::{Conditions, select};
use crate::problem::Problem;
use crate::state::{Counted, Shared};
use crate::view::{DeadView, Group, Kind};

/// Dead letters of a page.
const PAGE: usize = 50;
/// Groups of a page.
const GROUPS: usize = 20;
/// The conditions that a form can set, and what they are called.
const CONDITIONS: [(&str, &str); 8] = [
    ("queue", "Queue"),
    ("reason", "Reason"),
    ("host", "Host"),
    ("status", "Status"),
    ("label", "Label"),
    ("error", "Error"),
    ("since", "Died within"),
    ("older_than", "Died before"),
];

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Viewer(caller): Viewer,
    Query(fields): Query<Fields>,
) -> Result<Html<String>, Failure> {
    let conditions: Conditions = fields.conditions();
    let selected = select(&shared, &conditions, &[], PAGE).await?;
    let now = shared.inspector.now().await?;
    let letters: Vec<DeadView> = selected.letters.iter().map(DeadView::new).collect();
    let is_filtered = conditions.select_something();
    let has_groups = !is_filtered && conditions.cursor.is_none();
    let counted = if has_groups { shared.groups_seen().await? } else { None };
    let body = html! {
        @if has_groups {
            div data-live {
                @if let Some(counted) = &counted { (groups(counted, now)) }
                @else { p .hint { "The dead letters are being counted; load the page again in a moment." } }
            }
        }
        section {
            h2 { @if is_filtered { "Those that match" } @else { "One by one, the last first" } }
            (filter(&fields))
            (table(&letters, &fields, &caller, now))
            @if selected.next.is_some() && letters.len() < PAGE {
                p .hint { "These are those among " (count(selected.read as u64)) " dead letters; there are older ones." }
            }
            @if let Some(next) = &selected.next {
                p .pager { a href={ "/dead?" (query(&fields.with("cursor", next))) } rel="next" { "Older" } }
            }
        }
        @if caller.may(Scope::Operate) && !letters.is_empty() { (all(&fields, is_filtered)) }
    };
    Ok(page(&caller, Place::Dead, "Dead letters", body))
}

/// What the dead letters have in common, most frequent first.
fn groups(counted: &Counted, now: u64) -> Markup {
    if counted.groups.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "By cause" }
            table .list {
                thead { tr { th .number { "Count" } th { "Last" } th { "Reason" } th { "Outcome" } th { "Host" } th { "Error" } } }
                tbody { @for (kind, group) in counted.groups.iter().take(GROUPS) { (row(kind, *group, now)) } }
            }
            p .hint {
                @if counted.is_incomplete { "The newest " }
                (parts::counted(counted.counted, "dead letter", "dead letters")) " in "
                (parts::counted(counted.groups.len() as u64, "group", "groups")) "."
                @if counted.groups.len() > GROUPS { " Only the most frequent are shown." }
            }
        }
    }
}

fn row(kind: &Kind, group: Group, now: u64) -> Markup {
    let mut fields = Fields::default();
    for (name, value) in [("reason", &kind.reason), ("host", &kind.host), ("error", &kind.error)] {
        if !value.is_empty() {
            fields = fields.with(name, value);
        }
    }
    let code = kind.status.parse().ok();
    html! {
        tr {
            td .number data-label="Count" { a href={ "/dead?" (query(&fields)) } { (count(group.count)) } }
            td data-label="Last" { (ago(now, group.last)) }
            td data-label="Reason" { (kind.reason) }
            td data-label="Outcome" { (status(code, Some(&kind.status).filter(|text| !text.is_empty()).map(String::as_str))) }
            td data-label="Host" { (kind.host) }
            td .wide data-label="Error" { a href={ "/dead?" (query(&fields)) } { (kind.error) } }
        }
    }
}

fn filter(fields: &Fields) -> Markup {
    html! {
        form .filter {
            @for (name, title) in CONDITIONS {
                label { (title) " " input name=(name) value=(fields.get(name)) size="12"
                    placeholder=[["since", "older_than"].contains(&name).then_some("1h")]; }
            }
            button { "Show" }
            @if !fields.is_empty() { a href="/dead" { "Clear" } }
        }
    }
}

fn table(letters: &[DeadView], fields: &Fields, caller: &Caller, now: u64) -> Markup {
    if letters.is_empty() {
        return nothing(if fields.is_empty() {
            "There are no dead letters."
        } else {
            "No dead letter matches on this page."
        });
    }
    let may = caller.may(Scope::Operate);
    html! {
        form method="post" action="/dead/change" {
            table .list {
                thead { tr {
                    @if may { th { span .hidden { "Select" } } }
                    (job_heads()) th { "Died" } th { "Outcome" } th { "Error" }
                } }
                tbody { @for letter in letters { tr {
                    @if may { td { input type="checkbox" name="ids" value=(letter.entry)
                        aria-label={ "Select " (letter.summary.job_id) }; } }
                    (job_cells(&letter.summary))
                    td data-label="Died" { (ago(now, letter.dead_at)) }
                    td data-label="Outcome" { (status(letter.status.map(u64::from), letter.reason.as_deref())) }
                    td .wide data-label="Error" { (letter.error.as_deref().unwrap_or_default()) }
                } } }
            }
            @if may {
                p .actions {
                    button name="change" value="replay" { "Replay selected" }
                    button .quiet name="change" value="purge" { "Purge selected" }
                }
            }
        }
    }
}

/// Changes all that match.
fn all(fields: &Fields, is_filtered: bool) -> Markup {
    let what = if is_filtered { "all that match" } else { "all dead letters" };
    html! {
        section .card {
            h2 { "Change " (what) }
            form method="post" action="/dead/change" .filter {
                @for (name, value) in fields.pairs() { @if name != "cursor" { input type="hidden" name=(name) value=(value); } }
                input type="hidden" name="all" value="true";
                label { "Per second " input type="number" name="rate" min="1" max=(RATE.1) value=(RATE.0); }
                button name="change" value="replay" { "Replay " (what) }
                label .confirm { input type="checkbox" name="sure" value="true"; " delete for good" }
                button .quiet name="change" value="purge" { "Purge " (what) }
            }
        }
    }
}

/// What a form asks to change.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    change: String,
    all: bool,
    sure: bool,
    rate: Option<u32>,
}

pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    Operator(caller): Operator,
    fields: Fields,
) -> Result<Redirect, Failure> {
    let asked: Asked = fields.read();
    let ids = fields.all("ids");
    let is_purge = asked.change == "purge";
    let wrong = |detail: &str| Failure(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    if !is_purge && asked.change != "replay" {
        return Err(wrong("A form asks to replay or to purge."));
    }
    if ids.is_empty() && !asked.all {
        return Err(wrong("No dead letter was selected. Go back, and tick some."));
    }
    if asked.all && is_purge && !asked.sure {
        return Err(wrong("To purge all of them, tick “delete for good”."));
    }
    let conditions = fields.conditions();
    // Few are changed at once; many at the chosen rate.
    let rate = if asked.all { asked.rate.unwrap_or(RATE.0).clamp(1, RATE.1) } else { RATE.1 };
    let operation = begin(&shared, &caller, Work { conditions, ids, is_purge, rate }).await?;
    Ok(Redirect::to(&format!("/operations/{}", operation.progress().id)))
}
