//! Counts notices.

use postrider_queue::names;
use telemetry::{BoundCounter, Telemetry};

/// What a notice reports.
const KINDS: [&str; 4] = ["flow_failed", "flow_recovered", "queue_late", "queue_in_time"];

/// How many notices this worker has enqueued, by what they report.
#[derive(Debug)]
pub(crate) struct NoticeCounts([BoundCounter; KINDS.len()]);

impl NoticeCounts {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let notices = "Notices that this worker has enqueued";
        let notices = telemetry.counter(names::NOTICES, "{notice}", notices);
        Self(KINDS.map(|kind| {
            let counter = notices.bind(|attributes| attributes.set(names::NOTICE_KIND, kind));
            counter.add(0);
            counter
        }))
    }

    /// A notice of this kind is enqueued.
    pub(crate) fn given(&self, kind: &str) {
        if let Some(index) = KINDS.iter().position(|own| *own == kind) {
            self.0[index].add(1);
        }
    }
}
