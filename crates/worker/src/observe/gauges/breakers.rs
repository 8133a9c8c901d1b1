//! Breaker states of flows, as far as this worker knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postrider_queue::names;
use telemetry::{Observable, Telemetry};

use crate::flows::Breakers;

const STATES: [&str; 3] = ["closed", "open", "half_open"];

/// The number of flows in each state at the last count. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct BreakerStates(Arc<[AtomicU64; STATES.len()]>);

impl BreakerStates {
    /// Registers the gauge.
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let states = Self::default();
        let reported = states.clone();
        let what = "Flows that this worker knows, by the state of their breaker as this worker knows it";
        telemetry.observe(Observable::gauge(names::FLOW_BREAKERS, "{flow}", what), move |to| {
            for (state, flows) in STATES.iter().zip(&*reported.0) {
                let flows = flows.load(Ordering::Relaxed) as f64;
                to.record(flows, |attributes| attributes.set(names::BREAKER_STATE, *state));
            }
        });
        states
    }

    /// Sets the numbers of a new count.
    pub(crate) fn set(&self, breakers: Breakers) {
        let Breakers { closed, open, half_open } = breakers;
        for (own, flows) in self.0.iter().zip([closed, open, half_open]) {
            own.store(flows, Ordering::Relaxed);
        }
    }
}
