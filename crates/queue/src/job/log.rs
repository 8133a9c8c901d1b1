//! The fields of a job's log lines.

use bytes::Bytes;
use telemetry::{Describe, Subject};

use super::Job;
use super::entry::Delivery;

/// Decodes the job again for each line, so that a job without a line costs nothing.
impl Describe for Delivery {
    fn subject(&self) -> Subject {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        match Job::decode(self) {
            Ok(job) => {
                Subject { label: text(&job.label), job_id: text(&job.id), attempt: job.trail.attempts + 1 }
            }
            Err(_) => {
                let entry = self.lease.entry.to_string();
                Subject { label: entry.clone(), job_id: entry, attempt: 1 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{EntryId, Lease};

    fn subject(fields: &[(&'static str, &'static str)]) -> Subject {
        let entry = EntryId { millis: 1_795_396_101_000, sequence: 0 };
        let fields = fields.iter().map(|(name, value)| (Bytes::from(*name), Bytes::from(*value))).collect();
        Delivery::new(Lease { entry, delivery: 1, epoch: 0 }, fields).subject()
    }

    #[test]
    fn a_line_has_the_jobs_label_and_job_id() {
        let subject = subject(&[("url", "https://example.org/"), ("label", "order-17"), ("_attempt", "2")]);
        assert_eq!((subject.label.as_str(), subject.attempt), ("order-17", 3));
        assert_eq!(subject.job_id, "1795396101000-0");
    }

    #[test]
    fn a_malformed_entry_is_named_by_its_id() {
        let subject = subject(&[("url", "nowhere")]);
        assert_eq!((subject.label.as_str(), subject.attempt), ("1795396101000-0", 1));
    }
}
