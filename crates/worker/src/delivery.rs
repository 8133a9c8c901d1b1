//! A delivery, from the entry to what is written of it.

pub mod attempt;
pub mod gate;
pub mod record;
pub mod settlement;
pub mod wake;
