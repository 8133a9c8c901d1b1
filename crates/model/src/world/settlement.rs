//! The calls that settle jobs.

use postrider_queue::Fields;
use postrider_queue::job::{Delivery, Job};
use postrider_queue::work::fields;

use super::job::{self, FLOW_ID, RESULT_MS};
use super::worker::{Conclusion, Flight};
use super::{Rules, SHARD, Slip, TICK_MS, World};
use crate::calls::{Call, Held, Log, MARK, Postpone};
use crate::redis::Id;

/// What the delivery log keeps.
const LOG: Option<Log> = Some(Log { age_ms: 3_600_000, jobs: 1000, bytes: 1 << 20 });

impl World {
    /// The call that settles a job.
    pub(super) fn settlement(
        &self,
        rules: &Rules,
        held: &Held,
        id: Id,
        flight: &Flight,
        ending: Conclusion,
    ) -> Option<Call> {
        let delivery = job::delivery(id, flight.count, &flight.fields);
        let decoded = Job::decode(&delivery);
        let job_id = String::from_utf8_lossy(&fields::job_id(&delivery)).into_owned();
        let made = decoded.as_ref().map_or(0, |job| job.trail.attempts);
        let attempts = made + u32::from(rules.slip != Some(Slip::AttemptCount));
        let enqueued_at = decoded.as_ref().ok().and_then(|job| job.trail.at).unwrap_or(0);
        let expires = decoded.as_ref().ok().and_then(|job| job.expires_at).unwrap_or(0);
        let how = |mode, delay_ms| Postpone {
            mode,
            delay_ms,
            not_before: 0,
            enqueued_at,
            flow: &FLOW_ID,
            rank: 0,
            expires,
            is_counted: mode == "retry",
        };
        let waiting = waited(fields::without_place(&delivery.fields));
        let kept = decoded.as_ref().is_ok_and(World::wants_result).then_some((job_id.as_str(), RESULT_MS));
        Some(match ending {
            Conclusion::Complete if kept.is_some() => {
                SHARD.complete_with_result(held, &job_id, RESULT_MS, LOG)
            }
            Conclusion::Complete => {
                SHARD.complete(&held.consumer, None, Some(0), std::slice::from_ref(&held.id), LOG)
            }
            Conclusion::Retry => {
                let written = waited(job::after_attempt(&delivery, decoded.as_ref().ok()?, attempts));
                SHARD.postpone(held, &job_id, &how("retry", TICK_MS), &job::flat(&written))
            }
            Conclusion::Delay => {
                let wait = decoded.as_ref().ok()?.wait?;
                let delay_ms = u64::try_from(wait.delay.as_millis()).unwrap_or(0);
                SHARD.postpone(held, &job_id, &how("delay", delay_ms), &job::flat(&waiting))
            }
            Conclusion::Hold => SHARD.postpone(held, &job_id, &how("flow", TICK_MS), &job::flat(&waiting)),
            Conclusion::HandBack => {
                let mut written = fields::handed_back(&delivery, self.server.db.now);
                let mark = sha1_smol::Sha1::from([MARK, &job_id].concat()).digest().to_string();
                fields::push(&mut written, "_mark", mark);
                SHARD.hand_back(held, &job::flat(&written))
            }
            Conclusion::Dead => dead_letter(held, &delivery, &job_id, attempts, flight.is_partial, kept),
            Conclusion::Expire => dead_letter(held, &delivery, &job_id, made, false, kept),
        })
    }
}

/// The fields of a job whose delay is over.
fn waited(mut fields: Fields) -> Fields {
    if fields::has_delay(&fields) {
        fields::push(&mut fields, "_waited", "1");
    }
    fields
}

/// The call that dead-letters a job.
fn dead_letter(
    held: &Held,
    delivery: &Delivery,
    job_id: &str,
    attempts: u32,
    is_partial: bool,
    kept: Option<(&str, u64)>,
) -> Call {
    let decoded = Job::decode(delivery);
    let mut written = match &decoded {
        _ if is_partial => Fields::new(),
        Ok(job) => job::after_attempt(delivery, job, attempts),
        Err(_) => fields::own_fields(&delivery.fields),
    };
    fields::push(&mut written, "_job_id", job_id.to_owned());
    fields::push(&mut written, "_reason", "attempts");
    if is_partial {
        // Redis has the other fields.
        return SHARD.dead_letter_entry(held, true, LOG, &job::flat(&written));
    }
    SHARD.dead_letter(held, "dead", kept, LOG, &job::flat(&written))
}
