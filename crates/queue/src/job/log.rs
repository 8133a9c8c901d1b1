//! The fields of a job's log lines.

use bytes::Bytes;
use telemetry::{LogContext, Value};

use super::Job;
use super::entry::Delivery;

/// Decodes the job again for each line, so that a job without a line costs nothing.
impl LogContext for Delivery {
    fn fields(&self, queue: &'static str) -> Vec<(&'static str, Value)> {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let (label, job_id, attempt) = match Job::decode(self) {
            Ok(job) => (text(&job.label), text(&job.id), job.trail.attempts + 1),
            Err(_) => {
                let entry = self.lease.entry.to_string();
                (entry.clone(), entry, 1)
            }
        };
        vec![
            ("label", label.into()),
            ("job_id", job_id.into()),
            ("queue", queue.into()),
            ("attempt", attempt.into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{EntryId, Lease};

    fn line(fields: &[(&'static str, &'static str)]) -> Vec<(&'static str, Value)> {
        let entry = EntryId { millis: 1_795_396_101_000, sequence: 0 };
        let fields = fields.iter().map(|(name, value)| (Bytes::from(*name), Bytes::from(*value))).collect();
        Delivery::new(Lease { entry, delivery: 1, epoch: 0 }, fields).fields("mail")
    }

    fn expected(label: &str, attempt: i64) -> Vec<(&'static str, Value)> {
        vec![
            ("label", label.to_owned().into()),
            ("job_id", "1795396101000-0".to_owned().into()),
            ("queue", "mail".into()),
            ("attempt", attempt.into()),
        ]
    }

    #[test]
    fn a_line_has_the_jobs_label_and_job_id() {
        let fields = line(&[("url", "https://example.org/"), ("label", "order-17"), ("_attempt", "2")]);
        assert_eq!(fields, expected("order-17", 3));
    }

    #[test]
    fn a_malformed_entry_is_named_by_its_id() {
        assert_eq!(line(&[("url", "nowhere")]), expected("1795396101000-0", 1));
    }
}
