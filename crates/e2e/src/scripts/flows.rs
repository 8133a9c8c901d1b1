//! The scripts of flows.

use super::{Call, FLOW, RunningJob, Script};

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
    /// Whether to skip hold and breaker.
    pub is_past_breaker: bool,
    /// Whether the tokens were taken before.
    pub is_paid: bool,
    /// The kind of the job, for a second opinion.
    pub kind: &'a str,
}

/// A report to [`FLOW`] by a consumer.
#[derive(Clone, Copy, Debug)]
pub enum Report<'a> {
    /// There was a response.
    Works,
    /// There was none, for these kinds of jobs. The breaker is open for 5 s the first time and at most for 60 s.
    Fails(&'a str),
    /// The destination asked to wait for this time, ms, at most a minute. It accepted that many attempts in the
    /// last second.
    Asks(u32, u32),
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
            is_paid: false,
            kind: "",
        }
    }
}

impl Call {
    /// Holds a running job in the set of [`FLOW`], which is due within a minute.
    pub fn postpone_into_flow(held: &RunningJob, fields: &[(&str, &str)]) -> Call {
        let mut call = Call::settle(Script::Postpone, held, fields);
        call.keys[2] = super::key(&format!("flow:{FLOW}"));
        call.keys[3] = super::key("flows");
        call.keys[4] = super::key("expiring");
        call.args[5] = b"flow".to_vec();
        call.args[6] = b"60000".to_vec();
        call
    }

    /// The same for a job that has failed before, and expires at a time, Unix ms.
    pub fn postpone_failed(held: &RunningJob, fields: &[(&str, &str)], failures: u32, expires: i64) -> Call {
        let mut call = Call::postpone_into_flow(held, fields);
        call.args[9] = (2 * failures).to_string().into_bytes();
        call.args[10] = expires.to_string().into_bytes();
        call
    }

    /// Admits `count` jobs of [`FLOW`], and also these, which have expired.
    pub fn admit(count: u32, expired: &[&str]) -> Call {
        let set = format!("flow:{FLOW}");
        let keys = ["jobs", "waiting", &set, "rejected", "flows", "expiring", "stats"];
        let count = count.to_string();
        let args = [&[FLOW, &count, "yes", "1000", "0"], expired].concat();
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
            b"60000".to_vec(),
            text(ask.is_paid.into()),
            ask.kind.into(),
        ];
        Call { script: Script::FlowAcquire, keys: vec![flow_key()], args }
    }

    /// Reports to [`FLOW`] as a consumer.
    pub fn flow_report(consumer: &str, report: Report<'_>) -> Call {
        let (what, rest) = match report {
            Report::Works => ("works", [String::new(), String::new(), String::new(), String::new()]),
            Report::Fails(kinds) => {
                ("fails", ["5000".to_owned(), "60000".to_owned(), "1".to_owned(), kinds.to_owned()])
            }
            Report::Asks(wait, accepted) => {
                ("asks", [wait.to_string(), "60000".to_owned(), accepted.to_string(), String::new()])
            }
        };
        let mut args: Vec<Vec<u8>> =
            [what, consumer, "h:80", "it does not answer"].map(|arg| arg.into()).to_vec();
        args.extend(rest.map(String::into_bytes));
        Call { script: Script::FlowReport, keys: vec![flow_key()], args }
    }

    /// Returns a granted attempt to [`FLOW`], and a token up to `burst`.
    pub fn flow_release(is_trial: bool, burst: u32) -> Call {
        let args = vec![u8::from(is_trial).to_string().into_bytes(), burst.to_string().into_bytes()];
        Call { script: Script::FlowRelease, keys: vec![flow_key()], args }
    }

    /// Reads a page of waiting jobs.
    pub fn sweep(cursor: &str) -> Call {
        Call::new(Script::Sweep, &["waiting", "scheduled", "mark"], &[cursor, "100", "4096", super::MARK])
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
