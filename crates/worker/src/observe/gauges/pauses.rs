//! What is paused, as this worker knows it.

use std::sync::{Arc, Mutex, PoisonError};

use postrider_queue::names;
use telemetry::{Observable, Telemetry, semconv};

use crate::shard::control::CurrentControl;

/// What is known of pauses. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses(Arc<Mutex<Option<Known>>>);

#[derive(Debug)]
struct Known {
    queues: Vec<String>,
    control: CurrentControl,
}

impl Pauses {
    /// Registers the gauges.
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let pauses = Self::default();
        let read = pauses.clone();
        let what = "Whether a queue is paused, 1 or 0, as this worker knows it";
        telemetry.observe(Observable::gauge(names::QUEUE_PAUSED, "{queue}", what), move |to| {
            let known = read.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(Known { queues, control }) = &*known else { return };
            for queue in queues {
                to.record(f64::from(u8::from(control.pauses_queue(queue))), |attributes| {
                    attributes.set(semconv::MESSAGING_DESTINATION_NAME, queue.clone());
                });
            }
        });
        let read = pauses.clone();
        let what = "Flows that are paused, as this worker knows it";
        telemetry.observe(Observable::gauge(names::FLOW_PAUSED, "{flow}", what), move |to| {
            let known = read.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(Known { control, .. }) = &*known else { return };
            to.record(control.get().paused_flows() as f64, |_| ());
        });
        pauses
    }

    /// Begins to report the pauses of these queues, and of all flows.
    pub(crate) fn report(&self, queues: Vec<String>, control: CurrentControl) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Known { queues, control });
    }
}
