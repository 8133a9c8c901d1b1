//! Why a flow holds jobs, and until when.

use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::admin::{FoundJob, HeldFlow, Inspector, Place};

use super::render::{brief, last_outcome, plain};

/// Characters of an error.
const ERROR_MAX: usize = 300;

/// What holds the jobs of a flow: the words of `postrider.hold.reason`, and `retry_after`.
pub(super) fn word(flow: &HeldFlow, now: u64) -> &'static str {
    if flow.trips > 0 {
        "breaker"
    } else if flow.hold_until.is_some_and(|until| until > now) {
        "retry_after"
    } else if flow.held.is_empty() {
        "-"
    } else if flow.tokens.is_some_and(|tokens| tokens < 1.0) {
        "rate"
    } else if flow.attempts.is_some_and(|attempts| attempts > 0) {
        "concurrency"
    } else {
        "window"
    }
}

/// The state of its breaker.
pub(super) fn breaker(flow: &HeldFlow, now: u64) -> &'static str {
    match flow {
        HeldFlow { trips: 0, .. } => "closed",
        HeldFlow { open_until: Some(until), .. } if *until > now => "open",
        _ => "half-open",
    }
}

/// When the next attempt is made, as far as that is known.
pub(super) fn next(flow: &HeldFlow, now: u64) -> Option<String> {
    let until = match word(flow, now) {
        "breaker" => flow.open_until.unwrap_or(now),
        "retry_after" => flow.hold_until?,
        _ => return None,
    };
    Some(if until > now { format!("in {}", span(now, until)) } else { "now".to_owned() })
}

/// Why its last attempt failed.
pub(super) fn error(flow: &HeldFlow) -> String {
    let Some(error) = &flow.error else { return String::new() };
    // The error of a request begins with its destination.
    let name = flow.name.as_deref().unwrap_or_default();
    let error = error.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(error);
    plain(error.as_bytes(), ERROR_MAX).replace('\n', " ")
}

/// One sentence about a flow that holds a job.
pub(super) fn sentence(flow: &HeldFlow, now: u64) -> String {
    let next = next(flow, now);
    let text = match word(flow, now) {
        "breaker" => {
            let since = flow.since.map_or(String::new(), |since| format!(" for {}", span(since, now)));
            let trial = next.map_or(String::new(), |next| format!(", next trial {next}"));
            format!("its destination has not answered{since}{trial}")
        }
        "retry_after" => {
            format!("its destination asked for a pause; next attempt {}", next.unwrap_or_default())
        }
        "rate" => "the rate of its flow is used up".to_owned(),
        "concurrency" => "its flow makes as many attempts at once as it may".to_owned(),
        _ => "the window of its flow is full: earlier attempts have not been answered".to_owned(),
    };
    match error(flow) {
        error if error.is_empty() => text,
        error => format!("{text}; last error: {error}"),
    }
}

/// Why a held job, or one that is tried again, waits; `None` for any other job.
pub(super) async fn of_job(inspector: &Inspector, job: &FoundJob, now: u64) -> Result<Option<String>, Error> {
    match &job.place {
        Place::Held { flow, .. } => {
            let shared = inspector.flow(*flow).await?;
            Ok(Some(sentence(&HeldFlow { held: vec![(job.queue.clone(), 1)], ..shared }, now)))
        }
        Place::Scheduled(_) => {
            Ok(last_outcome(&job.fields).map(|last| format!("the last attempt ended in {last}")))
        }
        Place::Ready(_) | Place::Running { .. } => Ok(None),
    }
}

/// The time between two times in Unix ms.
pub(super) fn span(from: u64, to: u64) -> String {
    brief(Duration::from_millis(to.saturating_sub(from)))
}

#[cfg(test)]
mod tests {
    use postrider_queue::admin::ShardName;

    use super::*;

    const NOW: u64 = 1_795_396_101_000;

    fn holding() -> HeldFlow {
        let queue = ShardName { queue: "mail".parse().unwrap(), number: 0 };
        HeldFlow { held: vec![(queue, 3)], ..HeldFlow::default() }
    }

    #[test]
    fn a_breaker_is_open_until_its_pause_is_over() {
        let flow = |trips, until| HeldFlow { trips, open_until: until, ..HeldFlow::default() };
        assert_eq!(breaker(&flow(0, None), NOW), "closed");
        assert_eq!(breaker(&flow(1, Some(NOW + 1)), NOW), "open");
        assert_eq!(breaker(&flow(1, Some(NOW)), NOW), "half-open");
        assert_eq!(next(&flow(1, Some(NOW + 5_000)), NOW).as_deref(), Some("in 5s"));
        assert_eq!(next(&flow(1, Some(NOW)), NOW).as_deref(), Some("now"));
        assert_eq!(next(&flow(0, None), NOW), None);
    }

    #[test]
    fn each_reason_has_its_word() {
        let word = |flow: HeldFlow| word(&flow, NOW);
        assert_eq!(word(HeldFlow::default()), "-");
        assert_eq!(word(holding()), "window");
        assert_eq!(word(HeldFlow { attempts: Some(2), ..holding() }), "concurrency");
        assert_eq!(word(HeldFlow { attempts: Some(2), tokens: Some(0.3), ..holding() }), "rate");
        assert_eq!(word(HeldFlow { tokens: Some(1.5), ..holding() }), "window");
        assert_eq!(word(HeldFlow { hold_until: Some(NOW + 1), ..holding() }), "retry_after");
        assert_eq!(word(HeldFlow { hold_until: Some(NOW), ..holding() }), "window");
        assert_eq!(word(HeldFlow { trips: 1, hold_until: Some(NOW + 1), ..holding() }), "breaker");
    }

    #[test]
    fn a_sentence_has_what_is_known() {
        let dead = HeldFlow {
            trips: 2,
            since: Some(NOW - 61_000),
            open_until: Some(NOW + 7_000),
            error: Some("the destination answered 503\u{1b}".into()),
            ..holding()
        };
        assert_eq!(
            sentence(&dead, NOW),
            "its destination has not answered for 1m 1s, next trial in 7s; last error: the destination answered \
             503\\u{1b}"
        );
    }
}
