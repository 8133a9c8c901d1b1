//! The state that the loops of one shard share.

pub(crate) mod alarm;
pub(crate) mod in_flight;
pub(crate) mod lease;
pub(crate) mod list;
pub(crate) mod runtime;
pub(crate) mod slots;
