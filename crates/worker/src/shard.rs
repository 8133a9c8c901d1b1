//! The state that the loops of one shard share.

pub(crate) mod alarm;
pub(crate) mod hand;
pub(crate) mod lane;
pub(crate) mod lanes;
pub(crate) mod lease;
pub(crate) mod slots;
