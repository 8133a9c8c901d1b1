//! The scripts of producers and tools.

use super::{Call, FLOW, GROUP, MARK, Script, key_of};

/// The number of dead letters kept, their bytes, their lifetime, the lifetime of a result (both ms), and the result.
pub(super) const BOUNDS: [&str; 5] = ["100000", "536870912", "2592000000", "60000", "{}"];

impl Call {
    /// Enqueues a job, once per idempotency key.
    pub fn enqueue(idempotency_key: &str, cap: u32, fields: &[(&str, &str)]) -> Call {
        let keys = ["jobs", "waiting", &format!("key:{idempotency_key}")];
        Call::new(Script::Enqueue, &keys, &["60000", &cap.to_string(), "0"]).with_fields(fields)
    }

    /// Enqueues a job under an idempotency key in one shard, for a producer that knows of that number of changes of the number
    /// of shards.
    pub fn enqueue_in(shard: u32, idempotency_key: &str, changes: u64, fields: &[(&str, &str)]) -> Call {
        let keys = ["jobs", "waiting", &format!("key:{idempotency_key}")].map(|what| key_of(shard, what));
        let call = Call::new(Script::Enqueue, &[], &["60000", "0", &changes.to_string()]);
        Call { keys: keys.into(), ..call }.with_fields(fields)
    }

    /// Claims an idempotency key in one shard, for such a producer.
    pub fn claim_key(shard: u32, idempotency_key: &str, changes: u64) -> Call {
        let call = Call::new(Script::ClaimKeys, &[], &[&changes.to_string(), "60000"]);
        Call { keys: vec![key_of(shard, &format!("key:{idempotency_key}"))], ..call }
    }

    /// Reads how often the number of shards has changed, the number, and former ones.
    pub fn key_homes() -> Call {
        Call::new(Script::KeyHomes, &["meta"], &["60000"])
    }

    /// Sets the number of shards.
    pub fn reshard(shards: u32) -> Call {
        Call::new(Script::Reshard, &["meta"], &[&shards.to_string()])
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

    /// Enqueues jobs in a call of a series, or in one without others.
    pub fn enqueue_in_series(number: Option<u32>, jobs: &[&[(&str, &str)]]) -> Call {
        let keys = if number.is_some() { &["jobs", "series:1"][..] } else { &["jobs"] };
        let before = number.unwrap_or(0).to_string();
        jobs.iter().fold(Call::new(Script::EnqueueInSeries, keys, &[&before, "60000"]), |mut call, fields| {
            call.args.push((2 * fields.len()).to_string().into_bytes());
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
