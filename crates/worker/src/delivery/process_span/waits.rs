//! How long a job waited before a delivery, and for what.

use std::time::Duration;

use postrider_queue::job::{Delivery, Job};
use postrider_queue::names;
use postrider_queue::work::history;
use telemetry::Attributes;

use super::JobSpans;

/// A longer wait is not credible: the producer chose the entry's id.
const WAIT_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// An id further in the future is no time: it follows one that a producer chose.
const AHEAD_MS_MAX: u64 = 60_000;

/// The parts of a wait, if the job's fields contain them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waits {
    /// In the stream.
    ready: Option<Duration>,
    /// In the schedule: for the producer's time, or for the next attempt.
    scheduled: Option<Duration>,
    /// For its flow.
    held: Option<Duration>,
    /// For its turn.
    turn: Option<Duration>,
}

impl Waits {
    /// Computes the waits and records them as metrics.
    pub(super) fn of(spans: &JobSpans, delivery: &Delivery, job: &Job) -> Self {
        if !spans.telemetry.is_on() {
            return Self::default();
        }
        // The entry's id contains the time at which the job became ready.
        let ready_at = delivery.lease.entry.millis;
        let waits = Self::until(ready_at, spans.queue.clock().now(), job);
        if let Some(ready) = waits.ready {
            spans.counts.waited(ready);
            if let Some(held) = waits.held {
                spans.counts.hold_ended(held);
            }
        }
        waits
    }

    fn until(ready_at: u64, now: u64, job: &Job) -> Self {
        let ready = Duration::from_millis(now.saturating_sub(ready_at));
        if ready > WAIT_MAX || ready_at > now + AHEAD_MS_MAX {
            return Self { ready: since_enqueue(now, job), ..Self::default() };
        }
        let (scheduled, held) = before(ready_at, job);
        let held = held.filter(|held| *held <= WAIT_MAX);
        let since = job.trail.line_since.and_then(|since| ready_at.checked_sub(since));
        let turn = since.map(Duration::from_millis).filter(|turn| *turn <= WAIT_MAX);
        Self { ready: Some(ready), scheduled, held, turn }
    }

    pub(super) fn describe(&self, attributes: &mut Attributes) {
        let parts = [
            (names::JOB_WAIT_DURATION, self.ready),
            (names::JOB_SCHEDULE_DURATION, self.scheduled),
            (names::JOB_HOLD_DURATION, self.held),
            (names::JOB_TURN_DURATION, self.turn),
        ];
        for (name, part) in parts {
            if let Some(part) = part {
                attributes.set(name, part.as_secs_f64());
            }
        }
    }
}

/// How long a job was ready whose entry id is no time: since it was enqueued, if that is known and it has waited for
/// nothing else.
fn since_enqueue(now: u64, job: &Job) -> Option<Duration> {
    let trail = &job.trail;
    let has_waited = job.wait.is_some() || trail.admitted.is_some() || trail.history.is_some();
    let enqueued = trail.at.filter(|_| !has_waited && trail.attempts == 0)?;
    Some(Duration::from_millis(now.checked_sub(enqueued)?)).filter(|wait| *wait <= WAIT_MAX)
}

