//! The loops of a worker: each takes jobs, keeps them, settles them, or looks after those that wait.

pub(crate) mod leases;
pub(crate) mod mender;
pub(crate) mod reader;
pub(crate) mod reclaimer;
pub(crate) mod reporter;
pub(crate) mod scheduler;
pub(crate) mod settler;
