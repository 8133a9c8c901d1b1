//! The place of an ordered job in its line, and what its settlement does to the line.

use postrider_queue::job::{Delivery, Job, LinePlace};
use postrider_queue::work::{InLine, QueueShard, StopNote, Transition, fields};

use crate::shard::settings::CurrentSettings;

/// The place of a job in its line; `None` for a job without a valid order key. `job` is `None` for an entry that is none.
pub(super) fn place_of(delivery: &Delivery, job: Option<&Job>) -> Option<LinePlace> {
    match job {
        Some(job) if job.order.is_none() => None,
        _ => LinePlace::of(&delivery.fields, &fields::job_id(delivery)),
    }
}

/// What becomes of the line of a job, if it is ordered.
pub(super) fn in_line(
    delivery: &Delivery,
    job: Option<&Job>,
    transition: &Transition,
    settings: &CurrentSettings,
    queue: &QueueShard,
) -> Option<InLine> {
    let place = place_of(delivery, job)?;
    let stop = match transition {
        Transition::DeadLetter { job_id, reason, .. } if settings.get().on_dead.stops(queue.name()) => {
            let order = fields::value(&delivery.fields, "order").unwrap_or_default();
            Some(StopNote::new(&order, job_id, *reason, queue.clock().now()))
        }
        _ => None,
    };
    Some(InLine { place, stop })
}
