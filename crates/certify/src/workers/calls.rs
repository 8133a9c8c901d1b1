//! The calls at which workers are killed, and which their connections lose.

use postrider_queue::admin::script_digests;

/// The calls that move jobs.
const MOVING: [&str; 16] = [
    "complete",
    "complete_with_result",
    "complete_in_line",
    "complete_with_result_in_line",
    "postpone",
    "hand_back",
    "dead_letter",
    "dead_letter_in_line",
    "promote",
    "extend",
    "reclaim",
    "admit",
    "flow_acquire",
    "flow_report",
    "cron_tick",
    "take_turns",
];

/// Names of the calls that move jobs, and parts of them as they appear on the wire.
pub(super) fn calls() -> Vec<(&'static str, Vec<u8>)> {
    let digests = script_digests().into_iter().filter(|(name, _)| MOVING.contains(name));
    let mut calls: Vec<_> = digests.map(|(name, sha1)| (name, sha1.into_bytes())).collect();
    calls.push(("XREADGROUP", b"XREADGROUP".to_vec()));
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_a_script_that_there_is() {
        assert_eq!(calls().len(), MOVING.len() + 1);
    }
}
