//! The state that the loops of one shard share: each part has its own struct, and a loop holds only the parts
//! that it uses.

pub(crate) mod alarm;
pub(crate) mod byte_budget;
pub(crate) mod control;
pub(crate) mod in_flight;
mod known_delivery;
pub(crate) mod leases;
pub(crate) mod settings;
pub(crate) mod slots;
pub(crate) mod unsettled;
