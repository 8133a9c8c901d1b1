//! Counts the items of a signal by what happened to them: the SDK's shutdown returns `Ok` also when all were lost.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tracing::{info, warn};

use super::exporter::Kind;

/// Counts the items of one signal. All counts only grow, except `waiting`.
#[derive(Debug)]
pub(super) struct Tally {
    kind: Kind,
    capacity: u64,
    waiting: AtomicU64,
    ended: AtomicU64,
    dropped: AtomicU64,
    delivered: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    dropping: AtomicBool,
    abandoned: AtomicBool,
}

impl Tally {
    pub(super) fn new(kind: Kind, capacity: usize) -> Self {
        Self {
            kind,
            capacity: capacity as u64,
            waiting: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropping: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
        }
    }

    /// The receiver does not know this signal: from now on nothing is expected to arrive.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Relaxed);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Relaxed)
    }

    /// Whether there is room for one more item, which then waits. Otherwise it is dropped, and one line is logged.
    pub(super) fn admit(&self) -> bool {
        if self.is_abandoned() {
            return false;
        }
        self.ended.fetch_add(1, Relaxed);
        if self.waiting.fetch_add(1, Relaxed) < self.capacity {
            return true;
        }
        self.waiting.fetch_sub(1, Relaxed);
        self.dropped.fetch_add(1, Relaxed);
        if !self.dropping.swap(true, Relaxed) {
            let variable = if self.kind == Kind::Logs { "OTEL_BLRP" } else { "OTEL_BSP" };
            warn!(
                waiting = self.capacity,
                "{} are dropped, since as many wait for export as may: {variable}_MAX_QUEUE_SIZE raises that",
                self.items()
            );
        }
        false
    }

    /// This number of items has left the queue.
    pub(super) fn record_dequeued(&self, items: u64) {
        // Data points of metrics are never admitted, and do not wait.
        let _ = self.waiting.fetch_update(Relaxed, Relaxed, |waiting| Some(waiting.saturating_sub(items)));
    }

    /// The receiver accepted these items, except the rejected ones.
    pub(super) fn delivered(&self, items: u64, rejected: u64) {
        let rejected = rejected.min(items);
        self.delivered.fetch_add(items - rejected, Relaxed);
        self.rejected.fetch_add(rejected, Relaxed);
        let room = self.waiting.load(Relaxed) < self.capacity / 2;
        if room && self.dropping.swap(false, Relaxed) {
            info!(dropped = self.dropped.load(Relaxed), "no more {} are dropped", self.items());
        }
    }

    pub(super) fn failed(&self, items: u64) {
        self.failed.fetch_add(items, Relaxed);
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }

    /// Items that have not arrived, including waiting ones. 0 where none is expected to arrive.
    pub(super) fn lost(&self) -> u64 {
        if self.is_abandoned() {
            return 0;
        }
        self.ended().saturating_sub(self.delivered.load(Relaxed))
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            waiting: self.waiting.load(Relaxed),
            capacity: self.capacity,
            processed: self.delivered.load(Relaxed) + self.rejected.load(Relaxed) + self.failed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            failed: self.failed.load(Relaxed),
        }
    }

    fn items(&self) -> &'static str {
        match self.kind {
            Kind::Traces => "spans",
            Kind::Metrics => "metrics",
            Kind::Logs => "log lines",
        }
    }
}

/// The counts at one moment, for metrics.
pub(super) struct Counts {
    pub(super) waiting: u64,
    pub(super) capacity: u64,
    pub(super) processed: u64,
    pub(super) dropped: u64,
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    pub(super) failed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let tally = Tally::new(Kind::Traces, 2);
        assert_eq!([tally.admit(), tally.admit(), tally.admit()], [true, true, false]);
        tally.record_dequeued(2);
        tally.delivered(2, 1);
        assert!(tally.admit());
        let counts = tally.counts();
        assert_eq!((counts.dropped, counts.delivered, counts.rejected, counts.waiting), (1, 1, 1, 1));
        assert_eq!((tally.ended(), tally.lost()), (4, 3));
    }
}
