//! The target of commands that inspect queues: which queues, and how to reach them.

use std::cell::Cell;
use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use postrider_queue::admin::{Inspector, Pauses, Queues, ShardName, is_of_wrong_type};
use postrider_queue::job::meant;
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
    pub(super) queues: Vec<ShardName>,
    /// Whether a queue was left out.
    is_incomplete: Cell<bool>,
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
        Ok(View { inspector, queues, is_incomplete: Cell::new(false) })
    }

    pub(super) async fn connect(&self, telemetry: &Telemetry) -> Result<Inspector, ConnectError> {
        Inspector::connect(self.redis.url(), telemetry).await
    }

    /// The named queues; without names, all queues that are found. Notes on standard error report what is wrong.
    pub(super) async fn queues(&self, inspector: &Inspector) -> Result<Vec<ShardName>, CannotSearch> {
        let found = self.search(inspector).await?;
        if found.is_incomplete {
            eprintln!(
                "note: Redis holds many other keys, and the search for queues stopped early; name yours with --queue"
            );
        }
        found.strays.iter().for_each(|stray| eprintln!("note: {stray}"));
        Ok(found.shards)
    }

    /// A misspelt name looks like an empty queue.
    async fn say_unknown(&self, inspector: &Inspector, queue: &QueueName) {
        let hint = meant_queue(inspector, queue).await;
        eprintln!("note: there is no queue {queue} in this Redis: no job has been enqueued there{hint}");
    }

    /// The same, without most notes.
    pub(super) async fn search(&self, inspector: &Inspector) -> Result<Queues, CannotSearch> {
        if self.queue.is_empty() {
            return Ok(inspector.queues().await?);
        }
        let mut found = Queues::default();
        for queue in &self.queue {
            if !inspector.exists(queue).await? {
                self.say_unknown(inspector, queue).await;
            }
            found.shards.extend(inspector.shards(queue).await?);
            // A user may lack the right to read such a key.
            found.strays.extend(inspector.stray_stream(queue).await.ok().flatten());
        }
        Ok(found)
    }
}

impl View {
    /// The result of `look` for each queue. A queue with a key of a wrong type is named and left out.
    pub(super) async fn each<T>(
        &self,
        look: impl AsyncFn(&ShardName) -> Result<T, postrider_queue::Error>,
    ) -> Result<Vec<(&ShardName, T)>, postrider_queue::Error> {
        let mut all = Vec::new();
        for queue in &self.queues {
            match look(queue).await {
                Ok(one) => all.push((queue, one)),
                Err(error) if is_of_wrong_type(&error) => self.name_wrong_keys(queue, "is left out").await?,
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Names the keys of a queue that have a wrong type, and what that means for the command.
    pub(super) async fn name_wrong_keys(
        &self,
        queue: &ShardName,
        effect: &str,
    ) -> Result<(), postrider_queue::Error> {
        self.is_incomplete.set(true);
        for (key, kind) in self.inspector.wrong_keys(queue).await? {
            eprintln!(
                "error: queue {queue} {effect}: the key {key} is no {kind}, so another program wrote it; move it away \
                 with RENAME"
            );
        }
        Ok(())
    }

    /// What is paused. In a cluster, that may be on a node that does not answer: then nothing else is hidden.
    pub(super) async fn pauses(&self) -> Pauses {
        self.inspector.pauses().await.unwrap_or_else(|error| {
            eprintln!("note: what is paused cannot be read: {}", error.details());
            Pauses::default()
        })
    }

    /// The exit code of a command that has succeeded otherwise: 1 if a queue was left out.
    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.is_incomplete.get()))
    }

    /// The names, for a sentence.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.queues.iter().map(ShardName::to_string).collect();
        if names.is_empty() { "no queue".to_owned() } else { names.join(", ") }
    }
}

/// The queue that a misspelt name most likely means, as the end of a sentence.
pub(super) async fn meant_queue(inspector: &Inspector, queue: &QueueName) -> String {
    let all = inspector.queues().await.map(|found| found.shards).unwrap_or_default();
    let others = all.iter().filter(|shard| shard.queue != *queue);
    let names: Vec<_> = others.map(|shard| shard.queue.as_str()).collect();
    meant(queue.as_str(), names).map_or(String::new(), |meant| format!("; did you mean {meant}?"))
}

/// A queue's name. The worker's variable may append a weight, as in `mail:4`, which is ignored here.
pub(super) fn name(text: &str) -> Result<QueueName, BadQueueName> {
    text.split(':').next().unwrap_or(text).parse()
}
