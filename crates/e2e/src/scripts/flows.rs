//! The scripts of flows.

use super::{Call, FLOW, Held, Script};

/// The key of the state of [`FLOW`] that all workers share.
pub fn flow_key() -> String {
    format!("postrider:flow:{{{FLOW}}}")
}

/// A worker's request to a flow, with the flow's limits.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The consumer that asks.
    pub consumer: &'a str,
    /// The number of its current attempts.
    pub making: u32,
    /// The number of further attempts it asks for.
    pub more: u32,
    /// Whether it makes the attempts itself.
    pub is_made: bool,
    /// Tokens per second, 0 for no limit.
    pub rate: u32,
    /// Tokens at most.
    pub burst: u32,
    /// Concurrent attempts at most, 0 for no limit.
    pub most: u32,
    /// Whether to skip the breaker.
    pub is_past_breaker: bool,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self {
            consumer: "a",
            making: 0,
            more: 1,
            is_made: true,
            rate: 0,
            burst: 0,
            most: 0,
            is_past_breaker: false,
        }
    }
}

impl Call {
    /// Holds a running job in the set of [`FLOW`], which is due within a minute.
    pub fn postpone_into_flow(held: &Held, fields: &[(&str, &str)]) -> Call {
        let mut call = Call::settle(Script::Postpone, held, fields);
        call.keys[2] = super::key(&format!("flow:{FLOW}"));
        call.keys[3] = super::key("flows");
        call.args[5] = b"flow".to_vec();
        call.args[6] = b"60000".to_vec();
        call
    }

    /// Admits `count` jobs of [`FLOW`], and also those enqueued before `older_than`, Unix ms.
    pub fn admit(count: u32, older_than: u64) -> Call {
        let set = format!("flow:{FLOW}");
        let keys = ["jobs", "waiting", &set, "dead", "flows"];
        let args = [FLOW, &count.to_string(), "yes", "1000", &older_than.to_string()];
        Call::new(Script::Admit, &keys, &args)
    }

    /// Asks [`FLOW`] for attempts. A trial may take 30 s, and the breaker is open for at most 60 s.
    pub fn flow_acquire(ask: Ask<'_>) -> Call {
        let text = |number: u32| number.to_string().into_bytes();
        let args = vec![
            ask.consumer.into(),
            text(ask.making),
            text(ask.more),
            text(ask.is_made.into()),
            text(ask.rate),
            text(ask.burst),
            text(ask.most),
            b"30000".to_vec(),
            text(ask.is_past_breaker.into()),
            b"60000".to_vec(),
        ];
        Call { script: Script::FlowAcquire, keys: vec![flow_key()], args }
    }

    /// Reports an outcome to the breaker of [`FLOW`], which is open for 5 s the first time and at most for 60
    /// s.
    pub fn flow_report(works: bool) -> Call {
        let what = if works { "works" } else { "fails" };
        let args = [what, "5000", "60000", "1", "h:80", "it does not answer"]
            .map(|arg| arg.as_bytes().to_vec())
            .to_vec();
        Call { script: Script::FlowReport, keys: vec![flow_key()], args }
    }

    /// Returns a granted attempt to [`FLOW`], and a token up to `burst`.
    pub fn flow_release(is_trial: bool, burst: u32) -> Call {
        let args = vec![u8::from(is_trial).to_string().into_bytes(), burst.to_string().into_bytes()];
        Call { script: Script::FlowRelease, keys: vec![flow_key()], args }
    }

    /// Reads a page of waiting jobs.
    pub fn sweep(cursor: &str) -> Call {
        Call::new(Script::Sweep, &["waiting", "scheduled"], &[cursor, "100", "4096"])
    }

    /// Makes these jobs due if they are orphans. [`FLOW`] is their flow.
    pub fn requeue(job_ids: &[String]) -> Call {
        let set = format!("flow:{FLOW}");
        let args: Vec<&str> = job_ids.iter().flat_map(|job_id| [job_id.as_str(), "1"]).collect();
        Call::new(Script::Requeue, &["waiting", "scheduled", "flows", &set], &args)
    }

    /// Claims entries that are pending for no consumer, after that one. They have been idle for a second.
    pub fn claim_lost(consumer: &str, after: &str) -> Call {
        Call::new(Script::ClaimLost, &["jobs"], &[super::GROUP, consumer, after, "100", "1000"])
    }
}
