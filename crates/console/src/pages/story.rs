//! What is known of one job, from wherever it is.

use std::collections::BTreeSet;

use maud::{Markup, html};
use postrider_queue::JobResult;
use postrider_queue::work::history::AttemptRecord;
use serde_json::Value;

use crate::access::{Caller, Scope};
use crate::api::search::Found;
use crate::view::{DeadView, JobView, LogView, Summary, plain};

/// Characters of a body that a page shows.
const BODY_CHARS_MAX: usize = 4_000;

/// A job: what its page shows of it.
#[derive(Debug)]
pub(super) struct Story<'a> {
    pub(super) queue: &'a str,
    pub(super) job_id: String,
    pub(super) label: Option<String>,
    /// Its state, or the outcome of a job that has ended.
    pub(super) state: &'a str,
    /// Its entry among the dead letters.
    pub(super) entry: Option<&'a str>,
    pub(super) method: String,
    pub(super) url: Option<String>,
    pub(super) enqueued_at: Option<u64>,
    pub(super) ended_at: Option<u64>,
    pub(super) reason: Option<&'a str>,
    pub(super) replay_of: Option<String>,
    /// The job that reports its end.
    pub(super) callback: Option<String>,
    /// The job whose end it reports.
    pub(super) callback_of: Option<String>,
    /// Its trace.
    pub(super) trace_id: Option<&'a str>,
    /// Why it waits, or why it is dead.
    pub(super) sentence: Option<String>,
    pub(super) attempts: Vec<AttemptRecord>,
    fields: Option<&'a Value>,
    result: Option<&'a JobResult>,
}

/// The stories of all jobs that were found, those that are alive first.
pub(super) fn stories(found: &Found) -> Vec<Story<'_>> {
    let result =
        |id: &str| found.results.iter().find(|result| result.job_id == id).map(|result| &result.result);
    let live = found.jobs.iter().map(Story::live);
    let dead = found
        .dead
        .iter()
        .map(|letter| Story { result: result(&letter.summary.job_id), ..Story::dead(letter) });
    let mut stories: Vec<Story<'_>> = live.chain(dead).collect();
    let mut known: BTreeSet<String> = stories.iter().map(|story| story.job_id.clone()).collect();
    for job in &found.log {
        if known.insert(job.job_id.clone()) {
            stories.push(Story { result: result(&job.job_id), ..Story::logged(job) });
        }
    }
    for ended in &found.results {
        if known.insert(ended.job_id.clone()) {
            stories.push(Story::ended(&ended.queue, &ended.job_id, &ended.result));
        }
    }
    stories
}

impl<'a> Story<'a> {
    fn new(queue: &'a str, job_id: &str, state: &'a str) -> Self {
        Self {
            queue,
            job_id: job_id.to_owned(),
            label: None,
            state,
            entry: None,
            method: String::new(),
            url: None,
            // A job id that Redis made begins with the time.
            enqueued_at: job_id
                .split_once('-')
                .and_then(|(millis, _)| millis.parse().ok())
                .filter(|at| *at > 1_000_000_000_000),
            ended_at: None,
            reason: None,
            replay_of: None,
            callback: None,
            callback_of: None,
            trace_id: None,
            sentence: None,
            attempts: vec![],
            fields: None,
            result: None,
        }
    }

    fn of(summary: &'a Summary, state: &'a str, fields: Option<&'a Value>) -> Self {
        let story = Self::new(&summary.queue, &summary.job_id, state);
        let field = |name: &str| fields.and_then(|fields| fields[name].as_str());
        let enqueued_at = field("_enqueued_at").and_then(|at| at.parse().ok()).or(story.enqueued_at);
        let id = |name: &str| field(name).map(|id| plain(id.as_bytes(), 200));
        let history = field("_history").and_then(|history| serde_json::from_str(history).ok());
        Self {
            label: summary.label.clone(),
            method: summary.method.clone(),
            url: Some(summary.url.clone()),
            enqueued_at,
            replay_of: id("_replay_of"),
            callback: id("_callback"),
            callback_of: id("_callback_of"),
            attempts: attempts(history.as_ref()),
            fields,
            ..story
        }
    }

    fn live(job: &'a JobView) -> Self {
        let sentence = job.why.as_ref().map(|why| format!("It waits: {why}."));
        let story = Self::of(&job.summary, job.state, job.fields.as_ref());
        Self { sentence, trace_id: job.trace_id.as_deref(), ..story }
    }

