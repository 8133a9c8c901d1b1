//! A queue that a worker reads, and its settings.

use std::time::Duration;

use postrider_queue::work::LogBounds;
use postrider_queue::{BadQueueName, QueueName};

use crate::policy::{OnDead, UnknownFields};

/// A queue to read, and its weight relative to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedQueue {
    /// The queue.
    pub name: QueueName,
    /// 1 to 1000. Default: 1.
    pub weight: u32,
    /// What it does with jobs that have unknown fields. Default: warn.
    pub unknown_fields: UnknownFields,
    /// What a dead letter does to the later jobs of its order key. Default: nothing.
    pub on_dead: OnDead,
    /// How long its delivery log keeps a record, instead of the worker's time; zero for no log.
    pub keep: Option<Duration>,
}

impl WeightedQueue {
    /// What its delivery log keeps, by the worker's bounds; `None` if it keeps nothing.
    pub(super) fn log(&self, worker: LogBounds) -> Option<LogBounds> {
        let age_ms = self.keep.map_or(worker.age_ms, |keep| keep.as_millis() as u64);
        (age_ms > 0).then_some(LogBounds { age_ms, ..worker })
    }
}

impl std::str::FromStr for WeightedQueue {
    type Err = String;

    /// `NAME` or `NAME:WEIGHT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, weight) = match text.split_once(':') {
            Some((name, weight)) => {
                let weight = weight.parse().ok().filter(|weight| (1..=1000).contains(weight));
                (name, weight.ok_or("the weight of a queue must be 1 to 1000, as in bulk:1")?)
            }
            None => (text, 1),
        };
        let name = name.parse().map_err(|error: BadQueueName| error.to_string())?;
        let (unknown_fields, on_dead) = (UnknownFields::default(), OnDead::default());
        Ok(Self { name, weight, unknown_fields, on_dead, keep: None })
    }
}
