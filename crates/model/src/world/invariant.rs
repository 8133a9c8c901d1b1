//! What must be true in every state. `docs/guarantees.md` explains each in plain words.

/// An invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Invariant {
    /// An acknowledged job is in a place that a loop finds.
    Place,
    /// It is there once.
    Once,
    /// A settlement under a lost lease has no effect, unless it is that of a success, which ends the job.
    Fence,
    /// A worker that renews its leases loses none.
    Lease,
    /// A request is sent only under a lease.
    Send,
    /// A waiting job has an alarm.
    Alarm,
    /// It has no more attempts than it may have.
    Attempts,
    /// A job that a worker ends is in the delivery log.
    Record,
    /// What operators pause is paused, until its end.
    Pause,
    /// A job that has expired is not sent, and does not wait for its flow.
    Expiry,
    /// A job that asks for a result has one when it ends, and not before.
    Result,
    /// Once faults stop, every job ends, and nothing is left of it.
    End,
}

impl Invariant {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Place => "place: an acknowledged job is in a place that a loop finds",
            Self::Once => "once: a job is in one place",
            Self::Fence => "fence: a settlement under a lost lease has no effect, except that of a success",
            Self::Lease => "lease: a worker that renews its leases loses none",
            Self::Send => "send: a request is sent only under a lease that was confirmed within half of it",
            Self::Alarm => "alarm: a waiting job has a due time, or its flow a check",
            Self::Attempts => "attempts: no more than the maximum",
            Self::Record => "record: a job that a worker ends is recorded, unless Redis refuses that",
            Self::Pause => "pause: what operators pause is paused, until its end and no longer",
            Self::Expiry => "expiry: a job that has expired is not sent, and does not wait for its flow",
            Self::Result => "result: a job that asks for a result has one when it ends, and not before",
            Self::End => "end: once faults stop, every job ends, and nothing is left of it",
        }
    }
}
