//! Flows.

use super::{Call, Log, Shard};
use crate::redis::Bytes;

/// The id of a flow, as it appears in keys.
pub(crate) const FLOW: &str = "0123456789abcdef";

/// What a worker reports to a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Report {
    Works,
    Fails { pause_ms: u64 },
    Asks { wait_ms: u64, accepted: u64 },
}

impl Shard {
    /// Moves held jobs of a flow to the stream, and those in `expired` in addition.
    pub(crate) fn admit(
        self,
        flow: &str,
        jobs: u64,
        failed: i64,
        again_ms: u64,
        expired: &[Bytes],
        log: Option<Log>,
    ) -> Call {
        let set = format!("flow:{flow}");
        let keys = ["jobs", "waiting", &set, "rejected", "flows", "expiring", "stats"];
        let arguments =
            [flow.to_owned(), jobs.to_string(), "1".to_owned(), again_ms.to_string(), failed.to_string()];
        self.call("admit", &keys, &arguments).with_log(self, log, None).with(expired)
    }
}

impl Call {
    fn flow(script: &'static str, arguments: &[&str]) -> Call {
        let key = format!("postrider:flow:{{{FLOW}}}").into_bytes();
        let arguments = arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect();
        Call { script, keys: vec![key], arguments }
    }

    /// Asks for attempts of a flow, by a consumer that makes `making` now.
    pub(crate) fn flow_acquire(consumer: &str, making: u64, more: u64, rate: u64, most: u64) -> Call {
        let [making, more, rate, most] = [making, more, rate, most].map(|number| number.to_string());
        let rest = ["30000", "0", "60000", "900000", "0", ""];
        Self::flow("flow_acquire", &[&[consumer, &making, &more, "1", &rate, "2", &most], &rest[..]].concat())
    }

    /// Gives a grant back.
    pub(crate) fn flow_release(is_trial: bool) -> Call {
        Self::flow("flow_release", &[if is_trial { "1" } else { "0" }, "2"])
    }

    /// Reports to a flow.
    pub(crate) fn flow_report(consumer: &str, report: Report) -> Call {
        let (what, rest) = match report {
            Report::Works => ("works", vec![]),
            Report::Fails { pause_ms } => {
                ("fails", vec![pause_ms.to_string(), "60000".into(), "1".into(), " 1 ".into()])
            }
            Report::Asks { wait_ms, accepted } => {
                ("asks", vec![wait_ms.to_string(), "900000".into(), accepted.to_string()])
            }
        };
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        Self::flow("flow_report", &[&[what, consumer, "a host", "an error"], &rest[..]].concat())
    }
}
