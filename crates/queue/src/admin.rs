//! Inspects queues from outside, and changes single jobs by hand. Nothing here creates a key, a group or a
//! consumer.

mod audit;
mod by_hand;
mod certificate;
mod counts;
mod crons;
mod dead;
mod delivery_log;
mod failover;
mod find;
mod flows;
mod lines;
mod list;
mod pauses;
mod peek;
mod queues;
mod scan;
mod search;
mod server;
mod survey;
mod tail;
mod upstream;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::{CustomCommand, Key, Value};
use fred_otel::Command;
use telemetry::Telemetry;

use crate::job::{EntryId, Fields, FlowId};
use crate::redis::{
    ConnectError, Connection, Error, Instruments, Keys, Operations, QueueName, Scripts, address, unexpected,
};

pub use crate::redis::{Pausable, PauseEnd, PauseError, PauseNote, SetPauses, ToPause, script_digests};
pub use audit::{Change, ChangeRecord};
pub use by_hand::{Cancelled, Replayed};
pub use counts::{Bucket, CountRange};
pub use crons::{Applied, ApplyError, Cron};
pub use dead::{DeadLetter, DeadPage};
pub use delivery_log::{LogSearch, LoggedJob};
pub use find::Search;
pub use flows::HeldFlow;
pub use lines::{LineCounts, StoppedLine};
pub use list::{Listing, State};
pub use pauses::{Pause, Pauses};
pub use queues::Queues;
pub use scan::SearchPart;
pub use search::SearchPage;
pub use server::Server;
pub use survey::{Life, Survey, SurveyedConsumer};
pub use tail::{Ended, Tail};
pub use upstream::{Upstream, UpstreamStream};

pub use crate::redis::Topology;

/// A connection that inspects queues. Inspection makes no spans.
#[derive(Debug)]
pub struct Inspector {
    redis: Connection,
    scripts: Scripts,
    telemetry: Telemetry,
    instruments: Instruments,
    /// The operations of each queue that was used.
    operations: Mutex<Vec<Arc<Operations>>>,
}

/// The name of one shard of a queue. Written as in its keys: `mail`, `mail/1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardName {
    /// The queue.
    pub queue: QueueName,
    /// Its number. A queue that is not split has only shard 0.
    pub number: u32,
}

impl std::fmt::Display for ShardName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.number {
            0 => write!(f, "{}", self.queue),
            number => write!(f, "{}/{number}", self.queue),
        }
    }
}

/// Whether Redis refused a command because its key has another type.
pub fn is_of_wrong_type(error: &Error) -> bool {
    error.details().starts_with("WRONGTYPE") || error.details().contains("WRONGTYPE Operation")
}

/// A job that is not dead.
#[derive(Clone, Debug)]
pub struct FoundJob {
    /// The queue.
    pub queue: ShardName,
    /// The job id, which is unique.
    pub id: String,
    /// Where it is.
    pub place: Place,
    /// Its fields; values may be truncated.
    pub fields: Fields,
}

/// Where a job is, and so its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the stream, for any worker.
    Ready(EntryId),
    /// In the stream, and in flight at a worker.
    Running {
        /// Its entry.
        entry: EntryId,
        /// The worker.
        worker: String,
        /// Time since the worker's last renewal of the lease, ms.
        idle_ms: u64,
        /// How often it was delivered.
        deliveries: u64,
    },
    /// In the schedule, until this time, Unix ms; `None` for an orphan, which nothing will make ready.
    Scheduled(Option<u64>),
    /// Held by its flow.
    Held {
        /// The flow's id.
        flow: FlowId,
        /// The flow's name.
        name: String,
    },
    /// Held: it waits for its turn in the line of its order key.
    InLine {
        /// The order key.
        key: String,
        /// How many jobs are before it, with the one that has the turn.
        before: u64,
    },
}

impl Inspector {
    /// Connects.
    ///
    /// # Errors
    /// [`ConnectError`] if Redis cannot be reached.
    pub async fn connect(url: &str, telemetry: &Telemetry) -> Result<Self, ConnectError> {
        let redis = Connection::connect(url, telemetry, false).await?;
        let instruments = Instruments::new(telemetry, address(url));
        let operations = Mutex::default();
        Ok(Self { redis, scripts: Scripts::new(), telemetry: telemetry.clone(), instruments, operations })
    }

    fn operations(&self, queue: &QueueName) -> Arc<Operations> {
        let mut known = self.operations.lock().expect("nothing panics while it holds this lock");
        if let Some(operations) = known.iter().find(|known| known.queue() == queue.as_str()) {
            return operations.clone();
        }
        let operations = Arc::new(Operations::new(self.instruments.clone(), queue, ""));
        known.push(operations.clone());
        operations
    }

    /// Closes the connection.
    pub async fn close(&self) {
        self.redis.quit().await;
    }

    /// Sends one command. The key selects the node of a cluster.
    async fn command(&self, name: &'static str, key: Option<&Key>, args: Vec<Value>) -> Result<Value, Error> {
        let slot = key.map(Key::cluster_hash);
        let call = |client: Client| {
            let args = args.clone();
            async move { client.custom(CustomCommand::new_static(name, slot, false), args).await }
        };
        self.redis.run(key, Command::new(name), call).await
    }

    fn keys(shard: &ShardName) -> Keys {
        Keys::new(&shard.queue, shard.number)
    }
}

/// The first field of that name.
fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a Bytes> {
    fields.iter().find(|(own, _)| own == name).map(|(_, value)| value)
}

/// The job id of an entry: the one that it carries, else the entry's id.
fn job_id(fields: &Fields, entry: EntryId) -> String {
    let label = |text: &&Bytes| {
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
        (1..=128).contains(&text.len()) && text.iter().all(known)
    };
    match field(fields, "_job_id").filter(label) {
        Some(job_id) => String::from_utf8_lossy(job_id).into_owned(),
        None => entry.to_string(),
    }
}

/// The end of a range that ends before an id; `None` if nothing is before it. Redis refuses `(0-0`.
fn end_before(before: Option<EntryId>) -> Option<String> {
    match before {
        None => Some("+".to_owned()),
        Some(EntryId { millis: 0, sequence: 0 }) => None,
        Some(id) => Some(format!("({id}")),
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
    fn nothing_is_before_the_first_id() {
        let before = |millis, sequence| end_before(Some(EntryId { millis, sequence }));
        assert_eq!(end_before(None).as_deref(), Some("+"));
        assert_eq!(
            (before(0, 0), before(0, 1).as_deref(), before(7, 0).as_deref()),
            (None, Some("(0-1"), Some("(7-0"))
        );
    }

    #[test]
    fn an_invalid_job_id_is_ignored() {
        let entry = EntryId { millis: 7, sequence: 1 };
        let named = |job_id: &'static str| vec![("_job_id".into(), Bytes::from_static(job_id.as_bytes()))];
        assert_eq!(job_id(&named("5-0"), entry), "5-0");
        assert_eq!(job_id(&named("a b"), entry), "7-1");
        assert_eq!(job_id(&Fields::new(), entry), "7-1");
    }
}
