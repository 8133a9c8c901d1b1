//! Depths of queues, as the depth sampler has counted them last.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postrider_queue::names;
use postrider_queue::work::QueueStats;
use telemetry::{Observable, Telemetry, semconv};

/// The states of jobs of a queue, in the order of [`Depth`].
const STATES: [&str; 5] = ["ready", "running", "scheduled", "held", "dead"];

/// A time that is not known, and not reported.
const UNKNOWN: u64 = u64::MAX;

/// Depths of all queues that this worker may report. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Depths(Arc<Mutex<Vec<Arc<Depth>>>>);

/// The depth of one queue, over all its shards.
#[derive(Debug)]
pub(crate) struct Depth {
    queue: &'static str,
    origin: Instant,
    /// Milliseconds after `origin` from which on this is too old to be reported.
    until: AtomicU64,
    jobs: [AtomicU64; STATES.len()],
    oldest_ms: AtomicU64,
    stopped_keys: AtomicU64,
    /// Of dead letters and of rejected entries.
    deleted: [AtomicU64; 2],
    at_ms: AtomicU64,
}

impl Depths {
    /// Registers the gauges. They report all queues that join, while their depths are fresh.
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let depths = Self::default();
        let depth = Observable::gauge(
            names::QUEUE_DEPTH,
            "{job}",
            "Jobs of a queue by their state; one worker reports it for all",
        );
        let reported = depths.clone();
        telemetry.observe(depth, move |to| {
            for depth in reported.fresh() {
                for (state, jobs) in STATES.iter().zip(&depth.jobs) {
                    to.record(jobs.load(Ordering::Relaxed) as f64, |attributes| {
                        attributes.set(semconv::MESSAGING_DESTINATION_NAME, depth.queue);
                        attributes.set(names::QUEUE_STATE, *state);
                    });
                }
            }
        });
        let oldest = Observable::gauge(
            names::QUEUE_OLDEST_AGE,
            "s",
            "How long the first ready job of a queue has been there, 0 without one, absent if its entry id is no time; \
             one worker reports it for all",
        );
        depths.observe_seconds(telemetry, oldest, |depth| &depth.oldest_ms);
        let counted = Observable::gauge(
            names::QUEUE_COUNTED_AT,
            "s",
            "When the depth of a queue was last counted: Redis' time, in seconds since 1970",
        );
        depths.observe_seconds(telemetry, counted, |depth| &depth.at_ms);
        depths.observe_stopped(telemetry);
        depths.observe_deleted(telemetry);
        depths
    }

    fn observe_stopped(&self, telemetry: &Telemetry) {
        let stopped = Observable::gauge(
            names::QUEUE_STOPPED_KEYS,
            "{key}",
            "Order keys whose later jobs a dead letter stops; one worker reports it for all",
        );
        let reported = self.clone();
        telemetry.observe(stopped, move |to| {
            for depth in reported.fresh() {
                to.record(depth.stopped_keys.load(Ordering::Relaxed) as f64, |attributes| {
                    attributes.set(semconv::MESSAGING_DESTINATION_NAME, depth.queue);
                });
            }
        });
    }

    fn observe_deleted(&self, telemetry: &Telemetry) {
        let deleted = Observable::counter(
            names::QUEUE_DELETED,
            "{job}",
            "Dead letters and rejected entries that were deleted before their age, to bound their number and bytes; \
             one worker reports it for all",
        );
        let reported = self.clone();
        telemetry.observe(deleted, move |to| {
            for depth in reported.fresh() {
                for (state, entries) in ["dead", "rejected"].into_iter().zip(&depth.deleted) {
                    to.record(entries.load(Ordering::Relaxed) as f64, |attributes| {
                        attributes.set(semconv::MESSAGING_DESTINATION_NAME, depth.queue);
                        attributes.set(names::QUEUE_STATE, state);
                    });
                }
            }
        });
    }

    fn observe_seconds(&self, telemetry: &Telemetry, what: Observable, millis: fn(&Depth) -> &AtomicU64) {
        let reported = self.clone();
        telemetry.observe(what.fractional(), move |to| {
            for depth in reported.fresh() {
                let millis = millis(&depth).load(Ordering::Relaxed);
                if millis != UNKNOWN {
                    to.record(millis as f64 / 1000.0, |attributes| {
                        attributes.set(semconv::MESSAGING_DESTINATION_NAME, depth.queue);
                    });
                }
            }
        });
    }

    /// Adds a queue that this worker may report.
    pub(crate) fn join(&self, queue: &'static str) -> Arc<Depth> {
        let depth = Arc::new(Depth {
            queue,
            origin: Instant::now(),
            until: AtomicU64::new(0),
            jobs: Default::default(),
            oldest_ms: AtomicU64::new(0),
            stopped_keys: AtomicU64::new(0),
            deleted: Default::default(),
            at_ms: AtomicU64::new(0),
        });
        if let Ok(mut depths) = self.0.lock() {
            depths.push(depth.clone());
        }
        depth
    }

    fn fresh(&self) -> Vec<Arc<Depth>> {
        let depths = self.0.lock().map(|depths| depths.clone()).unwrap_or_default();
        depths.into_iter().filter(|depth| depth.is_fresh()).collect()
    }
}

impl Depth {
    /// Sets the numbers of a new count, which are reported for this time.
    pub(crate) fn set(&self, stats: &QueueStats, validity: Duration) {
        let QueueStats { ready, running, scheduled, held, dead, oldest_ms, at_ms, .. } = *stats;
        for (own, entries) in self.deleted.iter().zip([stats.dead_deleted, stats.rejected_deleted]) {
            own.store(entries, Ordering::Relaxed);
        }
        for (own, jobs) in self.jobs.iter().zip([ready, running, scheduled, held, dead]) {
            own.store(jobs, Ordering::Relaxed);
        }
        self.oldest_ms.store(oldest_ms.unwrap_or(UNKNOWN), Ordering::Relaxed);
        self.stopped_keys.store(stats.stopped_keys, Ordering::Relaxed);
        self.at_ms.store(at_ms, Ordering::Relaxed);
        self.until.store((self.origin.elapsed() + validity).as_millis() as u64, Ordering::Release);
    }

    /// Stops reporting: another worker reports it.
    pub(crate) fn clear(&self) {
        self.until.store(0, Ordering::Release);
    }

    fn is_fresh(&self) -> bool {
        u128::from(self.until.load(Ordering::Acquire)) > self.origin.elapsed().as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_depth_is_reported_while_it_is_fresh() {
        let depths = Depths::new(&Telemetry::disabled());
        let depth = depths.join("mail");
        assert!(depths.fresh().is_empty());
        depth.set(&QueueStats { ready: 3, ..QueueStats::default() }, Duration::from_secs(60));
        assert_eq!(depths.fresh()[0].jobs[0].load(Ordering::Relaxed), 3);
        depth.clear();
        assert!(depths.fresh().is_empty());
        depth.set(&QueueStats::default(), Duration::ZERO);
        assert!(depths.fresh().is_empty(), "too old");
    }
}
