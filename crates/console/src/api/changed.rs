//! Counts dead letters that were changed, and records who changed them.

use std::collections::BTreeMap;

use postrider_queue::QueueName;
use postrider_queue::admin::{Change, DeadLetter};

use crate::access::Caller;
use crate::state::Shared;

/// How many dead letters of each queue were changed.
pub(super) type Changed = BTreeMap<QueueName, u64>;

pub(super) fn count(changed: &mut Changed, letter: &DeadLetter, jobs: u64) {
    *changed.entry(letter.queue.queue.clone()).or_default() += jobs;
}

/// Records what was changed, queue by queue.
pub(super) async fn record(
    shared: &Shared,
    caller: &Caller,
    change: &'static str,
    subject: &str,
    changed: Changed,
) {
    for (queue, jobs) in changed.into_iter().filter(|(_, jobs)| *jobs > 0) {
        let queue = Some(queue.as_str());
        shared.inspector.record(&Change { caller: &caller.name, change, queue, subject, jobs }).await;
    }
}
