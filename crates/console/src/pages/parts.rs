//! What several pages show.

use std::time::Duration;

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::view::{Summary, brief, span, time};

/// A time in Unix ms, as the distance from now, with the whole time as a tooltip.
pub(super) fn ago(now: u64, millis: u64) -> Markup {
    let text =
        if millis > now { format!("in {}", span(now, millis)) } else { format!("{} ago", span(millis, now)) };
    html! { time datetime=(time(millis)) title=(time(millis)) { (text) } }
}

/// A length of time in ms.
pub(super) fn length(millis: u64) -> String {
    brief(Duration::from_millis(millis))
}

/// A state or an outcome in its colour.
pub(super) fn state(word: &str) -> Markup {
    let kind = match word {
        "succeeded" | "alive" | "closed" => "good",
        "dead" | "gone" | "open" | "failed" => "bad",
        "held" | "deleted" | "silent" | "half-open" | "paused" | "cancelled" => "warn",
        _ => "plain",
    };
    html! { span class={ "state " (kind) } { (word) } }
}

/// A status code in its colour; an error in a word otherwise.
pub(super) fn status(code: Option<u64>, error: Option<&str>) -> Markup {
    match (code, error) {
        (Some(code @ 200..300), _) => html! { span .state.good { (code) } },
        (Some(code), _) => html! { span .state.bad { (code) } },
        (None, Some(error)) => html! { span .state.bad { (error) } },
        (None, None) => html! { "–" },
    }
}

/// The path of a job's page.
pub(super) fn job_path(id: &str) -> String {
    format!("/jobs/{}", encoded(id))
}

/// A value in a path or a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The class of a cell whose text is short enough for one line: browsers also break a name at its hyphens.
fn unbroken(text: &str) -> Option<&'static str> {
    (text.chars().count() <= 20).then_some("unbroken")
}

/// The cells that all lists of jobs begin with: job, label, queue, request.
pub(super) fn job_cells(summary: &Summary) -> Markup {
    html! {
        td data-label="Job" { a href=(job_path(&summary.job_id)) { code { (summary.job_id) } } }
        td class=[summary.label.as_deref().and_then(unbroken)] data-label="Label" { @if let Some(label) = &summary.label { (label) } }
        td class=[unbroken(&summary.queue)] data-label="Queue" { (summary.queue) }
        td .wide data-label="Request" { span { span .method { (summary.method) } " " (summary.url) } }
    }
}

/// The heads of [`job_cells`].
pub(super) fn job_heads() -> Markup {
    html! { th { "Job" } th { "Label" } th { "Queue" } th { "Request" } }
}

/// How many, with the word for one or for many.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A number with separated thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A sentence in place of an empty list.
pub(super) fn nothing(text: &str) -> Markup {
    html! { p .empty { (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let of = |number: u64| count(number).replace('\u{202f}', "'");
        assert_eq!([0, 999, 1_000, 1_234_567].map(of), ["0", "999", "1'000", "1'234'567"]);
    }

    #[test]
    fn text_from_jobs_is_escaped() {
        let shown = state("<script>alert(1)</script>").into_string();
        assert!(!shown.contains("<script>"), "{shown}");
        assert_eq!(job_path("a/b?c"), "/jobs/a%2Fb%3Fc");
        assert_eq!(status(Some(503), None).into_string(), "<span class=\"state bad\">503</span>");
    }
}
