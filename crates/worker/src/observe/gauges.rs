//! Values that each collection of metrics reads: of the process, of its runtime, and of the queue stats.

mod breakers;
mod depths;
mod process;
mod runtime;

use telemetry::Telemetry;

pub(crate) use breakers::BreakerStates;
pub(crate) use depths::{Depth, Depths};

/// Gauges that are set from the queue stats. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gauges {
    /// Depths of queues.
    pub depths: Depths,
    /// Breaker states of flows.
    pub breakers: BreakerStates,
}

impl Gauges {
    /// Registers all instruments; `None` if telemetry is off.
    pub(crate) fn tell(telemetry: &Telemetry) -> Option<Self> {
        if !telemetry.is_on() {
            return None;
        }
        process::tell(telemetry);
        runtime::tell(telemetry, &tokio::runtime::Handle::current().metrics());
        Some(Self { depths: Depths::new(telemetry), breakers: BreakerStates::new(telemetry) })
    }
}