/// How long a job was scheduled and held before it was ready.
fn before(ready_at: u64, job: &Job) -> (Option<Duration>, Option<Duration>) {
    let trail = &job.trail;
    let is_again = trail.attempts > 0 || trail.replay_of.is_none() && trail.history.is_some();
    let since = |from: u64, to: u64| Some(Duration::from_millis(to.saturating_sub(from)));
    if is_again {
        // If the job was held after it was scheduled, the boundary between the two is not known.
        let ended = history::last_end(trail.history.as_ref()).filter(|_| trail.admitted.is_none());
        return (ended.and_then(|ended| since(ended, ready_at)), None);
    }
    let Some(enqueued) = trail.at else { return (None, None) };
    let due = job.first_due(enqueued);
    let scheduled = job.wait.filter(|_| trail.has_waited).and_then(|_| since(enqueued, due.min(ready_at)));
    (scheduled, trail.admitted.and_then(|_| since(due, ready_at)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use postrider_queue::job::{EntryId, Lease};

    const ENQUEUED: u64 = 1_795_396_101_000;

    /// The waits of a job that returned to the stream 10 s after it was enqueued and was delivered 1 s later,
    /// in milliseconds: ready, scheduled, held.
    fn waits(fields: &[(&'static str, &str)]) -> [Option<u64>; 3] {
        waits_at(ENQUEUED + 10_000, fields)
    }

    fn waits_at(millis: u64, fields: &[(&'static str, &str)]) -> [Option<u64>; 3] {
        let entry = EntryId { millis, sequence: 0 };
        let lease = Lease { entry, delivery: 1, epoch: 0 };
        let fields = [&[("url", "http://a.test/")], fields].concat();
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let fields = fields.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
        let job = Job::decode(&Delivery::new(lease, fields)).expect("a job");
        let Waits { ready, scheduled, held, .. } = Waits::until(entry.millis, ENQUEUED + 11_000, &job);
        [ready, scheduled, held].map(|part| part.map(|part| part.as_millis() as u64))
    }

    #[test]
    fn waits_are_split_by_their_cause() {
        let at = &ENQUEUED.to_string();
        assert_eq!(waits(&[]), [Some(1000), None, None]);
        assert_eq!(waits(&[("_enqueued_at", at)]), [Some(1000), None, None], "it was handed back");
        let delayed = [("_enqueued_at", at.as_str()), ("delay_ms", "4000"), ("_waited", "1")];
        assert_eq!(waits(&delayed[..2]), [Some(1000), None, None], "it was handed back before it waited");
        assert_eq!(waits(&delayed), [Some(1000), Some(4000), None]);
        assert_eq!(waits(&[("_enqueued_at", at), ("_admitted", "yes")]), [Some(1000), None, Some(10_000)]);
        let both = [&delayed[..], &[("_admitted", "trial")]].concat();
        assert_eq!(waits(&both), [Some(1000), Some(4000), Some(6000)]);
    }

    #[test]
    fn the_wait_of_a_retry_counts_from_the_previous_attempt() {
        let history = format!(r#"[{{"at":{},"ms":500,"status":503}}]"#, ENQUEUED + 2000);
        let again =
            [("_enqueued_at", "1"), ("_attempt", "1"), ("_history", history.as_str()), ("delay_ms", "4000")];
        assert_eq!(waits(&again), [Some(1000), Some(7500), None]);
        let held = [&again[..], &[("_admitted", "yes")]].concat();
        assert_eq!(waits(&held), [Some(1000), None, None], "the boundary of the two is not known");
        let handed_back = [("_history", history.as_str())];
        assert_eq!(waits(&handed_back), [Some(1000), Some(7500), None]);
        let replay = [("_replay_of", "7-1"), ("_history", history.as_str())];
        assert_eq!(waits(&replay), [Some(1000), None, None], "a replay is a new job");
    }

    #[test]
    fn where_the_entry_id_is_no_time_the_wait_counts_from_the_enqueue() {
        let at = &ENQUEUED.to_string();
        let chosen = |fields: &[(&'static str, &str)]| waits_at(9_999_999_999_999, fields);
        assert_eq!(chosen(&[("_enqueued_at", at)]), [Some(11_000), None, None]);
        assert_eq!(chosen(&[]), [None; 3], "it is not known");
        assert_eq!(chosen(&[("_enqueued_at", "5")]), [None; 3], "that is not credible");
        assert_eq!(chosen(&[("_enqueued_at", at), ("_admitted", "yes")]), [None; 3], "it was held");
        assert_eq!(chosen(&[("_enqueued_at", at), ("_attempt", "1")]), [None; 3], "it was scheduled");
    }

    #[test]
    fn an_incredible_wait_is_left_out() {
        assert_eq!(waits(&[("_enqueued_at", "5"), ("_admitted", "yes")]), [Some(1000), None, None]);
    }
}
