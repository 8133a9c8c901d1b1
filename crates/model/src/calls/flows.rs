//! Flows.

use super::{Call, Log, Shard};
use crate::redis::Bytes;

/// The id of a flow, as it appears in keys.
pub(crate) const FLOW: &str = "0123456789abcdef";

/// How many tokens the bucket of a flow holds.
const BURST: &str = "2";
/// How long a trial may take, ms.
pub(crate) const TRIAL_MS: u64 = 30_000;
/// The longest pause of a breaker, ms.
const PAUSE_MS_MAX: u64 = 60_000;

/// The limits of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FlowLimits {
    /// Tokens a second, `0` for no limit.
    pub(crate) rate: &'static str,
    /// Attempts at once over all workers, 0 for no limit.
    pub(crate) most: u64,
}

/// What a worker asks of a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// How many attempts it makes now.
    pub(crate) making: u64,
    /// How many more it wants to make.
    pub(crate) more: u64,
    /// Whether it makes them itself and now.
    pub(crate) is_made: bool,
    /// Whether their tokens were taken before.
    pub(crate) is_paid: bool,
    /// Whether the breaker let them pass before.
    pub(crate) is_past_breaker: bool,
    pub(crate) limits: FlowLimits,
}

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

    /// Asks for attempts of a flow.
    pub(crate) fn flow_acquire(consumer: &str, ask: Ask) -> Call {
        let flag = |is: bool| if is { "1" } else { "0" };
        // A job whose tokens were taken before asks for none of the configured rate.
        let rate = if ask.is_paid { "0" } else { ask.limits.rate };
        let [making, more, most, trial, longest] =
            [ask.making, ask.more, ask.limits.most, TRIAL_MS, PAUSE_MS_MAX].map(|number| number.to_string());
        let limits = [rate, BURST, &most, &trial, flag(ask.is_past_breaker), &longest, "900000"];
        let own = [consumer, &making, &more, flag(ask.is_made)];
        Self::flow("flow_acquire", &[&own[..], &limits, &[flag(ask.is_paid), ""]].concat())
    }

    /// Gives a grant back.
    pub(crate) fn flow_release(is_trial: bool) -> Call {
        Self::flow("flow_release", &[if is_trial { "1" } else { "0" }, BURST])
    }

    /// Reports to a flow.
    pub(crate) fn flow_report(consumer: &str, report: Report) -> Call {
        let (what, rest) = match report {
            Report::Works => ("works", vec![]),
            Report::Fails { pause_ms } => {
                ("fails", vec![pause_ms.to_string(), PAUSE_MS_MAX.to_string(), "1".into(), " 1 ".into()])
            }
            Report::Asks { wait_ms, accepted } => {
                ("asks", vec![wait_ms.to_string(), "900000".into(), accepted.to_string()])
            }
        };
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        Self::flow("flow_report", &[&[what, consumer, "a host", "an error"], &rest[..]].concat())
    }
}
