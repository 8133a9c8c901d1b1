//! The work on one delivery, from the fetched entry to its settlement.

pub(crate) mod deliver;
pub(crate) mod deliveries;
mod flow_acquire;
pub(crate) mod flow_gate;
mod flow_report;
pub(crate) mod flow_wake;
mod hold;
mod line;
pub(crate) mod process_span;
mod record;
mod sendable;
pub(crate) mod settlement;
pub(crate) mod turn;
