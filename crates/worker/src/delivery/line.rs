//! The place of an ordered job in its line, and what its settlement does to the line. Pure.

use postrider_queue::job::{Delivery, Job, LinePlace};
use postrider_queue::work::{InLine, StopNote, Transition, fields};

/// The place of a job in its line; `None` for a job without a valid order key. `job` is `None` for an entry that is none.
pub(super) fn place_of(delivery: &Delivery, job: Option<&Job>) -> Option<LinePlace> {
    match job {
        Some(job) if job.order.is_none() => None,
        _ => LinePlace::of(&delivery.fields, &fields::job_id(delivery)),
    }
}

/// What becomes of the line of a job. `stops`: a dead letter stops it.
pub(super) fn in_line(
    delivery: &Delivery,
    job: Option<&Job>,
    transition: &Transition,
    (stops, now): (bool, u64),
) -> Option<InLine> {
    let place = place_of(delivery, job)?;
    let stop = match transition {
        Transition::DeadLetter { job_id, reason, .. } if stops => {
            let order = fields::value(&delivery.fields, "order").unwrap_or_default();
            Some(StopNote::new(&order, job_id, *reason, now))
        }
        _ => None,
    };
    Some(InLine { place, stop })
}
