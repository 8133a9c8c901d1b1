//! What the loops of one shard of a queue share.

pub mod alarm;
pub mod hand;
pub mod lane;
pub mod lanes;
pub mod lease;
pub mod slots;
