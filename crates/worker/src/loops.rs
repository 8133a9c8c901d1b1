//! The loops of a worker: they fetch jobs, keep their leases, settle them, and move waiting jobs.

pub(crate) mod completer;
pub(crate) mod control;
pub(crate) mod cron;
pub(crate) mod depth_sampler;
pub(crate) mod fetcher;
pub(crate) mod heartbeat;
mod line_sweep;
pub(crate) mod notices;
mod paced;
pub(crate) mod reclaimer;
pub(crate) mod reload;
pub(crate) mod scheduler;
pub(crate) mod shard_list;
pub(crate) mod stall_watch;
pub(crate) mod sweeper;
pub(crate) mod turn_taker;
pub(crate) mod unsettled;
