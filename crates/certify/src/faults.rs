//! The faults with their time and worker, and which duplicates they explain.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::options::LEASE;

/// How long after it was asked for a failover may be seen: behind Sentinel, connections to the old master end 13 s later.
const FAILOVER_MAX: Duration = Duration::from_secs(30);

/// A window in which a job may be delivered twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// A worker died with the job in flight.
    Killed,
    /// A worker was paused.
    Paused,
    /// A worker's connections were closed.
    Cut,
    /// A worker's connections were closed between a call and its reply.
    ReplyLost,
    /// A worker's connections were closed in the middle of a message.
    CutInMessage,
    /// A worker's connections forwarded nothing.
    HalfOpen,
    /// A call of a worker was withheld.
    Withheld,
    /// Redis has been restarted.
    RedisRestarted,
    /// Another server has become the master, or slots have moved.
    FailedOver,
    /// Redis did not reply for half a lease.
    RedisStalled,
    /// No process was scheduled for half a lease: the machine did other work.
    MachineStalled,
}

impl Window {
    /// The words of a report.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Killed => "a worker was killed",
            Self::Paused => "a worker was paused",
            Self::Cut => "a worker's connections were cut",
            Self::ReplyLost => "a reply to a worker was lost",
            Self::CutInMessage => "a worker's connections were cut in a message",
            Self::HalfOpen => "a worker's connections were half open",
            Self::Withheld => "a worker's call was withheld",
            Self::RedisRestarted => "Redis restarted",
            Self::FailedOver => "Redis failed over",
            Self::RedisStalled => "Redis did not answer",
            Self::MachineStalled => "the machine stood still",
        }
    }

    /// How long a fault has effects after its end: leases expire and workers reconnect.
    fn echo(self) -> Duration {
        match self {
            // The destination may read a request after the death of the worker that sent it.
            Self::Killed | Self::Paused | Self::MachineStalled => LEASE,
            _ => 3 * LEASE,
        }
    }
}

/// One fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) window: Window,
    /// The process id of the affected worker, or `None` for Redis or the machine, which affect all workers.
    pub(crate) pid: Option<u32>,
    pub(crate) from: Instant,
    /// `None` while it lasts.
    pub(crate) to: Option<Instant>,
}

impl Fault {
    /// The fault, its process and its time, in milliseconds since `zero`.
    pub(crate) fn describe(&self, zero: Instant) -> String {
        let millis = |time: Instant| match time.checked_duration_since(zero) {
            Some(after) => format!("+{}", after.as_millis()),
            None => format!("-{}", (zero - time).as_millis()),
        };
        let whose = self.pid.map_or_else(|| "all".to_owned(), |pid| pid.to_string());
        let to = self.to.map_or_else(|| "the end".to_owned(), millis);
        format!("{:?} of {whose} from {} to {to} ms", self.window, millis(self.from))
    }

    fn touches(&self, from: Instant, to: Instant, echo: Duration) -> bool {
        self.from <= to && self.to.is_none_or(|end| end + echo >= from)
    }
}

/// All faults, in order.
#[derive(Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl Faults {
    pub(crate) fn begin(&mut self, window: Window, pid: Option<u32>) {
        self.0.push(Fault { window, pid, from: Instant::now(), to: None });
    }

    /// Ends the current faults of a worker.
    pub(crate) fn end(&mut self, pid: Option<u32>) {
        // What has not ended is among the last ones: a worker has one fault at a time, and each soon ends.
        for fault in
            self.0.iter_mut().rev().take(1_000).filter(|fault| fault.pid == pid && fault.to.is_none())
        {
            fault.to = Some(Instant::now());
        }
    }

    /// A failover begins when it is asked for, and is seen when connections to the old master end: Sentinel lets it go on for
    /// seconds after the promotion of another. `asked` has the times in order.
    pub(crate) fn begin_failovers(&mut self, asked: &[Instant]) {
        for fault in self.0.iter_mut().filter(|fault| fault.window == Window::FailedOver) {
            let is_its = |asked: &&Instant| {
                fault.from.saturating_duration_since(**asked) <= FAILOVER_MAX
                    && fault.to.is_none_or(|to| **asked <= to)
            };
            let last = asked.iter().rfind(is_its);
            fault.from = last.map_or(fault.from, |asked| fault.from.min(*asked));
        }
    }

    /// The fault that explains a second delivery within this time. A fault active in that time comes before
    /// one with later effects; a fault of the first worker comes before those of other workers, and these
    /// before one of Redis.
    pub(crate) fn explain(&self, pids: &[u32], from: Instant, to: Instant) -> Option<&Fault> {
        let of = |fault: &Fault, pids: &[u32]| fault.pid.is_some_and(|pid| pids.contains(&pid));
        let rank = |fault: &Fault| {
            let lasted = fault.touches(from, to, Duration::ZERO);
            let whose = if of(fault, &pids[..1]) { 0 } else { 1 + usize::from(fault.pid.is_none()) };
            (usize::from(!lasted), whose)
        };
        let may = |fault: &&Fault| {
            fault.touches(from, to, fault.window.echo()) && (fault.pid.is_none() || of(fault, pids))
        };
        self.0.iter().filter(may).min_by_key(|fault| rank(fault))
    }

    /// Whether a failover may have lost a write that was acknowledged in this time: the new master lacks the last ones.
    pub(crate) fn may_lose(&self, from: Instant, to: Instant) -> bool {
        let is_near = |fault: &Fault| fault.touches(from, to + 3 * LEASE, Duration::ZERO);
        self.0.iter().any(|fault| fault.window == Window::FailedOver && is_near(fault))
    }

    /// All faults within a few leases of this time, for a person. Times are since `zero`.
    pub(crate) fn near(&self, from: Instant, to: Instant, zero: Instant) -> String {
        let near = self.0.iter().filter(|fault| fault.touches(from, to + 3 * LEASE, 3 * LEASE));
        near.map(|fault| fault.describe(zero)).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failover_begins_when_the_last_one_before_its_end_was_asked_for() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let of = |window| Fault { window, pid: None, from: at(20), to: Some(at(21)) };
        let begin = |window, asked: &[Instant]| {
            let mut faults = Faults(vec![of(window)]);
            faults.begin_failovers(asked);
            faults.0[0].from
        };
        assert_eq!(begin(Window::FailedOver, &[at(1), at(8), at(30)]), at(8));
        assert_eq!(begin(Window::FailedOver, &[at(30)]), at(20), "asked for later");
        assert_eq!(begin(Window::FailedOver, &[]), at(20), "nobody asked");
        let late = Fault { from: at(60), to: Some(at(61)), ..of(Window::FailedOver) };
        let mut faults = Faults(vec![late]);
        faults.begin_failovers(&[at(8)]);
        assert_eq!(faults.0[0].from, at(60), "another one was asked for long before");
        assert_eq!(begin(Window::RedisRestarted, &[at(8)]), at(20), "another fault");
    }

    #[test]
    fn a_death_just_before_the_destination_reads_the_request_explains_its_repetition() {
        let death = Instant::now();
        let fault = Fault { window: Window::Killed, pid: Some(7), from: death, to: Some(death) };
        let faults = Faults(vec![fault]);
        let explains = |first: u32, after: Duration| {
            faults.explain(&[first, 8], death + after, death + after + LEASE).is_some()
        };
        assert!(explains(7, LEASE / 100));
        assert!(!explains(9, LEASE / 100), "another worker's death");
        assert!(!explains(7, 2 * LEASE), "that was long before");
    }
}
