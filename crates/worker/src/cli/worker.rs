//! `postrider worker`

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use telemetry::Telemetry;

use super::{RedisArgs, duration};
use crate::egress::{Allow, Egress};
use crate::queue::QueueName;
use crate::retry::RetryPolicy;
use crate::sender::SenderConfig;
use crate::shutdown;
use crate::worker::{self, WorkerConfig};

/// Take jobs out of Redis and deliver them, until SIGTERM or SIGINT
#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    redis: RedisArgs,
    /// Which queue to read; may be given several times
    #[arg(
        long,
        env = "POSTRIDER_QUEUE",
        value_delimiter = ',',
        default_value = "default",
        value_name = "NAME"
    )]
    queue: Vec<QueueName>,
    /// How many requests are in flight at once, over all queues
    #[arg(long, env = "POSTRIDER_CONCURRENCY", default_value = "64", value_parser = at_least_one, value_name = "N")]
    concurrency: usize,
    /// How long a job stays with a worker that gives no sign of life
    #[arg(long, env = "POSTRIDER_LEASE", default_value = "30s", value_parser = lease, value_name = "DURATION")]
    lease: Duration,
    /// How long requests in flight may go on after the signal to stop
    #[arg(long, env = "POSTRIDER_SHUTDOWN_TIMEOUT", default_value = "25s", value_parser = duration, value_name = "DURATION")]
    shutdown_timeout: Duration,
    /// Which addresses jobs may reach besides public ones: NET, HOST, or either with :PORT; may be given
    /// several times
    #[arg(long, env = "POSTRIDER_EGRESS_ALLOW", value_delimiter = ',', value_parser = allow, value_name = "RULE")]
    egress_allow: Vec<Option<Allow>>,
    /// The deadline of an attempt whose job has no `timeout_ms`
    #[arg(long, env = "POSTRIDER_TIMEOUT", default_value = "30s", value_parser = duration, value_name = "DURATION")]
    timeout: Duration,
    /// How many attempts a job has that has no `max_attempts`
    #[arg(long, env = "POSTRIDER_MAX_ATTEMPTS", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    max_attempts: u32,
    /// The longest wait before the second attempt; it doubles with each further one
    #[arg(long, env = "POSTRIDER_RETRY_BASE", default_value = "1s", value_parser = duration, value_name = "DURATION")]
    retry_base: Duration,
    /// The longest wait before any attempt
    #[arg(long, env = "POSTRIDER_RETRY_CAP", default_value = "1h", value_parser = duration, value_name = "DURATION")]
    retry_cap: Duration,
}

impl WorkerArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let shutdown = shutdown::listen()?;
        worker::run(self.config(), telemetry, shutdown.stop, shutdown.hurry).await?;
        Ok(ExitCode::SUCCESS)
    }

    fn config(self) -> WorkerConfig {
        let mut queues = self.queue;
        let mut seen = Vec::new();
        queues.retain(|queue| {
            !seen.contains(queue) && {
                seen.push(queue.clone());
                true
            }
        });
        WorkerConfig {
            redis_url: self.redis.redis_url,
            queues,
            concurrency: self.concurrency,
            lease: self.lease,
            shutdown_timeout: self.shutdown_timeout,
            sender: SenderConfig {
                timeout: self.timeout,
                connect_timeout: Duration::from_secs(10),
                egress: Egress { allow: self.egress_allow.into_iter().flatten().collect() },
            },
            retry: RetryPolicy {
                base: self.retry_base,
                cap: self.retry_cap,
                max_attempts: self.max_attempts,
            },
        }
    }
}

/// An empty variable is no rule, as in `POSTRIDER_EGRESS_ALLOW=`.
fn allow(text: &str) -> Result<Option<Allow>, crate::egress::BadRule> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=100_000) => Ok(number),
        _ => Err("write a whole number from 1 to 100000".to_owned()),
    }
}

/// Shorter than this, a pause of the scheduler's or the network's would lose leases.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text)?;
    if lease < Duration::from_millis(500) {
        return Err("a lease must be at least 500ms".to_owned());
    }
    Ok(lease)
}
