//! `?wait=DURATION`: requests that wait for the outcome of their job.

use std::time::{Duration, Instant};

use http::Uri;
use postrider_queue::{JobResult, Publication, QueueName};

use crate::problem::Problem;
use crate::state::Shared;

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long the result outlives the wait, so that the last poll finds it.
const RESULT_OUTLIVES: Duration = Duration::from_secs(60);
/// The pauses between two polls: short at first, for jobs that end quickly.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// A wait that a request asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait(Duration);

impl Wait {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        match humantime::parse_duration(text) {
            Ok(wait) if wait <= WAIT_MAX => Ok(Self(wait)),
            Ok(_) => Err(Problem::parameter("wait", "parameter `wait`: write at most 60s")),
            Err(error) => {
                Err(Problem::parameter("wait", format!("parameter `wait`: {error}; write it as in 10s")))
            }
        }
    }

    /// How long the result must be kept, in ms.
    pub(super) fn result_ttl_millis(self) -> String {
        (self.0 + RESULT_OUTLIVES).as_millis().to_string()
    }

    /// The result of a job; `None` if there is none in time.
    pub(super) async fn result(
        self,
        shared: &Shared,
        queue: &QueueName,
        job: &Publication,
    ) -> Result<Option<JobResult>, Problem> {
        let (began, job_id) = (Instant::now(), job.entry.to_string());
        let shard = shared.redis.producer_shard(queue, job.shard);
        loop {
            let result = shard.result(&job_id).await?;
            if result.is_some() || began.elapsed() >= self.0 {
                return Ok(result);
            }
            tokio::time::sleep(began.elapsed().clamp(PAUSES.0, PAUSES.1)).await;
        }
    }
}

/// The wait that a request's parameters ask for; none if they are wrong, which its handler reports.
pub(super) fn asked(uri: &Uri) -> Duration {
    let parameters = uri.query().unwrap_or_default().split('&');
    let wait = parameters.filter_map(|parameter| parameter.strip_prefix("wait=")).next_back();
    wait.and_then(|wait| Wait::parse(wait).ok()).map_or(Duration::ZERO, |wait| wait.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_bounded() {
        assert_eq!(Wait::parse("60s").unwrap().result_ttl_millis(), "120000");
        assert!(Wait::parse("61s").is_err() && Wait::parse("10").is_err() && Wait::parse("").is_err());
        let asked = |uri: &'static str| asked(&Uri::from_static(uri)).as_secs();
        assert_eq!(
            (asked("/v1?wait=10s"), asked("/v1?cap=1&wait=10s"), asked("/v1?wait=9d"), asked("/v1")),
            (10, 10, 0, 0)
        );
    }
}
