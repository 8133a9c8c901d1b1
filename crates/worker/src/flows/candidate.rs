//! A job that seeks to pass its flow. Pure.

use postrider_queue::job::FlowId;

use super::evidence::JobKind;

/// Position of a job among the jobs of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The flow holds no jobs.
    Free,
    /// The flow holds other jobs, which return at the end of the stream.
    Behind,
    /// The job was held, and is admitted.
    Admitted,
}

/// A job that seeks to pass its flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) flow: FlowId,
    pub(crate) line: Line,
    pub(crate) kind: JobKind,
    /// Whether it has failed before.
    pub(crate) has_failed: bool,
    /// Whether all workers share a limit of its flow.
    pub(crate) is_shared: bool,
}

#[cfg(test)]
impl Candidate {
    /// A new job of a flow without limits.
    pub(super) fn of(flow: FlowId) -> Self {
        Self { flow, line: Line::Free, kind: JobKind::default(), has_failed: false, is_shared: false }
    }
}
