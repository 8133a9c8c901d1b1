//! The limits of a job that its producer and its worker share.

use clap::Args;
use postrider_queue::job::{ENTRY_BYTES_MAX, Fields, Job};

use super::Usage;
use crate::units::job_size;

/// The limits of a job.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct JobLimits {
    /// Maximum size of a job's fields together, 64KiB to 64MiB: the same for all workers of a queue
    #[arg(
        long,
        env = "POSTRIDER_MAX_JOB_BYTES",
        default_value = "4MiB",
        value_parser = job_size,
        value_name = "SIZE"
    )]
    pub(super) max_job_bytes: usize,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self { max_job_bytes: ENTRY_BYTES_MAX }
    }
}

impl JobLimits {
    /// The worker's own check, before the job is enqueued.
    pub(super) fn check(self, fields: &Fields) -> Result<(), Usage> {
        Job::check(fields, self.max_job_bytes).map_err(|malformed| Usage(malformed.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_checked_against_the_limit() {
        let body = "x".repeat(ENTRY_BYTES_MAX);
        let fields: Fields = vec![("url".into(), "http://h/".into()), ("body".into(), body.into())];
        let error = JobLimits::default().check(&fields).unwrap_err().to_string();
        assert!(error.ends_with("at most 4194304"), "{error}");
        JobLimits { max_job_bytes: 2 * ENTRY_BYTES_MAX }.check(&fields).unwrap();
    }
}
