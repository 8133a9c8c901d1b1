//! Renders jobs of the delivery log.

use postrider_console::view::{plain, time};
use postrider_queue::admin::LoggedJob;

use super::attempts;
use super::terminal::{self, wrapped};
use super::trace_url::TraceLinks;

/// Prints a job, with its attempts and their phases.
pub(super) fn print(job: &LoggedJob, links: &TraceLinks) {
    let width = terminal::width();
    print_line!("{}", wrapped(&first_line(job), "", width));
    print_line!("{}", wrapped(&second_line(job), "    ", width));
    let history = job.record.history_json();
    let attempts = history.as_array().map_or(&[][..], Vec::as_slice);
    attempts::print(attempts);
    links.print(attempts, job.record.trace_id.as_deref());
}

fn first_line(job: &LoggedJob) -> String {
    let record = &job.record;
    let status = record.status.map_or(String::new(), |status| format!(" with {status}"));
    let reason = record.reason.as_deref().filter(|reason| *reason != record.outcome());
    let reason = reason.map_or(String::new(), |reason| format!(" ({reason})"));
    let plural = if record.attempts == 1 { "" } else { "s" };
    let text = format!(
        "queue {}, job id {}: {} at {}{status}{reason} after {} attempt{plural}",
        job.queue,
        record.job_id,
        record.outcome(),
        time(job.ended_at),
        record.attempts,
    );
    plain(text.as_bytes(), usize::MAX).replace('\n', " ")
}

fn second_line(job: &LoggedJob) -> String {
    let record = &job.record;
    let host = record.host.as_deref().unwrap_or("an unknown destination");
    let mut text = format!("to {host}");
    if record.enqueued_at > 0 {
        text.push_str(&format!(", enqueued at {}", time(record.enqueued_at)));
    }
    let others = [
        ("label", &record.label),
        ("replay of", &record.replay_of),
        ("reports", &record.callback_of),
        ("callback", &record.callback),
    ];
    for (name, value) in others {
        text.extend(value.iter().map(|value| format!(" ({name} {value})")));
    }
    plain(text.as_bytes(), usize::MAX).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use postrider_console::view::LogView;
    use postrider_queue::admin::ShardName;
    use postrider_queue::work::LogRecord;

    use super::*;

    fn job(record: LogRecord<'static>) -> LoggedJob {
        let queue = ShardName { queue: "mail".parse().unwrap(), number: 0 };
        LoggedJob { queue, ended_at: 1_795_396_101_000, record }
    }

    #[test]
    fn a_job_has_its_outcome_and_its_destination() {
        let delivered = job(LogRecord {
            job_id: "7-0".into(),
            status: Some(200),
            attempts: 1,
            host: Some("h:8080".into()),
            label: Some("order-1".into()),
            enqueued_at: 1_795_396_100_000,
            ..LogRecord::default()
        });
        let line = "queue mail, job id 7-0: succeeded at 2026-11-23T01:08:21.000Z with 200 after 1 attempt";
        assert_eq!(first_line(&delivered), line);
        assert_eq!(
            second_line(&delivered),
            "to h:8080, enqueued at 2026-11-23T01:08:20.000Z (label order-1)"
        );
        let dead = LogRecord { job_id: "8-0".into(), reason: Some("refused".into()), ..LogRecord::default() };
        assert!(first_line(&job(dead.clone())).ends_with("Z (refused) after 0 attempts"));
        let cancelled = LogRecord { reason: Some("cancelled".into()), ..dead };
        assert!(first_line(&job(cancelled.clone())).ends_with("000Z after 0 attempts"));
        assert_eq!(second_line(&job(cancelled.clone())), "to an unknown destination");
        assert_eq!(LogView::new(&job(cancelled)).enqueued_at, None);
    }

    #[test]
    fn a_forged_record_cannot_control_a_terminal() {
        let forged = job(LogRecord {
            job_id: "\u{1b}[2J".into(),
            host: Some("a\nb\u{7}".into()),
            ..LogRecord::default()
        });
        assert!(first_line(&forged).contains("\\u{1b}[2J") && !first_line(&forged).contains('\u{1b}'));
        assert_eq!(second_line(&forged), "to a b\\u{7}");
    }
}
