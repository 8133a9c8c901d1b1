//! Finds queues by their keys, and keys that are none of a queue.

use std::collections::BTreeSet;

use fred::clients::Client;
use fred::error::ErrorKind;
use fred::types::scan::Scanner;
use fred::types::{Key, Value};
use fred_otel::Command;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

use super::{Inspector, ShardName, array, is_of_wrong_type};
use crate::redis::{COMMAND_TIMEOUT, Error, Keys, QueueName, SHARDS_MAX, Stray};

/// The queues of a server.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    /// Each shard, in alphabetical order.
    pub shards: Vec<ShardName>,
    /// Keys that end in `:jobs` and are no queue's: for example without the braces. At most 20.
    pub strays: Vec<Stray>,
    /// Whether the search stopped early.
    pub is_incomplete: bool,
}

/// How many stray keys are listed.
const STRAYS_MAX: usize = 20;

/// What a key shows.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Shard(String, u32),
    Stray(String),
}

impl Seen {
    fn of(key: &str) -> Option<Self> {
        match shard_of(key) {
            Some(found) if shards(found.clone()).is_some() => Some(Self::Shard(found.0, found.1)),
            _ => key.ends_with(":jobs").then(|| Self::Stray(key.to_owned())),
        }
    }
}

impl Inspector {
    /// All queues that have a key in Redis or are paused, and keys that are meant for one and are none.
    ///
    /// # Errors
    /// fred's.
    pub async fn queues(&self) -> Result<Queues, Error> {
        let scan = |client: Client| async move {
            const PATTERN: &str = "postrider:*";
            scanned(client.scan(PATTERN, Some(1_000), None), Seen::of).await
        };
        let found = self.redis.on_each_node(Command::new("SCAN"), scan).await?;
        let is_incomplete = found.iter().any(|(_, is_incomplete)| *is_incomplete);
        let mut queues = Queues { is_incomplete, ..Queues::default() };
        let found: BTreeSet<Seen> = found.into_iter().flat_map(|(found, _)| found).collect();
        for seen in found {
            match seen {
                Seen::Shard(name, number) => queues.shards.extend(shards((name, number))),
                Seen::Stray(key) => queues.strays.push(Stray::new(key)),
            }
        }
        queues.strays.truncate(STRAYS_MAX);
        // In a cluster, they may be on a node that does not answer.
        let paused = self.pauses().await.unwrap_or_default();
        queues.shards.extend(paused.queues_without_keys(&queues.shards));
        Ok(queues)
    }

    /// A stream that is meant for this queue, but whose key lacks the braces.
    ///
    /// # Errors
    /// fred's.
    pub async fn stray_stream(&self, queue: &QueueName) -> Result<Option<Stray>, Error> {
        Stray::of(&self.redis, queue).await
    }

    /// Whether a queue has any key, or is paused: it may be paused before its first job.
    ///
    /// # Errors
    /// fred's.
    pub async fn exists(&self, queue: &QueueName) -> Result<bool, Error> {
        Ok(self.has_keys(queue).await? || self.pauses().await.unwrap_or_default().queue(queue).is_some())
    }

    /// Whether a queue has any key: those of its jobs, or of its settings.
    ///
    /// # Errors
    /// fred's.
    pub async fn has_keys(&self, queue: &QueueName) -> Result<bool, Error> {
        let own = Keys::new(queue, 0);
        let [cron, _] = own.cron();
        let keys = [
            own.jobs.clone(),
            own.waiting,
            own.scheduled,
            own.flows,
            own.dead,
            own.rejected,
            own.log,
            own.order_waiting,
            own.order_stopped,
            cron,
            own.workers,
            Keys::meta(queue),
        ];
        let args = keys.into_iter().map(Value::from).collect();
        Ok(self.command("EXISTS", Some(&own.jobs), args).await?.as_u64() != Some(0))
    }

    /// The keys of a queue that have a type which no queue's key has, each with the right one.
    ///
    /// # Errors
    /// fred's.
    pub async fn wrong_keys(&self, queue: &ShardName) -> Result<Vec<(String, &'static str)>, Error> {
        let own = Self::keys(queue);
        let [cron, cron_due] = own.cron();
        let counts = [
            ("XLEN", own.jobs, "stream"),
            ("HLEN", own.waiting, "hash"),
            ("ZCARD", own.scheduled, "sorted set"),
            ("ZCARD", own.flows, "sorted set"),
            ("XLEN", own.dead, "stream"),
            ("XLEN", own.rejected, "stream"),
            ("XLEN", own.log, "stream"),
            ("ZCARD", own.order, "sorted set"),
            ("HLEN", own.order_waiting, "hash"),
            ("HLEN", own.order_stopped, "hash"),
            ("HLEN", own.workers, "hash"),
            ("HLEN", cron, "hash"),
            ("ZCARD", cron_due, "sorted set"),
        ];
        let mut wrong = Vec::new();
        for (command, key, kind) in counts {
            match self.command(command, Some(&key), vec![key.clone().into()]).await {
                Err(error) if is_of_wrong_type(&error) => {
                    wrong.push((String::from_utf8_lossy(key.as_bytes()).into_owned(), kind))
                }
                other => drop(other?),
            }
        }
        Ok(wrong)
    }

