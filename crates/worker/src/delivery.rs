//! A delivery, from the entry to what is written of it.

pub mod attempt;
pub mod gate;
mod hold;
pub mod record;
pub mod settlement;
pub mod trace;
pub mod wake;
