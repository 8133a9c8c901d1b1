//! What the worker writes with a job when it leaves the stream without being done. Pure.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use telemetry::Context;

use crate::entry::{Delivery, Fields};
use crate::history;
use crate::job::{Job, LONGEST_RESULT, Malformed, is_label, number};
use crate::outcome::{Ending, Kept};
use crate::queue::{Burial, Parking, Until, WaitReason};
use crate::reason::Reason;
use crate::result::JobResult;
use crate::settlement::Settlement;

/// A malformed entry that cannot be carried field by field is cut to this.
const RAW_CAP: usize = 64 * 1024;
/// As many fields as a script can carry.
const MOST_FIELDS: usize = 256;

/// A job with what it has been through, this attempt included.
#[derive(Debug)]
pub struct Record<'a> {
    delivery: &'a Delivery,
    job: &'a Job,
    /// How many attempts have been made.
    pub attempts: u32,
    status: Option<u16>,
    took: Option<Duration>,
    kept: Option<Box<Kept>>,
    history: Option<Bytes>,
    trace: &'a Context,
    keep: Option<String>,
}

impl<'a> Record<'a> {
    /// Before an attempt, whose process span is `trace`.
    pub fn new(delivery: &'a Delivery, job: &'a Job, trace: &'a Context) -> Self {
        let history = job.trail.history.clone();
        Self {
            delivery,
            job,
            attempts: job.trail.attempts,
            status: None,
            took: None,
            kept: None,
            history,
            trace,
            keep: None,
        }
    }

    /// What later attempts are to be children of.
    #[must_use]
    pub fn keeping(mut self, keep: Option<String>) -> Self {
        self.keep = keep;
        self
    }

    /// After it. The history is only written for a job that did not succeed. What the egress policy refused
    /// was no attempt, nor was what the proxy failed at: nothing was sent.
    pub fn attempted(&mut self, ending: &Ending, took: Duration, entry: impl FnOnce() -> history::Entry) {
        if ending.was_attempt() {
            self.attempts = self.attempts.saturating_add(1);
        }
        self.status = ending.status();
        self.took = Some(took);
        if let Ending::Answer(answer) = ending {
            self.kept.clone_from(&answer.kept);
        }
        if ending.error().is_some() {
            self.history = Some(history::append(self.history.as_ref(), &entry()));
        }
    }

    /// The job's ticket, for the log.
    pub fn ticket(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(&self.job.ticket)
    }

    /// It is delivered, now by Redis' clock.
    pub fn done(self, now: u64) -> Settlement {
        let enqueued = enqueued_at(self.delivery, self.job, now);
        match self.job.result_ttl {
            None => Settlement::Finish { enqueued },
            Some(ttl) => Settlement::Conclude {
                ticket: self.job.ticket.clone(),
                ttl,
                result: self.result("done").to_json(),
                enqueued,
            },
        }
    }

    /// It waits for its next attempt.
    pub fn parking(self, until: Until, why: WaitReason) -> Parking {
        let mut fields = own_fields(&self.delivery.fields);
        self.push_trail(&mut fields);
        Parking { ticket: self.job.ticket.clone(), until, why, at: self.job.trail.at, fields }
    }

    /// It goes to the dead letters.
    pub fn burial(self, reason: Reason, error: &str) -> Burial {
        let mut fields = own_fields(&self.delivery.fields);
        push(&mut fields, "_ticket", self.job.ticket.clone());
        let at = self.job.trail.at.unwrap_or(self.delivery.lease.entry.millis);
        push(&mut fields, "_at", at.to_string());
        self.push_trail(&mut fields);
        push(&mut fields, "_reason", reason.as_str());
        push(&mut fields, "_error", error.to_owned());
        let result = self.job.result_ttl.map(|ttl| {
            let (reason, error) = (Some(reason.as_str().to_owned()), Some(error.to_owned()));
            let result = JobResult { reason, error, ..self.result("dead") };
            (self.job.ticket.clone(), ttl, result.to_json())
        });
        Burial { ticket: self.job.ticket.clone(), reason, error: error.to_owned(), fields, result }
    }

    fn push_trail(&self, fields: &mut Fields) {
        push(fields, "_attempt", self.attempts.to_string());
        if let Some(ticket) = &self.job.trail.replay_of {
            push(fields, "_replay_of", ticket.clone());
        }
        if let Some(keep) = &self.keep {
            push(fields, "_traceparent", keep.clone());
        }
        if let Some(history) = &self.history {
            push(fields, "_history", history.clone());
        }
    }

    fn result(&self, outcome: &str) -> JobResult {
        let result = JobResult {
            outcome: outcome.to_owned(),
            status: self.status,
            attempts: self.attempts,
            trace_id: self.trace.trace_id(),
            duration_ms: self.took.map(|took| took.as_millis() as u64),
            ..JobResult::default()
        };
        match &self.kept {
            Some(kept) => result.with(kept),
            None => result,
        }
    }
}

/// When a job was enqueued, Unix milliseconds.
pub fn enqueued_at(delivery: &Delivery, job: &Job, now: u64) -> u64 {
    job.trail.at.unwrap_or_else(|| believable(delivery, now))
}

