//! A flow that holds jobs: why, and until when.

use std::collections::BTreeMap;

use postrider_queue::Error;
use postrider_queue::admin::{FoundJob, HeldFlow, Inspector, Place};
use postrider_queue::job::FlowId;
use serde::Serialize;
use utoipa::ToSchema;

use super::dead::last_outcome;
use super::pause::{PauseView, pause_text};
use super::text::{plain, span, time};

/// Characters of an error.
const ERROR_CHARS_MAX: usize = 300;

/// A flow that holds jobs, whose breaker is open, or that is paused.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FlowView {
    /// Its name, if known: `host:port`, or the key that jobs name.
    pub flow: Option<String>,
    /// Its id.
    pub id: String,
    /// What holds its jobs: `paused`, `breaker`, `retry_after`, `rate`, `concurrency` or `window`.
    pub why: Option<&'static str>,
    /// `closed`, `open` or `half-open`.
    pub breaker: &'static str,
    /// How often in a row its breaker has opened.
    pub trips: u32,
    /// When its breaker opened, Unix milliseconds.
    pub opened_at: Option<u64>,
    /// The same as RFC 3339.
    pub opened: Option<String>,
    /// When the breaker's pause ends, Unix milliseconds.
    pub open_until: Option<u64>,
    /// Until when the destination asked for a pause, Unix milliseconds.
    pub hold_until: Option<u64>,
    /// Its pause; null if it is not paused.
    pub paused: Option<PauseView>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// How many attempts all workers make of it.
    pub attempts: Option<u64>,
    /// How many jobs it holds.
    pub held: u64,
    /// How many jobs it holds, by queue.
    pub queues: BTreeMap<String, u64>,
}

impl FlowView {
    /// At a time of Redis' clock, Unix ms.
    pub fn new(id: FlowId, flow: &HeldFlow, now: u64) -> Self {
        Self {
            flow: flow.name.as_ref().map(|name| plain(name.as_bytes(), 256)),
            id: id.to_string(),
            why: Some(why(flow, now)).filter(|word| *word != "-"),
            breaker: breaker(flow, now),
            trips: flow.trips,
            opened_at: flow.since,
            opened: flow.since.map(time),
            open_until: flow.open_until,
            hold_until: flow.hold_until,
            paused: flow.pause.as_ref().map(PauseView::new),
            error: Some(flow_error(flow)).filter(|error| !error.is_empty()),
            attempts: flow.attempts,
            held: flow.jobs(),
            queues: flow.held.iter().map(|(queue, jobs)| (queue.to_string(), *jobs)).collect(),
        }
    }
}

/// What holds the jobs of a flow: the words of `postrider.hold.reason`, and `retry_after`; `-` if nothing does.
pub fn why(flow: &HeldFlow, now: u64) -> &'static str {
    if flow.pause.is_some() {
        "paused"
    } else if flow.trips > 0 {
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
fn breaker(flow: &HeldFlow, now: u64) -> &'static str {
    match flow {
        HeldFlow { trips: 0, .. } => "closed",
        HeldFlow { open_until: Some(until), .. } if *until > now => "open",
        _ => "half-open",
    }
}

/// When the next attempt is made, or a pause ends, as far as that is known.
pub fn next_attempt(flow: &HeldFlow, now: u64) -> Option<String> {
    let until = match why(flow, now) {
        "paused" => flow.pause.as_ref()?.until?,
        "breaker" => flow.open_until.unwrap_or(now),
        "retry_after" => flow.hold_until?,
        _ => return None,
    };
    Some(if until > now { format!("in {}", span(now, until)) } else { "now".to_owned() })
}

/// Why its last attempt failed.
pub fn flow_error(flow: &HeldFlow) -> String {
    let Some(error) = &flow.error else { return String::new() };
    // The error of a request begins with its destination.
    let name = flow.name.as_deref().unwrap_or_default();
    let error = error.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(error);
    plain(error.as_bytes(), ERROR_CHARS_MAX).replace('\n', " ")
}

