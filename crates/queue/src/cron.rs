//! Periodic jobs: definitions, and the ticks that make their jobs.

mod claim;
mod definition;
mod plan;
mod template;
mod tick_headers;
mod timing;

pub use claim::{DueTick, DueTicks, TickError, Ticked};
pub use definition::{BadCronName, BadDefinition, CatchUp, CronName, Definition, Overlap};
pub use plan::{Plan, TICKS_MAX};
pub use timing::{BadTiming, Timing};
