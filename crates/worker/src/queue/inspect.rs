//! Looking at queues from outside, and the few things that are done to their jobs by hand. Nothing here makes a
//! key, a group or a consumer.

mod act;
mod dead;
mod find;
mod server;
mod survey;

use std::collections::BTreeSet;

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::scan::Scanner;
use fred::types::{CustomCommand, Key, Value};
use futures_util::{Stream, StreamExt};
use redis_telemetry::{Command, TracedClient};
use telemetry::Telemetry;

use super::keys::Keys;
use super::reply::unexpected;
use super::scripts::Scripts;
use super::{ConnectError, Error, QueueName, connect};
use crate::entry::{EntryId, Fields};

pub use act::{Cancelled, Replayed};
pub use dead::DeadLetter;
pub use find::{Listing, Search, State};
pub use server::Server;
pub use survey::{Survey, SurveyedConsumer};

/// A connection for looking at queues.
#[derive(Debug)]
pub struct Inspector {
    redis: TracedClient,
    scripts: Scripts,
}

/// A job that is not dead.
#[derive(Clone, Debug)]
pub struct FoundJob {
    /// The queue.
    pub queue: QueueName,
    /// What names this job and no other.
    pub ticket: String,
    /// Where it stands.
    pub place: Place,
    /// What it holds; values may be cut.
    pub fields: Fields,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the stream, for any worker.
    Ready(EntryId),
    /// In the stream, and a worker holds it.
    Running {
        /// Its entry.
        entry: EntryId,
        /// Who holds it.
        worker: String,
        /// Since when that worker has not extended its lease, ms.
        idle_ms: u64,
        /// How often it was delivered.
        deliveries: u64,
    },
    /// In the schedule, until then, Unix ms; `None` where it waits for something else than a time.
    Scheduled(Option<u64>),
}

impl Inspector {
    /// Connects.
    ///
    /// # Errors
    /// [`ConnectError`] where Redis cannot be reached.
    pub async fn connect(url: &str, telemetry: &Telemetry) -> Result<Self, ConnectError> {
        let redis = TracedClient::new(connect::connect(url, false).await?, telemetry);
        Ok(Self { redis, scripts: Scripts::new() })
    }

    /// All queues of which something stands in Redis, in alphabetical order; and whether the search was cut.
    ///
    /// # Errors
    /// fred's.
    pub async fn queues(&self) -> Result<(Vec<QueueName>, bool), Error> {
        /// With 1,000 keys each.
        const MOST_PAGES: usize = 1_000;
        let scan = |client: Client| async move {
            const PATTERN: &str = "postrider:{*}:*";
            if client.is_clustered() {
                names(client.scan_cluster(PATTERN, Some(1_000), None), MOST_PAGES).await
            } else {
                names(client.scan(PATTERN, Some(1_000), None), MOST_PAGES).await
            }
        };
        self.redis.run(Command::new("SCAN"), scan).await
    }

    /// Closes the connection.
    pub async fn close(&self) {
        let quit = self.redis.defer(Command::new("QUIT"), |client| async move { client.quit().await });
        // Who does not answer is left alone.
        if let Ok((_, pending)) = tokio::time::timeout(std::time::Duration::from_secs(1), quit).await {
            pending.discard();
        }
    }

    /// Sends one command; the key tells which node of a cluster it is for.
    async fn command(&self, name: &'static str, key: Option<&Key>, args: Vec<Value>) -> Result<Value, Error> {
        let slot = key.map(Key::cluster_hash);
        let call = |client: Client| async move {
            client.custom(CustomCommand::new_static(name, slot, false), args).await
        };
        self.redis.run(Command::new(name), call).await
    }

    fn keys(queue: &QueueName) -> Keys {
        Keys::new(queue)
    }
}

async fn names<S: Scanner<Page = Vec<Key>>>(
    pages: impl Stream<Item = Result<S, Error>>,
    most: usize,
) -> Result<(Vec<QueueName>, bool), Error> {
    let mut pages = std::pin::pin!(pages);
    let (mut found, mut seen) = (BTreeSet::new(), 0);
    while let Some(page) = pages.next().await {
        let mut page = page?;
        let keys = page.take_results().unwrap_or_default();
        found.extend(keys.iter().filter_map(|key| queue_of(key.as_str()?)).map(str::to_owned));
        seen += 1;
        if seen >= most {
            page.cancel();
            return Ok((parsed(found), true));
        }
        page.next();
    }
    Ok((parsed(found), false))
}

fn parsed(names: BTreeSet<String>) -> Vec<QueueName> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// The queue that a key belongs to; results of jobs tell nothing of one.
fn queue_of(key: &str) -> Option<&str> {
    let (name, what) = key.strip_prefix("postrider:{")?.split_once("}:")?;
    ["jobs", "waiting", "scheduled", "dead", "workers"].contains(&what).then_some(name)
}

/// The first field of that name.
fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a Bytes> {
    fields.iter().find(|(own, _)| own == name).map(|(_, value)| value)
}

/// The ticket of an entry: the one that it carries, else its id.
fn ticket(fields: &Fields, entry: EntryId) -> String {
    let label = |text: &&Bytes| {
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
        (1..=128).contains(&text.len()) && text.iter().all(known)
    };
    match field(fields, "_ticket").filter(label) {
        Some(ticket) => String::from_utf8_lossy(ticket).into_owned(),
        None => entry.to_string(),
    }
}

fn array(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Null => Ok(vec![]),
        _ => Err(unexpected()),
    }
}

fn text(value: &Value) -> Result<String, Error> {
    let bytes = value.as_bytes().ok_or_else(unexpected)?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_queue() {
        assert_eq!(queue_of("postrider:{mail}:jobs"), Some("mail"));
        assert_eq!(queue_of("postrider:{mail}:dead"), Some("mail"));
        for other in ["postrider:{mail}:result:1-0", "postrider:flow:{1}", "jobs", "postrider:{mail:jobs"] {
            assert_eq!(queue_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_ticket_that_is_none_does_not_count() {
        let entry = EntryId { millis: 7, sequence: 1 };
        let named = |ticket: &'static str| vec![("_ticket".into(), Bytes::from_static(ticket.as_bytes()))];
        assert_eq!(ticket(&named("5-0"), entry), "5-0");
        assert_eq!(ticket(&named("a b"), entry), "7-1");
        assert_eq!(ticket(&Fields::new(), entry), "7-1");
    }
}
