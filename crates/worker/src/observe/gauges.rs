//! Gauges that each collection of metrics reads: of the process, its runtime, queues, breakers and pauses.

mod breakers;
mod depths;
mod pauses;
mod process;
mod runtime;
mod troubles;

use telemetry::Telemetry;

pub(crate) use breakers::BreakerStates;
pub(crate) use depths::{Depth, Depths};
pub(crate) use pauses::Pauses;
pub(crate) use troubles::Troubles;

/// Gauges of queues and flows. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gauges {
    /// Depths of queues.
    pub depths: Depths,
    /// Breaker states of flows.
    pub breakers: BreakerStates,
    /// What is paused.
    pub pauses: Pauses,
    /// Shards that cannot be served.
    pub troubles: Troubles,
}

impl Gauges {
    /// Registers all instruments; `None` if telemetry is off.
    pub(crate) fn register(telemetry: &Telemetry) -> Option<Self> {
        if !telemetry.is_on() {
            return None;
        }
        process::register(telemetry);
        runtime::register(telemetry, &tokio::runtime::Handle::current().metrics());
        Some(Self {
            depths: Depths::new(telemetry),
            breakers: BreakerStates::new(telemetry),
            pauses: Pauses::new(telemetry),
            troubles: Troubles::new(telemetry),
        })
    }
}