/// One sentence about a flow that holds a job.
fn sentence(flow: &HeldFlow, now: u64) -> String {
    if let Some(pause) = &flow.pause {
        return format!("its flow is {}", pause_text(pause, now));
    }
    let next = next_attempt(flow, now);
    let text = match why(flow, now) {
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
    match flow_error(flow) {
        error if error.is_empty() => text,
        error => format!("{text}; last error: {error}"),
    }
}

/// Whether a flow is the one of that key, or of that host on any port.
pub fn is_meant(wanted: &str, id: FlowId, name: Option<&str>) -> bool {
    let host = name.and_then(|name| name.rsplit_once(':')).map(|(host, _)| host);
    id == FlowId::of(wanted)
        || id.to_string() == wanted
        || host.is_some_and(|host| host.eq_ignore_ascii_case(wanted))
}

/// Why a job waits that is held, is tried again, or is in a paused queue; `None` for any other job.
///
/// # Errors
/// fred's.
pub async fn why_waiting(inspector: &Inspector, job: &FoundJob, now: u64) -> Result<Option<String>, Error> {
    if let Place::Running { .. } = job.place {
        return Ok(None);
    }
    // In a cluster, they may be on a node that does not answer.
    let pauses = inspector.pauses().await.unwrap_or_default();
    let queue =
        pauses.queue(&job.queue.queue).map(|pause| format!("its queue is {}", pause_text(pause, now)));
    let own = match &job.place {
        Place::Held { flow, .. } => {
            let (shared, pause) = (inspector.flow(*flow).await?, pauses.flows.get(flow).cloned());
            Some(sentence(&HeldFlow { held: vec![(job.queue.clone(), 1)], pause, ..shared }, now))
        }
        Place::Scheduled(_) => {
            last_outcome(&job.fields).map(|last| format!("the last attempt ended in {last}"))
        }
        Place::InLine { .. } => {
            let line = inspector.stopped_line_of(job).await?;
            Some(match line {
                Some(line) => {
                    let job_id = plain(line.note.job_id.as_bytes(), 128);
                    let deleted = if line.is_deleted { ", which was deleted since," } else { "" };
                    format!("the dead letter of {job_id}{deleted} stops its order key")
                }
                None => "earlier jobs of its order key have not ended".to_owned(),
            })
        }
        Place::Ready(_) | Place::Running { .. } => None,
    };
    let all: Vec<String> = queue.into_iter().chain(own).collect();
    Ok((!all.is_empty()).then(|| all.join("; ")))
}

#[cfg(test)]
mod tests {
    use postrider_queue::admin::{Pause, ShardName};

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
        assert_eq!(next_attempt(&flow(1, Some(NOW + 5_000)), NOW).as_deref(), Some("in 5s"));
        assert_eq!(next_attempt(&flow(1, Some(NOW)), NOW).as_deref(), Some("now"));
        assert_eq!(next_attempt(&flow(0, None), NOW), None);
    }

    #[test]
    fn each_reason_has_its_word() {
        let word = |flow: HeldFlow| why(&flow, NOW);
        assert_eq!(word(HeldFlow::default()), "-");
        assert_eq!(word(holding()), "window");
        assert_eq!(word(HeldFlow { attempts: Some(2), ..holding() }), "concurrency");
        assert_eq!(word(HeldFlow { attempts: Some(2), tokens: Some(0.3), ..holding() }), "rate");
        assert_eq!(word(HeldFlow { tokens: Some(1.5), ..holding() }), "window");
        assert_eq!(word(HeldFlow { hold_until: Some(NOW + 1), ..holding() }), "retry_after");
        assert_eq!(word(HeldFlow { hold_until: Some(NOW), ..holding() }), "window");
        let broken = HeldFlow { trips: 1, hold_until: Some(NOW + 1), ..holding() };
        assert_eq!(word(broken.clone()), "breaker");
        assert_eq!(word(HeldFlow { pause: Some(Pause::default()), ..broken }), "paused");
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

    #[test]
    fn a_paused_flow_goes_on_at_its_end() {
        let pause = Pause { until: Some(NOW + 5_000), since: Some(NOW - 1_000), ..Pause::default() };
        let flow = |until| HeldFlow { pause: Some(Pause { until, ..pause.clone() }), trips: 1, ..holding() };
        assert_eq!(next_attempt(&flow(pause.until), NOW).as_deref(), Some("in 5s"));
        assert_eq!(next_attempt(&flow(None), NOW), None);
        assert_eq!(sentence(&flow(None), NOW), "its flow is paused for 1s, until it is resumed");
    }

    #[test]
    fn a_flow_is_found_by_its_name_and_by_its_host() {
        let flow = HeldFlow { name: Some("acme.example:443".into()), ..HeldFlow::default() };
        let id = FlowId::of("acme.example:443");
        for wanted in ["acme.example:443", "acme.example", "ACME.example", &id.to_string()] {
            assert!(is_meant(wanted, id, flow.name.as_deref()), "{wanted}");
        }
        let is_it = |wanted: &str| is_meant(wanted, id, flow.name.as_deref());
        assert!(!is_it("example") && !is_it("acme.example:80"));
    }
}
