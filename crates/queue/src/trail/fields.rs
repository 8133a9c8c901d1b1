//! The fields that the worker writes with a job that leaves the stream without success. Pure.

use std::time::Duration;

use bytes::Bytes;
use telemetry::Carrier;

use super::result::JobResult;
use crate::job::{Delivery, Fields, Job, Malformed, RESULT_TTL_MILLIS_MAX, Reason, is_job_id, number};

/// The size in bytes to which a malformed entry is truncated if a script cannot carry its fields.
const RAW_CAP: usize = 64 * 1024;
/// The number of fields that a script can carry.
const FIELDS_MAX: usize = 256;

/// A `traceparent` alone.
pub struct TraceparentOnly(pub String);

impl Carrier for TraceparentOnly {
    fn get(&self, name: &str) -> Option<&str> {
        (name == "traceparent").then_some(self.0.as_str())
    }
    fn set(&mut self, _: &'static str, _: String) {}
}

/// When a job was enqueued, Unix milliseconds.
pub fn enqueued_at(delivery: &Delivery, job: &Job, now: u64) -> u64 {
    job.trail.at.unwrap_or_else(|| entry_time(delivery, now))
}

/// The time in the entry's id, unless a producer chose the id: then `now`.
fn entry_time(delivery: &Delivery, now: u64) -> u64 {
    const DAY: u64 = 24 * 3600 * 1000;
    let claimed = delivery.lease.entry.millis;
    if claimed <= now && claimed >= now.saturating_sub(DAY) { claimed } else { now }
}

/// The fields of a malformed entry's dead letter: its own fields, unchanged and in order, and why it is
/// malformed.
pub fn of_malformed(delivery: &Delivery, malformed: &Malformed) -> Fields {
    let fields = &delivery.fields;
    let carried = fields.len() <= FIELDS_MAX && !delivery.is_too_large();
    let mut kept = if carried { own_fields(fields) } else { raw(fields) };
    push(&mut kept, "_job_id", job_id(delivery));
    push(&mut kept, "_reason", malformed.reason.as_str());
    push(&mut kept, "_error", malformed.error.clone());
    kept
}

/// The result of a cancelled job, and how long it is kept; `None` if the job keeps no result.
pub fn cancelled(fields: &Fields, error: &str) -> Option<(Duration, String)> {
    let ttl = waited_for(fields)?;
    let attempts = value(fields, "_attempt").and_then(|made| std::str::from_utf8(&made).ok()?.parse().ok());
    let result = JobResult::dead(attempts.unwrap_or(0), Reason::Cancelled, error);
    Some((ttl, result.to_json()))
}

/// The fields of a job that is handed back: unchanged, with its job id and its time, since its entry id will
/// change.
pub fn handed_back(delivery: &Delivery, now: u64) -> Fields {
    let mut fields = without_place(&delivery.fields);
    push(&mut fields, "_job_id", job_id(delivery));
    let at = value(&delivery.fields, "_enqueued_at")
        .unwrap_or_else(|| entry_time(delivery, now).to_string().into());
    push(&mut fields, "_enqueued_at", at);
    fields
}

/// The fields without `_job_id` and `_enqueued_at`, which the script adds that schedules or holds a job, and without
/// `_admitted` and `_line_since`, which are valid for one delivery.
pub fn without_place(fields: &Fields) -> Fields {
    fields
        .iter()
        .filter(|(name, _)| {
            !matches!(name.as_ref(), b"_job_id" | b"_enqueued_at" | b"_admitted" | b"_line_since")
        })
        .cloned()
        .collect()
}

/// Whether a job with these fields has a time set by its producer, and is not marked as having waited for it.
pub fn has_delay(fields: &Fields) -> bool {
    let is_delay = |name: &Bytes| matches!(name.as_ref(), b"delay_ms" | b"not_before");
    fields.iter().any(|(name, _)| is_delay(name)) && value(fields, "_waited").is_none()
}

/// Makes a job carry on the trace that its first span started.
pub fn keep_trace(fields: &mut Fields, traceparent: Option<String>) {
    if let Some(traceparent) = traceparent {
        fields.retain(|(name, _)| name != "_traceparent");
        push(fields, "_traceparent", traceparent);
    }
}

/// The producer's fields, in their order.
pub fn own_fields(fields: &Fields) -> Fields {
    fields.iter().filter(|(name, _)| name.first() != Some(&b'_')).cloned().collect()
}

/// The job id of a delivery, which is the same on every attempt.
pub fn job_id(delivery: &Delivery) -> Bytes {
    let given = value(&delivery.fields, "_job_id").filter(|job_id| is_job_id(job_id));
    given.unwrap_or_else(|| delivery.lease.entry.to_string().into())
}

/// The first value of a name.
pub fn value(fields: &Fields, name: &str) -> Option<Bytes> {
    fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
}

/// How long the result of an entry is kept, even of a malformed one; at most [`RESULT_TTL_MILLIS_MAX`].
pub fn waited_for(fields: &Fields) -> Option<Duration> {
    let ttl = number(&value(fields, "result_ttl_ms")?)?;
    (ttl > 0).then(|| Duration::from_millis(ttl.min(RESULT_TTL_MILLIS_MAX)))
}

/// As much of the fields as [`RAW_CAP`] allows, a line each, with their true count.
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

/// Adds a field.
pub fn push(fields: &mut Fields, name: &'static str, value: impl Into<Bytes>) {
    fields.push((Bytes::from_static(name.as_bytes()), value.into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_result_is_kept_for_longer_than_seven_days() {
        let kept = |ttl: &'static str| {
            let fields = vec![("result_ttl_ms".into(), ttl.into())];
            cancelled(&fields, "cancelled").map(|(kept, _)| kept.as_millis())
        };
        for (ttl, millis) in [
            ("60000", Some(60_000)),
            ("604800000", Some(604_800_000)),
            // More than a valid job may ask for: it is refused, and its caller must see the result.
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
