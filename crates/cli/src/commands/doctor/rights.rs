//! Checks the rights of the user. Pure.

use super::{Finding, Level};

/// Commands that only `queues`, `jobs`, `dead` and `doctor` call, or that the worker can do without. Without
/// the last two, a worker stops only when its blocking read ends, up to five seconds later.
const NOT_NEEDED_TO_WORK: [&str; 10] = [
    "SCAN",
    "XREVRANGE",
    "XINFO|STREAM",
    "XINFO|CONSUMERS",
    "XTRIM",
    "HSCAN",
    "ZSCORE",
    "EXISTS",
    "CLIENT|ID",
    "CLIENT|UNBLOCK",
];

/// Reports the commands that the user may not call.
pub(super) fn examine(refused: &[(String, String)]) -> Vec<Finding> {
    if refused.is_empty() {
        return vec![Finding::ok("rights", "this user may call all needed commands")];
    }
    let finding = |(command, answer): &(String, String)| {
        let level = if NOT_NEEDED_TO_WORK.contains(&command.as_str()) { Level::Warn } else { Level::Error };
        let advice = format!("ACL SETUSER … +{} ~postrider:*", command.to_ascii_lowercase());
        Finding { level, ..Finding::error("rights", format!("{command}: {answer}"), advice) }
    };
    refused.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_that_only_the_tools_need_is_a_warning() {
        let levels: Vec<_> = examine(&[("XADD".into(), "no".into()), ("SCAN".into(), "no".into())])
            .iter()
            .map(|finding| finding.level)
            .collect();
        assert_eq!(levels, [Level::Error, Level::Warn]);
    }
}
