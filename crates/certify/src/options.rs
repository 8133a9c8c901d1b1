//! The settings of a run.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// The lease of the workers. Most faults take a part of it or a few of it.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// The settings of a run. Those that decide its plan are in the report.
#[derive(Clone, Debug, Serialize)]
pub struct Options {
    /// The address of Redis.
    #[serde(skip)]
    pub redis_url: String,
    /// The seed of the plan.
    pub seed: u64,
    /// For how long jobs are enqueued and faults happen.
    #[serde(rename = "seconds", serialize_with = "as_seconds")]
    pub time: Duration,
    /// How many workers run at a time.
    pub workers: usize,
    /// Jobs enqueued per second.
    pub rate: u32,
    /// Workers killed per second, on average, if enough of them run.
    pub kills_per_second: f64,
    /// Whether to do what others on the server may notice, too: to flush scripts, pause queues, fail over and move slots.
    pub may_disturb_server: bool,
    /// The programs that workers run, in turn. Each has the command line of this one.
    #[serde(skip)]
    pub programs: Vec<PathBuf>,
    /// This program, through which workers are started: see [`crate::execute`].
    #[serde(skip)]
    pub starter: PathBuf,
}

fn as_seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