/// The entry's id tells when it was enqueued, unless a producer made it up.
fn believable(delivery: &Delivery, now: u64) -> u64 {
    const DAY: u64 = 24 * 3600 * 1000;
    let told = delivery.lease.entry.millis;
    if told <= now && told >= now.saturating_sub(DAY) { told } else { now }
}

/// A malformed entry on its way to the dead letters: its own fields as they came, in order.
pub fn malformed(delivery: &Delivery, malformed: &Malformed, trace_id: Option<String>) -> Burial {
    let fields = &delivery.fields;
    let carried = fields.len() <= MOST_FIELDS && !delivery.is_too_large();
    let mut kept = if carried { own_fields(fields) } else { raw(fields) };
    let ticket = ticket(delivery);
    push(&mut kept, "_ticket", ticket.clone());
    push(&mut kept, "_reason", malformed.reason.as_str());
    push(&mut kept, "_error", malformed.error.clone());
    let Malformed { reason, error } = malformed.clone();
    let result = waited_for(fields).map(|ttl| {
        let result = JobResult { trace_id, ..JobResult::dead(0, reason, &error) };
        (ticket.clone(), ttl, result.to_json())
    });
    Burial { ticket, reason, error, fields: kept, result }
}

/// The result of a job that was given up, for who waits for it, and how long it is kept.
pub fn cancelled(fields: &Fields, error: &str) -> Option<(Duration, String)> {
    let ttl = waited_for(fields)?;
    let attempts = value(fields, "_attempt").and_then(|made| std::str::from_utf8(&made).ok()?.parse().ok());
    let result = JobResult::dead(attempts.unwrap_or(0), Reason::Cancelled, error);
    Some((ttl, result.to_json()))
}

/// A job that is handed back: as it came, with its ticket and its time, since it will have another entry id.
pub fn handed_back(delivery: &Delivery, now: u64) -> Fields {
    let mut fields = without_place(&delivery.fields);
    push(&mut fields, "_ticket", ticket(delivery));
    let at = value(&delivery.fields, "_at").unwrap_or_else(|| believable(delivery, now).to_string().into());
    push(&mut fields, "_at", at);
    fields
}

/// The fields without `_ticket` and `_at`, which the script that parks a job adds, and without `_admitted`, which
/// holds for one delivery.
pub fn without_place(fields: &Fields) -> Fields {
    fields
        .iter()
        .filter(|(name, _)| !matches!(name.as_ref(), b"_ticket" | b"_at" | b"_admitted"))
        .cloned()
        .collect()
}

/// Has a job carry on the trace that its first span began.
pub fn keep_trace(fields: &mut Fields, traceparent: Option<String>) {
    if let Some(traceparent) = traceparent {
        fields.retain(|(name, _)| name != "_traceparent");
        push(fields, "_traceparent", traceparent);
    }
}

/// The fields of the producer, in their order.
fn own_fields(fields: &Fields) -> Fields {
    fields.iter().filter(|(name, _)| name.first() != Some(&b'_')).cloned().collect()
}

fn ticket(delivery: &Delivery) -> Bytes {
    let given = value(&delivery.fields, "_ticket").filter(|ticket| is_label(ticket));
    given.unwrap_or_else(|| delivery.lease.entry.to_string().into())
}

/// The first value under a name.
pub fn value(fields: &Fields, name: &str) -> Option<Bytes> {
    fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
}

/// How long somebody waits for the result of an entry that is no job; at most as long as a job may ask for.
fn waited_for(fields: &Fields) -> Option<Duration> {
    let ttl = number(&value(fields, "result_ttl_ms")?).ok()?;
    (ttl > 0).then(|| Duration::from_millis(ttl.min(LONGEST_RESULT)))
}

/// What fits of the fields, a line each, with their true count.
fn raw(fields: &Fields) -> Fields {
    let mut raw = Vec::new();
    for (name, value) in fields {
        raw.extend_from_slice(name);
        raw.push(b'=');
        raw.extend_from_slice(value);
        raw.push(b'\n');
        if raw.len() > RAW_CAP {
            raw.truncate(RAW_CAP);
            break;
        }
    }
    let mut kept = Fields::new();
    push(&mut kept, "_raw", raw);
    push(&mut kept, "_raw_fields", fields.len().to_string());
    kept
}

fn push(fields: &mut Fields, name: &'static str, value: impl Into<Bytes>) {
    fields.push((Bytes::from_static(name.as_bytes()), value.into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_result_is_kept_for_longer_than_seven_days() {
        let kept = |ttl: &'static str| {
            let fields = vec![("result_ttl_ms".into(), ttl.into())];
            cancelled(&fields, "given up").map(|(kept, _)| kept.as_millis())
        };
        for (ttl, millis) in [
            ("60000", Some(60_000)),
            ("604800000", Some(604_800_000)),
            // More than a valid job may ask for: it is refused, and who waits is to learn of it.
            ("604800001", Some(604_800_000)),
            ("4294967295", Some(604_800_000)),
            ("9999999999999999", Some(604_800_000)),
            ("0", None),
            ("+5", None),
            ("-5", None),
            ("99999999999999999", None),
            ("soon", None),
        ] {
            assert_eq!(kept(ttl), millis, "{ttl}");
        }
    }
}
