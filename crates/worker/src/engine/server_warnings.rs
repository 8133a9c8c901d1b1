//! What a worker finds when it starts: the server, and what endangers jobs.

use postrider_queue::Redis;
use tracing::{info, warn};

use super::WorkerConfig;

const ONE_NODE: &str = "Redis is a cluster of one node: write redis-cluster://, so that a failover or a further node \
                        stops nothing";

/// The server, and the warnings about it.
#[derive(Debug, Default)]
pub(super) struct ServerWarnings {
    /// Host and port, without user and password.
    address: String,
    /// Name and version; empty if this user may not call INFO.
    version: String,
    warnings: Vec<String>,
}

impl ServerWarnings {
    /// Asks the server. What it refuses to tell is left out: none of it is needed to work.
    pub(super) async fn of(redis: &Redis, config: &WorkerConfig) -> Self {
        let mut found = Self { address: redis.address(), ..Self::default() };
        if let Ok(info) = redis.server().await {
            found.version = info.version();
            found.warnings = info.dangers();
            if info.get("cluster_enabled") == "1" && !config.redis_url.contains("-cluster://") {
                found.warnings.push(ONE_NODE.to_owned());
            }
        }
        for queue in &config.queues {
            if let Ok(Some(stray)) = redis.stray_stream(&queue.name).await {
                found.warnings.push(stray.to_string());
            }
        }
        found
    }

    /// Logs that the worker is ready, and what is wrong with the server if no other engine of the process does.
    pub(super) fn log_start(
        &self,
        config: &WorkerConfig,
        consumer: &str,
        bytes_in_flight_max: usize,
        is_first: bool,
    ) {
        let queues: Vec<String> = config.queues.iter().map(|queue| queue.name.to_string()).collect();
        info!(
            queues = queues.join(","),
            concurrency = config.concurrency,
            bytes_in_flight_max,
            consumer,
            redis = self.address,
            server = self.version,
            "worker is ready"
        );
        if is_first {
            self.warnings.iter().for_each(|warning| warn!("{warning}"));
        }
    }
}
