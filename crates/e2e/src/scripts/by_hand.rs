//! The scripts of producers and tools.

use super::{Call, FLOW, GROUP, MARK, Script};

/// The number of dead letters kept, their bytes, their lifetime, the lifetime of a result (both ms), and the result.
pub(super) const BOUNDS: [&str; 5] = ["100000", "536870912", "2592000000", "60000", "{}"];

impl Call {
    /// Enqueues a job, once per idempotency key.
    pub fn enqueue(idempotency_key: &str, cap: u32, fields: &[(&str, &str)]) -> Call {
        let keys = ["jobs", "waiting", &format!("key:{idempotency_key}")];
        Call::new(Script::Enqueue, &keys, &["60000", &cap.to_string(), "0"]).with_fields(fields)
    }

    /// Enqueues jobs together, each with an idempotency key or an empty text.
    pub fn enqueue_all(jobs: &[(&str, &[(&str, &str)])]) -> Call {
        let keys: Vec<String> =
            jobs.iter().filter(|(key, _)| !key.is_empty()).map(|(key, _)| format!("key:{key}")).collect();
        let keys: Vec<&str> = ["jobs"].into_iter().chain(keys.iter().map(String::as_str)).collect();
        jobs.iter().fold(Call::new(Script::EnqueueAll, &keys, &[]), |mut call, (key, fields)| {
            let ttl = if key.is_empty() { "0" } else { "60000" };
            let count = (2 * fields.len()).to_string();
            call.args.extend([ttl, "0", &count].map(|argument| argument.as_bytes().to_vec()));
            call.with_fields(fields)
        })
    }

    /// Cancels a job in the stream.
    pub fn cancel_ready(entry: &str) -> Call {
        let args = [&[GROUP, entry, entry, "given up"], &BOUNDS[..]].concat();
        let keys = ["jobs", "dead", "sizes", &format!("result:{entry}"), "mark", "stats"];
        Call::new(Script::CancelReady, &keys, &args)
    }

    /// Cancels a job in the schedule.
    pub fn cancel_scheduled(job_id: &str) -> Call {
        Call::cancel_waiting(job_id, "scheduled", "scheduled")
    }

    /// Cancels a job that [`FLOW`] holds.
    pub fn cancel_held(job_id: &str) -> Call {
        Call::cancel_waiting(job_id, &format!("flow:{FLOW}"), "flows")
    }

    fn cancel_waiting(job_id: &str, set: &str, flows: &str) -> Call {
        let result = format!("result:{job_id}");
        let keys = ["waiting", set, "dead", "sizes", &result, flows, "stats", "jobs", "mark"];
        Call::new(Script::CancelWaiting, &keys, &[&[job_id, "given up"], &BOUNDS[..]].concat())
    }

    /// Runs a scheduled job now.
    pub fn run_scheduled_now(job_id: &str) -> Call {
        let keys = ["jobs", "waiting", "scheduled", "scheduled"];
        Call::new(Script::RunNow, &keys, &[job_id, "yes"])
    }

    /// Runs a job now that [`FLOW`] holds.
    pub fn run_held_now(job_id: &str) -> Call {
        let keys = ["jobs", "waiting", &format!("flow:{FLOW}"), "flows"];
        Call::new(Script::RunNow, &keys, &[job_id, "yes"])
    }

    /// Enqueues a dead letter as a new job.
    pub fn replay(entry: &str) -> Call {
        Call::new(Script::Replay, &["jobs", "dead", "mark"], &[entry, "0", "", MARK])
    }
}
