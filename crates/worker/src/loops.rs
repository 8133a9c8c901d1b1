//! The loops of a worker: each takes jobs, keeps them, settles them, or looks after those that wait.

pub mod leases;
pub mod mender;
pub mod reader;
pub mod reclaimer;
pub mod reporter;
pub mod scheduler;
pub mod settler;
