//! The work on one delivery, from the fetched entry to its settlement.

pub(crate) mod attempt;
pub(crate) mod flow_gate;
pub(crate) mod flow_wake;
mod hold;
pub(crate) mod record;
pub(crate) mod settlement;
pub(crate) mod trace;
