//! How jobs, dead letters, queues and flows are shown: by the API, and by the command line. Secrets are masked, and
//! characters that could change how a terminal or a page shows the rest are escaped.

mod advice;
mod change;
mod cron;
mod dead;
mod dead_groups;
mod flow;
mod job;
mod log;
mod mask;
mod order;
mod pause;
mod queue;
mod tail;
mod text;
mod trace;

pub use advice::{advice, advice_for_reason};
pub use change::ChangeView;
pub use cron::CronView;
pub use dead::{DeadFilter, DeadView, dead_error, host, last_outcome};
pub use dead_groups::{DeadGroups, Group, Kind};
pub use flow::{FlowView, flow_error, is_meant, next_attempt, why, why_waiting};
pub use job::{JobView, Summary, state_name, waits_for};
pub use log::LogView;
pub use mask::{field, fields_json, hide_paths_of, line, masked, method, url};
pub use order::StoppedKeyView;
pub use pause::{PauseView, end_text, pause_end, pause_subject, pause_text, pause_words};
pub use queue::{QueueView, WorkerView, life};
pub use tail::{TailFilter, TailView};
pub use text::{brief, exact, instant, plain, span, time};
pub use trace::{trace_address, trace_id};
