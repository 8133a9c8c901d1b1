//! The loops of a worker: each takes jobs, keeps them, settles them, or looks after those that wait.

pub(crate) mod completer;
pub(crate) mod depth_sampler;
pub(crate) mod fetcher;
pub(crate) mod heartbeat;
pub(crate) mod reclaimer;
pub(crate) mod scheduler;
pub(crate) mod sweeper;
