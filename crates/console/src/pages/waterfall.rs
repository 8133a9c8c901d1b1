//! Attempts as bars: the life of a job, and the phases of each attempt.

use std::time::Duration;

use maud::{Markup, html};
use postrider_queue::work::history::AttemptRecord;

use super::parts::{length, status};
use crate::view::{advice, plain, time, trace_address};

/// The width of a drawing, in its own units.
const WIDTH: f64 = 1000.0;
/// The narrowest bar that can be seen.
const NARROWEST: f64 = 4.0;

/// A part of a drawing: its name, its colour, and its time from the beginning, in µs.
struct Bar {
    name: String,
    kind: &'static str,
    from: u64,
    to: u64,
}

/// The life of a job: its waits and its attempts.
pub(super) fn life(enqueued: Option<u64>, attempts: &[AttemptRecord]) -> Markup {
    let Some(first) = enqueued.or(attempts.first().map(|attempt| attempt.at)) else { return html! {} };
    let since = |millis: u64| millis.saturating_sub(first) * 1_000;
    let mut bars = Vec::new();
    let mut end = 0;
    for attempt in attempts {
        let (from, took) = (since(attempt.at), micros(attempt.took));
        let name = if attempt.attempt <= 1 { "in the queue" } else { "until the retry" };
        if from > end {
            bars.push(Bar { name: name.to_owned(), kind: "wait", from: end, to: from });
        }
        let kind =
            if attempt.status.is_some_and(|status| (200..300).contains(&status)) { "ok" } else { "bad" };
        bars.push(Bar { name: format!("attempt {}", attempt.attempt), kind, from, to: from + took });
        end = end.max(from + took);
    }
    html! { @if !bars.is_empty() { (drawing(&bars, "The life of the job")) } }
}

/// One attempt: its outcome, and its phases. What its outcome means is not repeated if the next one had the same.
pub(super) fn attempt(
    attempt: &AttemptRecord,
    next: Option<&AttemptRecord>,
    trace_url: Option<&str>,
) -> Markup {
    let code = attempt.status.map(u64::from);
    let error = attempt.error.as_deref().map(|error| plain(error.as_bytes(), 100));
    let bars = phases(attempt);
    let is_same = next.is_some_and(|next| (next.status, &next.error) == (attempt.status, &attempt.error));
    let advice = if is_same { None } else { advice(code, error.as_deref()) };
    html! {
        section .attempt {
            h4 {
                "Attempt " (attempt.attempt) " " (status(code, error.as_deref())) " "
                span .muted {
                    time datetime=(time(attempt.at)) { (time(attempt.at)) } ", took " (length(attempt.took.as_millis() as u64))
                }
                @if let Some(link) = trace_link(attempt, trace_url) { " " (link) }
            }
            @if let Some(advice) = advice { p { (advice) } }
            @if bars.is_empty() { p .muted { "No phase of this attempt was recorded." } }
            @else { (drawing(&bars, &format!("The phases of attempt {}", attempt.attempt))) }
        }
    }
}

/// A link to the trace of an attempt, or its id.
fn trace_link(attempt: &AttemptRecord, trace_url: Option<&str>) -> Option<Markup> {
    let trace = attempt.traceparent.as_deref()?.split('-').nth(1)?;
    Some(link(trace, trace_url))
}

/// A link to a trace, or its id.
pub(super) fn link(trace: &str, trace_url: Option<&str>) -> Markup {
    match trace_url.and_then(|pattern| trace_address(pattern, trace)) {
        Some(address) => html! { a href=(address) { "trace" } },
        None => html! { span .muted { "trace " code { (trace) } } },
    }
}

fn phases(attempt: &AttemptRecord) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut from = 0;
    for (phase, took) in attempt.phases.named() {
        let Some(took) = took else { continue };
        let to = from + micros(took);
        bars.push(Bar { name: phase_name(phase).to_owned(), kind: phase, from, to });
        from = to;
    }
    bars
}

fn phase_name(phase: &'static str) -> &'static str {
    match phase {
        "dns" => "lookup",
        "tls" => "TLS",
        "first_byte" => "waiting for the answer",
        "body" => "reading the answer",
        "request" => "sending the request",
        other => other,
    }
}

/// A row for each bar: name, bar, length. The bars are attributes of SVG, since the page allows no inline style.
fn drawing(bars: &[Bar], title: &str) -> Markup {
    let end = bars.iter().map(|bar| bar.to).max().unwrap_or(0).max(1) as f64;
    html! {
        table .waterfall aria-label=(title) {
            tbody { @for bar in bars {
                @let x = bar.from as f64 / end * (WIDTH - NARROWEST);
                @let width = ((bar.to - bar.from) as f64 / end * WIDTH).max(NARROWEST).min(WIDTH - x);
                tr {
                    th scope="row" { (bar.name) }
                    td .bar { svg viewBox="0 0 1000 12" preserveAspectRatio="none" aria-hidden="true" {
                        rect class={ "bar-" (bar.kind) } x=(format!("{x:.1}")) y="1" height="10" width=(format!("{width:.1}")) {}
                    } }
                    td .number { (short(bar.to - bar.from)) }
                }
            } }
        }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// A length of time with about three digits.
fn short(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => format!("{:.1} s", micros as f64 / 1e6),
        _ => length(micros / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> AttemptRecord {
        AttemptRecord::from_json(&json!({"attempt": 2, "at": 5_000, "ms": 1_000, "status": 503,
            "us": {"connect": 250_000, "request": 250_000, "first_byte": 500_000}}))
    }

    #[test]
    fn phases_follow_each_other() {
        let bars = phases(&record());
        let places: Vec<_> = bars.iter().map(|bar| (bar.kind, bar.from, bar.to)).collect();
        assert_eq!(
            places,
            [("connect", 0, 250_000), ("request", 250_000, 500_000), ("first_byte", 500_000, 1_000_000)]
        );
        let shown = attempt(&record(), None, None).into_string();
        assert!(shown.contains("waiting for the answer") && shown.contains("500 ms"), "{shown}");
        assert!(shown.contains(r#"x="498.0" y="1" height="10" width="500.0""#), "{shown}");
    }

    #[test]
    fn a_life_has_waits_and_attempts() {
        let first =
            AttemptRecord { attempt: 1, at: 1_000, took: Duration::from_secs(1), ..AttemptRecord::default() };
        let shown = life(Some(500), &[first, record()]).into_string();
        let order = ["in the queue", "attempt 1", "until the retry", "attempt 2"]
            .map(|part| shown.find(part).unwrap());
        assert!(order.is_sorted(), "{shown}");
        assert_eq!(life(None, &[]).into_string(), "");
    }

    #[test]
    fn a_trace_is_linked_if_its_address_is_known() {
        let mut traced = record();
        assert!(trace_link(&traced, Some("http://t/{trace_id}")).is_none());
        traced.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
        let link = trace_link(&traced, Some("http://t/{trace_id}")).unwrap().into_string();
        assert!(link.contains(r#"href="http://t/0af7651916cd43dd8448eb211c80319c""#), "{link}");
        assert!(!trace_link(&traced, None).unwrap().into_string().contains("href"));
    }
}
