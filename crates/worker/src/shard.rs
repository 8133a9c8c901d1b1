//! What the loops of one shard of a queue share.

pub mod hand;
pub mod lane;
pub mod lanes;
pub mod slots;