    /// The shards of a queue, including those that are only read until they are empty.
    ///
    /// # Errors
    /// fred's.
    pub async fn shards(&self, queue: &QueueName) -> Result<Vec<ShardName>, Error> {
        let key = Keys::meta(queue);
        let args = vec![key.clone().into(), "shards".into(), "shards_before".into()];
        let found = array(self.command("HMGET", Some(&key), args).await?)?;
        let most = found.iter().filter_map(Value::as_u64).max().unwrap_or(1).clamp(1, SHARDS_MAX.into());
        Ok((0..most as u32).map(|number| ShardName { queue: queue.clone(), number }).collect())
    }
}

/// The results of `of` for the scanned keys, each once, and whether the search stopped early.
pub(super) async fn scanned<S: Scanner<Page = Vec<Key>>, T: Ord>(
    pages: impl Stream<Item = Result<S, Error>>,
    of: impl Fn(&str) -> Option<T>,
) -> Result<(BTreeSet<T>, bool), Error> {
    /// With 1,000 keys each.
    const PAGES_MAX: usize = 1_000;
    let mut pages = std::pin::pin!(pages);
    let (mut found, mut seen) = (BTreeSet::new(), 0);
    // fred bounds no page: without a connection, the first one would be waited for until there is one.
    let late = |_| Error::new(ErrorKind::Timeout, "Redis does not answer a SCAN in time");
    while let Some(page) = timeout(COMMAND_TIMEOUT, pages.next()).await.map_err(late)? {
        let mut page = page?;
        let keys = page.take_results().unwrap_or_default();
        found.extend(keys.iter().filter_map(|key| of(key.as_str()?)));
        seen += 1;
        if seen >= PAGES_MAX {
            page.cancel();
            return Ok((found, true));
        }
        page.next();
    }
    Ok((found, false))
}

fn shards((name, number): (String, u32)) -> Option<ShardName> {
    Some(ShardName { queue: name.parse().ok()?, number })
}

/// The queue and shard of a key. Results of jobs do not count.
fn shard_of(key: &str) -> Option<(String, u32)> {
    let (tag, what) = key.strip_prefix("postrider:{")?.split_once("}:")?;
    let (name, number) = match tag.split_once('/') {
        Some((name, number)) => (name, number.parse().ok()?),
        None => (tag, 0),
    };
    const KEYS: [&str; 12] = [
        "jobs",
        "waiting",
        "scheduled",
        "flows",
        "dead",
        "rejected",
        "log",
        "order_waiting",
        "order_stopped",
        "workers",
        "meta",
        "cron",
    ];
    KEYS.contains(&what).then(|| (name.to_owned(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_contains_its_queue() {
        let of = |key: &str| shard_of(key).and_then(shards).map(|shard| shard.to_string());
        assert_eq!(of("postrider:{mail}:jobs").as_deref(), Some("mail"));
        assert_eq!(of("postrider:{mail/3}:dead").as_deref(), Some("mail/3"));
        assert_eq!(of("postrider:{mail/4}:log").as_deref(), Some("mail/4"));
        assert_eq!(
            of("postrider:{mail}:meta").as_deref(),
            Some("mail"),
            "it has a number of shards, and no job yet"
        );
        for other in [
            "postrider:{mail}:result:1-0",
            "postrider:flow:{1}",
            "jobs",
            "postrider:{mail:jobs",
            "postrider:{a b}:jobs",
            "postrider:{mail/x}:jobs",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_stream_that_no_worker_reads_is_seen() {
        for key in
            ["postrider:mail:jobs", "postrider:{{mail}}:jobs", "postrider:{a b}:jobs", "postrider::jobs"]
        {
            assert!(matches!(Seen::of(key), Some(Seen::Stray(_))), "{key}");
        }
        for key in [
            "postrider:mail:dead",
            "postrider:flow:{0123}",
            "postrider:{audit}",
            "postrider:{mail}:result:7-0",
        ] {
            assert!(Seen::of(key).is_none(), "{key}");
        }
        assert!(matches!(Seen::of("postrider:{mail/2}:jobs"), Some(Seen::Shard(name, 2)) if name == "mail"));
    }
}
