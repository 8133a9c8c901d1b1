//! What is told each time metrics are collected: of the process, of its runtime, and what the reporter has counted.

mod breakers;
mod depths;
mod process;
mod runtime;

use telemetry::Telemetry;

pub use breakers::BreakerStates;
pub use depths::{Depth, Depths};

/// What the reporter counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gauges {
    /// What queues hold.
    pub depths: Depths,
    /// In which state the breakers of flows are.
    pub breakers: BreakerStates,
}

impl Gauges {
    /// Tells of this process for as long as metrics are collected; `None` where nothing is recorded.
    pub fn tell(telemetry: &Telemetry) -> Option<Self> {
        if !telemetry.is_on() {
            return None;
        }
        process::tell(telemetry);
        runtime::tell(telemetry, &tokio::runtime::Handle::current().metrics());
        Some(Self { depths: Depths::new(telemetry), breakers: BreakerStates::new(telemetry) })
    }
}
