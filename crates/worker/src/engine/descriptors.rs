//! File descriptors: how many the worker may open, and how many slots fit.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Descriptors for everything but requests: logs, telemetry, probes, timers.
const RESERVED: u64 = 16;
/// Descriptors for the connections of one queue.
const RESERVED_PER_QUEUE: u64 = 4;

/// Raises the soft limit of open files to the hard one. Returns it; `None` if there is none.
pub(super) fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            debug!(%error, "could not raise the limit of open files");
            limit.current
        }
    }
}

/// The slots of a worker that shall have `concurrency` of them, with this limit of open files.
pub(super) fn slots(concurrency: usize, limit: Option<u64>, queues: usize) -> usize {
    let Some(limit) = limit else { return concurrency };
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64);
    let slots = fitting(concurrency, limit, open + RESERVED + RESERVED_PER_QUEUE * queues as u64);
    if slots < concurrency {
        warn!(
            concurrency,
            slots, limit, "the limit of open files is too low for the concurrency; raise it (ulimit -n)"
        );
    }
    slots
}

/// A request needs two descriptors: its connection, and one that is idle or still being tried.
fn fitting(concurrency: usize, limit: u64, reserved: u64) -> usize {
    let fitting = usize::try_from(limit.saturating_sub(reserved) / 2).unwrap_or(usize::MAX);
    fitting.clamp(1, concurrency.max(1))
}

/// The idle connections of a thread for which there are descriptors beside its slots.
pub(super) fn idle(slots: usize, threads: NonZeroUsize) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    fitting_idle(slots, limit / threads.get() as u64)
}

/// As many as slots, since [`fitting`] counts these, and what is left beside two descriptors for each slot.
fn fitting_idle(slots: usize, limit: u64) -> usize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    limit.saturating_sub(RESERVED as usize + 2 * slots).max(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_fit_into_the_descriptors() {
        assert_eq!(fitting(64, 1024, 30), 64);
        assert_eq!(fitting(64, 36, 28), 4);
        assert_eq!(fitting(64, 10, 28), 1, "it still works");
        assert_eq!(fitting(100_000, u64::MAX, 28), 100_000);
    }

    #[test]
    fn idle_connections_fit_into_what_slots_leave() {
        assert_eq!(fitting_idle(4_000, 20_000), 11_984);
        assert_eq!(fitting_idle(9_985, 20_000), 9_985, "as many as slots");
        assert_eq!(fitting_idle(64, u64::MAX), usize::MAX - 16 - 128);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let limit = raise();
        assert_eq!(getrlimit(Resource::Nofile).current, limit);
    }
}
