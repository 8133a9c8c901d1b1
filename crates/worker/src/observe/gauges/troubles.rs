//! Shards that this worker cannot serve.

use std::sync::{Arc, Mutex};

use postrider_queue::names;
use postrider_queue::work::QueueShard;
use telemetry::{Observable, Telemetry, semconv};

/// The shards that a worker reads. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Troubles(Arc<Mutex<Vec<QueueShard>>>);

impl Troubles {
    /// Registers the gauge.
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let troubles = Self::default();
        let read = troubles.clone();
        let what = "Shards of a queue that this worker cannot serve now: Redis refuses a command that they need, \
                    or does not answer";
        let gauge = Observable::gauge(names::QUEUE_TROUBLED_SHARDS, "{shard}", what);
        telemetry.observe(gauge, move |to| {
            for (queue, troubled) in read.by_queue() {
                to.record(f64::from(troubled), |attributes| {
                    attributes.set(semconv::MESSAGING_DESTINATION_NAME, queue);
                });
            }
        });
        troubles
    }

    /// Adds a shard.
    pub(crate) fn join(&self, queue: QueueShard) {
        self.0.lock().expect("nothing panics while it holds this lock").push(queue);
    }

    /// The number of troubled shards of each queue.
    fn by_queue(&self) -> Vec<(&'static str, u32)> {
        let mut queues: Vec<(&'static str, u32)> = vec![];
        for shard in self.0.lock().expect("nothing panics while it holds this lock").iter() {
            let troubled = u32::from(shard.link().trouble().is_some());
            match queues.iter_mut().find(|(queue, _)| *queue == shard.name()) {
                Some((_, sum)) => *sum += troubled,
                None => queues.push((shard.name(), troubled)),
            }
        }
        queues
    }
}
