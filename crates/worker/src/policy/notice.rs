//! Which notices are due: jobs for operators, when a flow or a queue does not do well. Pure.

use std::time::Duration;

use bytes::Bytes;
use postrider_queue::job::{Fields, FlowId};
use postrider_queue::work::{FailingFlow, Notice};
use serde_json::{Value, json};

/// The configuration of notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeSettings {
    /// The fields of each notice's job, without label and body: `url`, and others.
    pub to: Fields,
    /// The queue of the notices. Default: the first queue of the worker.
    pub queue: Option<String>,
    /// How long a flow fails before it is reported. Default: 1 h.
    pub flow_failed_after: Duration,
    /// The age of a queue's oldest ready job from which on it is reported. Default: 15 min.
    pub oldest_ready: Duration,
}

/// How long the oldest ready job of a queue waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lateness {
    pub(crate) oldest: Duration,
    pub(crate) ready: u64,
}

/// The subject of notices about a flow.
pub(crate) fn flow_subject(id: FlowId) -> String {
    format!("flow:{id}")
}

/// The flow of a subject.
pub(crate) fn flow_of(subject: &str) -> Option<FlowId> {
    FlowId::parse(subject.strip_prefix("flow:")?)
}

/// The subject of notices about a queue.
pub(crate) fn queue_subject(queue: &str) -> String {
    format!("queue:{queue}")
}

impl NoticeSettings {
    /// The notice about a flow with this state. `now` is Redis' time, Unix milliseconds.
    pub(crate) fn of_flow(
        &self,
        id: FlowId,
        state: Option<&str>,
        failing: Option<&FailingFlow>,
        now: u64,
    ) -> Option<Notice> {
        let subject = flow_subject(id);
        match (state.and_then(noticed_failure), failing) {
            (None, Some(failing)) if now.saturating_sub(failing.since) >= millis(self.flow_failed_after) => {
                let FailingFlow { since, name, error } = failing;
                let body = json!({
                    "notice": "flow_failed", "at": now, "flow": name, "since": since, "error": error,
                });
                Some(self.make(subject, state.unwrap_or_default(), format!("{since} {name}"), &body))
            }
            (Some((since, name)), None) => {
                let body = json!({"notice": "flow_recovered", "at": now, "flow": name, "since": since});
                Some(self.make(subject, state.unwrap_or_default(), String::new(), &body))
            }
            _ => None,
        }
    }

    /// The notice about a queue with this state. A queue that was late is in time again below half of the bound, so that one
    /// near the bound makes few notices.
    pub(crate) fn of_queue(
        &self,
        queue: &str,
        state: Option<&str>,
        lateness: Lateness,
        now: u64,
    ) -> Option<Notice> {
        let (subject, bound) = (queue_subject(queue), self.oldest_ready);
        let kind = match state {
            None if lateness.oldest > bound => "queue_late",
            Some(_) if lateness.oldest < bound / 2 => "queue_in_time",
            _ => return None,
        };
        let body = json!({
            "notice": kind, "at": now, "queue": queue, "oldest_ms": millis(lateness.oldest), "bound_ms": millis(bound),
            "ready": lateness.ready,
        });
        let after = if state.is_none() { now.to_string() } else { String::new() };
        Some(self.make(subject, state.unwrap_or_default(), after, &body))
    }

    fn make(&self, subject: String, before: &str, after: String, body: &Value) -> Notice {
        let mut fields = self.to.clone();
        let kind = body["notice"].as_str().unwrap_or_default().to_owned();
        fields.push((Bytes::from_static(b"label"), kind.into()));
        fields.push((Bytes::from_static(b"body"), body.to_string().into()));
        Notice { subject, before: before.to_owned(), after, fields }
    }
}

/// Since when a flow fails, and its name, as its state has them.
fn noticed_failure(state: &str) -> Option<(u64, &str)> {
    let (since, name) = state.split_once(' ')?;
    Some((since.parse().ok()?, name))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn settings() -> NoticeSettings {
        NoticeSettings {
            to: vec![("url".into(), "https://ops.test/".into())],
            queue: None,
            flow_failed_after: Duration::from_millis(HOUR),
            oldest_ready: Duration::from_secs(60),
        }
    }

    fn body(notice: &Notice) -> Value {
        let (_, body) = notice.fields.iter().find(|(name, _)| name == "body").unwrap();
        serde_json::from_slice(body).unwrap()
    }

    /// `docs/configuration.md` has these bodies.
    #[test]
    fn a_flow_is_reported_once_when_it_has_failed_for_long_and_once_when_it_recovers() {
        let (settings, id) = (settings(), FlowId::of("h.test:443"));
        let failing = FailingFlow { since: 1000, name: "h.test:443".into(), error: "no answer".into() };
        assert_eq!(settings.of_flow(id, None, Some(&failing), 1000 + HOUR - 1), None);
        let failed = settings.of_flow(id, None, Some(&failing), 1000 + HOUR).unwrap();
        assert_eq!((failed.before.as_str(), failed.after.as_str()), ("", "1000 h.test:443"));
        assert_eq!(
            body(&failed),
            json!({"notice": "flow_failed", "at": 1000 + HOUR, "flow": "h.test:443", "since": 1000, "error": "no answer"})
        );
        let state = Some(failed.after.as_str());
        assert_eq!(settings.of_flow(id, state, Some(&failing), 1000 + 9 * HOUR), None, "it was reported");
        let recovered = settings.of_flow(id, state, None, 1000 + 2 * HOUR).unwrap();
        assert_eq!((recovered.before.as_str(), recovered.after.as_str()), ("1000 h.test:443", ""));
        assert_eq!(
            body(&recovered),
            json!({"notice": "flow_recovered", "at": 1000 + 2 * HOUR, "flow": "h.test:443", "since": 1000})
        );
        assert_eq!(settings.of_flow(id, None, None, 1000 + 2 * HOUR), None);
        assert_eq!(flow_of(&failed.subject), Some(id));
        assert_eq!(flow_of("queue:mail"), None);
    }

    #[test]
    fn a_queue_is_reported_when_it_is_late_and_when_it_is_in_time_again() {
        let settings = settings();
        let of = |state: Option<&str>, seconds: u64| {
            let lateness = Lateness { oldest: Duration::from_secs(seconds), ready: 3 };
            settings.of_queue("mail", state, lateness, 9)
        };
        assert_eq!(of(None, 60), None);
        let late = of(None, 61).unwrap();
        assert_eq!((late.subject.as_str(), late.after.as_str()), ("queue:mail", "9"));
        assert_eq!(
            body(&late),
            json!({"notice": "queue_late", "at": 9, "queue": "mail", "oldest_ms": 61_000, "bound_ms": 60_000, "ready": 3})
        );
        let label = late.fields.iter().find(|(name, _)| name == "label").unwrap();
        assert_eq!(label.1, "queue_late");
        assert_eq!((of(Some("9"), 90), of(Some("9"), 30)), (None, None));
        let in_time = of(Some("9"), 29).unwrap();
        assert_eq!((in_time.before.as_str(), in_time.after.as_str()), ("9", ""));
        assert_eq!(body(&in_time)["notice"], "queue_in_time");
    }
}
