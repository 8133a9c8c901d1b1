//! Follows jobs as they end: asks all workers to record them for as long as somebody looks, and reads what they record.

use std::time::{Duration, Instant};

use fred::types::Value;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::{Inspector, LoggedJob, Queues, ShardName, array};
use crate::redis::{Error, Keys, entry_id, fields, number, unexpected};
use crate::trail::LogRecord;

/// How long workers record jobs after they were last asked to.
const WATCH_TIME: Duration = Duration::from_secs(30);
/// The time between two requests to record jobs.
const WATCH_INTERVAL: Duration = Duration::from_secs(10);
/// The time between two searches for queues.
const SEARCH_INTERVAL: Duration = Duration::from_secs(30);
/// How long a shard may take to answer, how long one that did not is left alone, and how many are read at once.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
const READ_PAUSE: Duration = Duration::from_secs(10);
const READS_MAX: usize = 16;
/// How many entries a call reads. An entry has the records of up to 256 jobs.
const ENTRIES_MAX: u64 = 16;

/// Follows the jobs of some queues, or of all.
#[derive(Debug)]
pub struct Tail {
    /// The shards to follow; without them, all that are found.
    only: Option<Vec<ShardName>>,
    streams: Vec<FollowedStream>,
    /// When it began, Unix ms of Redis' clock.
    since: u64,
    watched: Option<Instant>,
    searched: Option<Instant>,
}

/// What was read at once.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// The jobs that have ended: those of a shard in their order.
    pub jobs: Vec<LoggedJob>,
    /// How many were deleted before they were read.
    pub missed: u64,
    /// Whether there are probably more: read again at once.
    pub has_more: bool,
}

/// A stream of records: the delivery log of a shard, or what workers record only for somebody who looks.
#[derive(Clone, Debug)]
struct FollowedStream {
    shard: ShardName,
    is_log: bool,
    /// From which entry to read next.
    from: String,
    /// The number of jobs up to the last entry.
    jobs: Option<u64>,
    /// When it did not answer.
    failed: Option<Instant>,
}

impl Tail {
    /// Follows these shards from now on, or all that are found.
    pub fn new(only: Option<Vec<ShardName>>) -> Self {
        Self { only, streams: vec![], since: 0, watched: None, searched: None }
    }

    /// Reads what has ended since the last call. To be called several times a second.
    ///
    /// # Errors
    /// fred's, of the request to record jobs. A shard that cannot be read is left alone for a while.
    pub async fn read(&mut self, inspector: &Inspector) -> Result<Ended, Error> {
        let is_due =
            |last: Option<Instant>, interval| last.is_none_or(|last: Instant| last.elapsed() >= interval);
        if is_due(self.watched, WATCH_INTERVAL) {
            let now = inspector.watch().await?;
            if self.since == 0 {
                self.since = now;
            }
            self.watched = Some(Instant::now());
        }
        if is_due(self.searched, SEARCH_INTERVAL) {
            self.search(inspector).await?;
            self.searched = Some(Instant::now());
        }
        let mut ended = Ended::default();
        for group in self.streams.chunks_mut(READS_MAX) {
            let mut reads = FuturesUnordered::new();
            for stream in group {
                if is_due(stream.failed, READ_PAUSE) {
                    reads.push(stream.read(inspector));
                }
            }
            while let Some(read) = reads.next().await {
                ended.jobs.extend(read.jobs);
                ended.missed += read.missed;
                ended.has_more |= read.has_more;
            }
        }
        Ok(ended)
    }

    /// Finds the shards.
    async fn search(&mut self, inspector: &Inspector) -> Result<(), Error> {
        let shards = match &self.only {
            Some(shards) => shards.clone(),
            None => {
                let Queues { shards, .. } = inspector.queues().await?;
                shards
            }
        };
        for shard in shards {
            if self.streams.iter().all(|stream| stream.shard != shard) {
                for is_log in [true, false] {
                    // Whatever ended since the begin: this queue may have been found late.
                    let from = format!("{}-0", self.since);
                    let shard = shard.clone();
                    self.streams.push(FollowedStream { shard, is_log, from, jobs: None, failed: None });
                }
            }
        }
        Ok(())
    }
}

impl FollowedStream {
    async fn read(&mut self, inspector: &Inspector) -> Ended {
        match timeout(READ_TIMEOUT, self.entries(inspector)).await {
            Ok(Ok(ended)) => {
                self.failed = None;
                ended
            }
            Ok(Err(_)) | Err(_) => {
                self.failed = Some(Instant::now());
                Ended::default()
            }
        }
    }

    async fn entries(&mut self, inspector: &Inspector) -> Result<Ended, Error> {
        let keys = Inspector::keys(&self.shard);
        let key = if self.is_log { keys.log } else { keys.tail };
        let args = vec![
            key.clone().into(),
            self.from.as_str().into(),
            "+".into(),
            "COUNT".into(),
            number(ENTRIES_MAX),
        ];
        let rows = array(inspector.command("XRANGE", Some(&key), args).await?)?;
        let mut ended = Ended { has_more: rows.len() as u64 == ENTRIES_MAX, ..Ended::default() };
        for row in rows {
            let [id, own] = <[Value; 2]>::try_from(array(row)?).map_err(|_| unexpected())?;
            let (id, own) = (entry_id(&id)?, fields(own)?);
            let text = |name: &str| super::field(&own, name).map(|text| String::from_utf8_lossy(text));
            let records = text("records").unwrap_or_default();
            let jobs = records.lines().filter_map(LogRecord::unpack);
            let queue = &self.shard;
            ended.jobs.extend(jobs.map(|record| LoggedJob {
                queue: queue.clone(),
                ended_at: id.millis,
                record,
            }));
            let sum = text("jobs").and_then(|jobs| jobs.parse::<u64>().ok());
            // An entry has the number of all jobs up to it.
            if let (Some(last), Some(sum)) = (self.jobs, sum) {
                let own = records.lines().count() as u64;
                ended.missed += sum.saturating_sub(own).saturating_sub(last);
            }
            self.jobs = sum.or(self.jobs);
            self.from = format!("({id}");
        }
        Ok(ended)
    }
}

impl Inspector {
    /// Asks all workers to record jobs that end, for half a minute. Returns Redis' time, Unix ms.
    ///
    /// # Errors
    /// fred's.
    pub async fn watch(&self) -> Result<u64, Error> {
        let args = vec![number(WATCH_TIME.as_millis() as u64)];
        let reply = self.scripts.watch.poll(&self.redis, vec![Keys::control()], args).await?;
        reply.convert()
    }
}
