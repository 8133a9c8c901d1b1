//! A delivery, from the entry to what is written of it.

pub(crate) mod attempt;
pub(crate) mod flow_gate;
pub(crate) mod flow_wake;
mod hold;
pub(crate) mod record;
pub(crate) mod settlement;
pub(crate) mod trace;
