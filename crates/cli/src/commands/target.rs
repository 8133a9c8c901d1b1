//! The target of commands that inspect queues: which queues, and how to reach them.

use std::error::Error;

use clap::Args;
use postrider_queue::admin::{Inspector, Shard};
use postrider_queue::{BadQueueName, ConnectError, QueueName};
use telemetry::Telemetry;

use super::RedisArgs;

/// Which queues, and where Redis is.
#[derive(Debug, Args)]
pub(super) struct LookArgs {
    #[command(flatten)]
    redis: RedisArgs,
    /// Queue; repeatable [default: all queues in this Redis]
    #[arg(long, env = "POSTRIDER_QUEUE", value_delimiter = ',', value_parser = name, value_name = "NAME")]
    queue: Vec<QueueName>,
}

/// A connection, and the queues to inspect.
#[derive(Debug)]
pub(super) struct View {
    pub(super) inspector: Inspector,
    /// Each shard separately.
    pub(super) queues: Vec<Shard>,
}

/// Redis does not let this user look for queues.
#[derive(Debug, thiserror::Error)]
#[error("cannot look for queues; name yours with --queue, or allow this user +scan")]
pub(super) struct CannotSearch(#[from] postrider_queue::Error);

impl LookArgs {
    /// Whether queues were named.
    pub(super) fn names_queues(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) async fn open(&self, telemetry: &Telemetry) -> Result<View, Box<dyn Error>> {
        let inspector = self.connect(telemetry).await?;
        let queues = self.queues(&inspector).await?;
        if queues.is_empty() {
            eprintln!("note: no queue was found: no job has been enqueued yet, or this is another Redis");
        }
        Ok(View { inspector, queues })
    }

    pub(super) async fn connect(&self, telemetry: &Telemetry) -> Result<Inspector, ConnectError> {
        Inspector::connect(&self.redis.redis_url, telemetry).await
    }

    /// The named queues; without names, all queues that are found.
    pub(super) async fn queues(&self, inspector: &Inspector) -> Result<Vec<Shard>, CannotSearch> {
        if !self.queue.is_empty() {
            let mut shards = Vec::new();
            for queue in &self.queue {
                shards.extend(inspector.shards(queue).await?);
            }
            return Ok(shards);
        }
        let (found, cut) = inspector.queues().await?;
        if cut {
            eprintln!(
                "note: Redis holds many other keys, and the search for queues stopped early; name yours with --queue"
            );
        }
        Ok(found)
    }
}

impl View {
    /// The names, for a sentence.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.queues.iter().map(Shard::to_string).collect();
        if names.is_empty() { "no queue".to_owned() } else { names.join(", ") }
    }
}

/// A queue's name. The worker's variable may append a weight, as in `mail:4`, which is ignored here.
pub(super) fn name(text: &str) -> Result<QueueName, BadQueueName> {
    text.split(':').next().unwrap_or(text).parse()
}
