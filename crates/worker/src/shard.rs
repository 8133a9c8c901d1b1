//! The state that the loops of one shard share.

pub mod alarm;
pub mod hand;
pub mod lane;
pub mod lanes;
pub mod lease;
pub mod slots;
