//! The transitions of a job in Redis. Each is one script. Unstable: only for the crates of this project.

mod bounds;
mod complete;
mod fetch;
mod flow;
mod line;
mod notice;
mod promoted;
mod settle;
mod stats;
mod sweep;
mod sweep_lines;
mod transition;
mod wait_reason;

pub use crate::redis::{
    Clock, Consumer, Control, Link, LogBounds, Operation, Operations, QueueShard, Receives, ServerInfo,
    Settled, ShardCounts, Spans, Stray, Warnings, is_answer, is_refusal,
};
pub use crate::trail::{
    CallbackBody, CallbackJob, Kept, LogRecord, Phases, TraceparentOnly, fields, history,
};
pub use fetch::{DELIVERIES_MAX, Reclaimed};
pub use flow::{Admission, AdmissionOrder, BreakerState, FlowLimit, FlowReport, FlowRequest, Grant};
pub use line::{InLine, StopNote, TURNS_MAX, Turn};
pub use notice::{FailingFlow, Notice};
pub use promoted::Promoted;
pub use stats::QueueStats;
pub use sweep::{Claimed, SweepPosition, Swept};
pub use sweep_lines::{LostSearch, SweptLines, SweptWaiting};
pub use transition::{KeptResult, Transition, WaitingJob};
pub use wait_reason::WaitReason;

pub(crate) use bounds::push_bounds;
