//! A delivery, from the entry to what is written of it.

pub mod attempt;
pub mod record;
pub mod settlement;
