//! A run in parts of equal length.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::faults::{Faults, Window};

use super::Latency;

/// How many parts there are at most.
const PARTS_MAX: u64 = 120;
/// Incidents that are listed at most.
const INCIDENTS_MAX: usize = 500;

/// A part of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Moment {
    /// When it begins, s since the first job.
    pub at: u64,
    /// Jobs that were enqueued in it.
    pub enqueued: u64,
    /// Jobs whose first success was in it.
    pub delivered: u64,
    /// Requests in it by which a worker continued the job of another one.
    pub taken_over: u64,
    /// Duplicates in it.
    pub duplicates: u64,
    /// Workers that were killed in it.
    pub kills: u64,
    /// Other faults of workers and connections that began in it.
    pub faults: u64,
    /// From enqueue to request of the healthy jobs that were enqueued in it.
    pub latency: Option<Latency>,
}

/// A fault of Redis or of the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Incident {
    /// What it was.
    pub what: Window,
    /// When it began, s since the first job.
    pub from: f64,
    /// How long it lasted, s.
    pub seconds: f64,
}

/// A timeline that is being made.
pub(crate) struct Timeline {
    zero: Instant,
    /// The length of a part, s.
    width: u64,
    pub(crate) moments: Vec<Moment>,
    latencies: Vec<Vec<Duration>>,
}

impl Timeline {
    pub(crate) fn new(zero: Instant, took: Duration) -> Self {
        let seconds = took.as_secs() + 1;
        let width = seconds.div_ceil(PARTS_MAX).max(1);
        let parts = seconds.div_ceil(width);
        let moments: Vec<Moment> =
            (0..parts).map(|part| Moment { at: part * width, ..Moment::default() }).collect();
        Self { zero, width, latencies: vec![vec![]; moments.len()], moments }
    }

    /// The part of a time.
    pub(crate) fn at(&mut self, time: Instant) -> &mut Moment {
        let index = self.index(time);
        &mut self.moments[index]
    }

    pub(crate) fn add_latency(&mut self, enqueued: Instant, latency: Duration) {
        let index = self.index(enqueued);
        self.latencies[index].push(latency);
    }

    fn index(&self, time: Instant) -> usize {
        let seconds = time.saturating_duration_since(self.zero).as_secs();
        ((seconds / self.width) as usize).min(self.moments.len() - 1)
    }

    /// Adds the faults, and returns all.
    pub(crate) fn end(mut self, faults: &Faults) -> (Vec<Moment>, Vec<Incident>) {
        let mut incidents = Vec::new();
        for fault in &faults.0 {
            let moment = self.at(fault.from);
            match (fault.pid, fault.window) {
                (None, what) if incidents.len() < INCIDENTS_MAX => {
                    let to = fault.to.unwrap_or(fault.from);
                    let seconds = |time: Duration| (time.as_secs_f64() * 10.0).round() / 10.0;
                    incidents.push(Incident {
                        what,
                        from: seconds(fault.from.saturating_duration_since(self.zero)),
                        seconds: seconds(to.saturating_duration_since(fault.from)),
                    });
                }
                (None, _) => {}
                (_, Window::Killed) => moment.kills += 1,
                _ => moment.faults += 1,
            }
        }
        for (moment, latencies) in self.moments.iter_mut().zip(&mut self.latencies) {
            moment.latency = Latency::of(latencies);
        }
        (self.moments, incidents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_has_few_parts_and_every_time_has_one() {
        let zero = Instant::now();
        for seconds in [0, 1, 15, 119, 120, 121, 3_600, 86_400] {
            let took = Duration::from_secs(seconds);
            let mut timeline = Timeline::new(zero, took);
            timeline.at(zero + took + Duration::from_secs(9)).enqueued += 1;
            timeline.at(zero).delivered += 1;
            let (moments, _) = timeline.end(&Faults::default());
            assert!(moments.len() as u64 <= PARTS_MAX, "{seconds}");
            assert_eq!((moments[0].delivered, moments[moments.len() - 1].enqueued), (1, 1), "{seconds}");
        }
    }
}
