//! A delivery, from the entry to what is written of it.

pub(crate) mod attempt;
pub(crate) mod gate;
mod hold;
pub(crate) mod record;
pub(crate) mod settlement;
pub(crate) mod trace;
pub(crate) mod wake;