    fn dead(letter: &'a DeadView) -> Self {
        Self {
            entry: Some(&letter.entry),
            ended_at: Some(letter.dead_at),
            reason: letter.reason.as_deref(),
            sentence: letter.error.clone(),
            trace_id: letter.trace_id.as_deref(),
            ..Self::of(&letter.summary, "dead", letter.fields.as_ref())
        }
    }

    fn logged(job: &'a LogView) -> Self {
        Self {
            label: job.label.clone(),
            url: job.host.clone(),
            enqueued_at: job.enqueued_at,
            ended_at: Some(job.ended_at),
            reason: job.reason.as_deref(),
            replay_of: job.replay_of.clone(),
            callback: job.callback.clone(),
            callback_of: job.callback_of.clone(),
            trace_id: job.trace_id.as_deref(),
            attempts: attempts(Some(&job.history)),
            ..Self::new(&job.queue, &job.job_id, job.outcome)
        }
    }

    fn ended(queue: &'a str, job_id: &str, result: &'a JobResult) -> Self {
        Self {
            reason: result.reason.as_deref(),
            sentence: result.error.clone(),
            trace_id: result.trace_id.as_deref(),
            attempts: result.history.iter().map(AttemptRecord::from_json).collect(),
            result: Some(result),
            ..Self::new(queue, job_id, &result.outcome)
        }
    }

    /// The request as the producer wrote it, with masked secrets.
    pub(super) fn request(&self, caller: &Caller, reveal: bool) -> Markup {
        let Some(fields) = self.fields.and_then(Value::as_object) else { return html! {} };
        let own = fields.iter().filter(|(name, _)| {
            !name.starts_with('_') && !["url", "method", "label"].contains(&name.as_str())
        });
        html! {
            details open[reveal] {
                summary { "Request" }
                dl .fields { @for (name, value) in own { div { dt { (name) } dd { (shown(name, value)) } } } }
                @if caller.may(Scope::Reveal) && !reveal { p .hint { a href="?reveal=true" { "Show secrets" } } }
            }
        }
    }

    /// The part of the response that was kept.
    pub(super) fn response(&self) -> Markup {
        let Some(result) = self.result else { return html! {} };
        let body = result.body.as_deref().map(|body| plain(body.as_bytes(), BODY_CHARS_MAX));
        html! {
            details open {
                summary { "Response" }
                dl .fields {
                    @if let Some(status) = result.status { div { dt { "status" } dd { (status) } } }
                    @for (name, value) in &result.headers {
                        div { dt { (name) } dd { (plain(value.as_bytes(), 1_000)) } }
                    }
                }
                @if let Some(body) = body { pre { (body) } }
                @else if result.body_base64.is_some() { p .muted { "The body is not text." } }
                @if result.truncated { p .muted { "The body was longer, or broke off." } }
            }
        }
    }
}

fn attempts(history: Option<&Value>) -> Vec<AttemptRecord> {
    let list = history.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().map(AttemptRecord::from_json).collect()
}

fn shown(name: &str, value: &Value) -> Markup {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = plain(text.as_bytes(), BODY_CHARS_MAX);
    html! { @if name == "body" || text.len() > 80 { pre { (text) } } @else { code { (text) } } }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_in_two_places_has_one_story() {
        let result = JobResult { outcome: "succeeded".into(), status: Some(200), ..JobResult::default() };
        let ended = |id: &str| crate::api::search::FoundResult {
            queue: "mail".into(),
            job_id: id.into(),
            result: result.clone(),
        };
        let log: LogView = LogView {
            queue: "mail".into(),
            job_id: "1700000000000-0".into(),
            label: Some("a".into()),
            replay_of: None,
            callback: Some("1700000000000-0-callback".into()),
            callback_of: None,
            host: Some("h.test".into()),
            outcome: "succeeded",
            reason: None,
            status: Some(200),
            attempts: 1,
            enqueued_at: None,
            ended_at: 1_700_000_000_500,
            trace_id: None,
            history: json!([{"attempt": 1, "at": 1_700_000_000_100_u64, "ms": 7, "status": 200}]),
        };
        let found = Found {
            log: vec![log],
            results: vec![ended("1700000000000-0"), ended("5-0")],
            ..Found::default()
        };
        let stories = stories(&found);
        assert_eq!(stories.len(), 2);
        assert!(stories[0].result.is_some() && stories[0].attempts.len() == 1);
        assert_eq!(stories[0].callback.as_deref(), Some("1700000000000-0-callback"));
        assert_eq!((stories[1].enqueued_at, stories[1].state), (None, "succeeded"));
    }
}
