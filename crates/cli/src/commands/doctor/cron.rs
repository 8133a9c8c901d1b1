//! Definitions of periodic jobs that make none. Pure.

use postrider_console::view::{CronView, plain, span};
use postrider_queue::admin::Cron;

use super::Finding;

const CHECK: &str = "cron";
/// A later tick has no worker.
const LATE_MS: u64 = 60_000;

/// A finding for each definition that is wrong, late or paused.
pub(super) fn examine(all: &[Cron], now: u64) -> Vec<Finding> {
    all.iter().filter_map(|cron| of(cron, now)).collect()
}

fn of(cron: &Cron, now: u64) -> Option<Finding> {
    let name = plain(cron.name.as_bytes(), 64);
    let finding = match (CronView::new(cron, false).error, cron.paused_since, cron.next) {
        (Some(error), ..) => {
            let seen = format!("the definition {name} makes no jobs: {error}");
            Finding::error(CHECK, seen, "correct it with `postrider cron apply`, or upgrade this program")
        }
        (None, Some(since), _) => {
            let advice = format!("`postrider cron resume {name} --queue {}` lets it tick again", cron.queue);
            Finding::warn(CHECK, format!("the definition {name} is paused for {}", span(since, now)), advice)
        }
        (None, None, Some(next)) if next + LATE_MS < now => {
            let seen = format!("the tick of {name} is late by {}: no worker makes its job", span(next, now));
            Finding::error(
                CHECK,
                seen,
                format!("start `postrider worker --queue {}`, or see its log", cron.queue),
            )
        }
        _ => return None,
    };
    Some(Finding { queue: Some(cron.queue.to_string()), ..finding })
}

#[cfg(test)]
mod tests {
    use postrider_queue::cron::Definition;

    use super::super::Level;
    use super::*;

    const NOW: u64 = 1_795_396_101_000;

    fn found(text: &str, next: Option<u64>, paused_since: Option<u64>) -> Option<(Level, String)> {
        let cron = Cron {
            queue: "mail".parse().unwrap(),
            name: "nightly".to_owned(),
            definition: Definition::parse(text, 1 << 20),
            text: text.to_owned(),
            next,
            last_job: None,
            paused_since,
            made: 0,
            missed: 0,
            skipped: 0,
        };
        examine(&[cron], NOW).pop().map(|finding| (finding.level, finding.seen))
    }

    #[test]
    fn a_definition_that_makes_no_jobs_is_found() {
        let good = r#"{"every":"5m","job":{"url":"http://h/x"}}"#;
        assert_eq!(found(good, Some(NOW - LATE_MS), None), None);
        let (level, seen) = found(good, Some(NOW - 120_000), None).unwrap();
        assert_eq!(
            (level, seen.as_str()),
            (Level::Error, "the tick of nightly is late by 2m: no worker makes its job")
        );
        let (level, seen) = found(good, None, Some(NOW - 5_000)).unwrap();
        assert_eq!((level, seen.as_str()), (Level::Warn, "the definition nightly is paused for 5s"));
        let (level, seen) = found(r#"{"every":"soon"}"#, Some(NOW), None).unwrap();
        assert!(level == Level::Error && seen.contains("makes no jobs: every: "), "{seen}");
    }
}
